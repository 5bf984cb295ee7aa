"""How many pods of each group run and wait: one pass over a snapshot, shared by all that is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from kai_sched.model.ids import PodGroupKey
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import ACTIVE, HOLDS_ROOM, Pod, PodGroup, PodState

_WAITING = frozenset({PodState.PENDING, PodState.GATED})


@dataclass(slots=True)
class GroupTally:
    """Pods of one group by what they do."""

    active: int = 0
    waiting: list[Pod] = field(default_factory=list)
    holding: list[Pod] = field(default_factory=list)
    """Active or not gone yet."""


NOBODY: Final = GroupTally()


def tally_groups(snapshot: ClusterSnapshot) -> dict[PodGroupKey, GroupTally]:
    """Every group that has a pod which has not ended."""
    tallies: dict[PodGroupKey, GroupTally] = {}
    tried_again = {rest.pod_group for rest in snapshot.rests if rest.keeps_room}
    for pod in snapshot.pods:
        if pod.group is None:
            continue
        if pod.state is PodState.BINDING and pod.group in tried_again:
            tally = tallies.setdefault(pod.group, GroupTally())
            tally.waiting.append(pod)
            tally.holding.append(pod)
        elif pod.state in HOLDS_ROOM:
            tally = tallies.setdefault(pod.group, GroupTally())
            tally.active += pod.state in ACTIVE
            tally.holding.append(pod)
        elif pod.state in _WAITING:
            tallies.setdefault(pod.group, GroupTally()).waiting.append(pod)
    return tallies


def is_running(group: PodGroup, tally: GroupTally) -> bool:
    """Whether the gang runs: its minimum is active, or any pod of an elastic group."""
    return tally.active >= max(1, group.min_member)


def by_key(groups: Iterable[PodGroup]) -> dict[PodGroupKey, PodGroup]:
    """Groups by their key."""
    return {group.key: group for group in groups}
