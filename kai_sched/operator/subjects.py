"""What of a gang's objects can change the end of another attempt with it: its pod group and its waiting pods."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from kai_sched.model.ids import PodGroupKey, Uid
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import Pod, PodGroup, PodSpec, PodState

MAY_BE_BOUND: Final = frozenset({PodState.PENDING, PodState.GATED, PodState.BINDING})


@dataclass(frozen=True, slots=True)
class Subject:
    """A gang as its users wrote it."""

    group: PodGroup
    waiting: frozenset[tuple[Uid, PodSpec]]

    def is_news_after(self, before: Subject) -> bool:
        """Whether the group or a waiting pod changed, or one came; that some are gone changes nothing."""
        return self.group != before.group or not self.waiting <= before.waiting


def subjects_of(snapshot: ClusterSnapshot, groups: Collection[PodGroupKey]) -> dict[PodGroupKey, Subject]:
    """The gangs among ``groups`` that are still there."""
    waiting: dict[PodGroupKey, list[Pod]] = {key: [] for key in groups}
    for pod in snapshot.pods:
        if pod.group in waiting and pod.group is not None and pod.state in MAY_BE_BOUND:
            waiting[pod.group].append(pod)
    return {
        group.key: Subject(
            _as_written_by_users(group), frozenset((pod.uid, pod.spec) for pod in waiting[group.key])
        )
        for group in snapshot.pod_groups
        if group.key in waiting
    }


def _as_written_by_users(group: PodGroup) -> PodGroup:
    """Without what changes when we write its status."""
    return replace(group, given_up_on="", last_start_at=None, stale_since=None, resource_version="")
