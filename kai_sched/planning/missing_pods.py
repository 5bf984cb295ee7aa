"""Missing pods: what a gang lacks that is not ready, and whether pods that are to come could change it."""

from __future__ import annotations

from collections.abc import Iterable

from kai_sched.model.ids import PodGroupKey
from kai_sched.model.words import counted
from kai_sched.model.workloads import Pod
from kai_sched.placement.gangs import GangNode


class Outsiders:
    """Pods that name a pod group and that another scheduler places: they count for nothing."""

    def __init__(self, pods: Iterable[Pod], scheduler_name: str) -> None:
        self._scheduler_name = scheduler_name
        self._by_group: dict[PodGroupKey, list[Pod]] = {}
        for pod in pods:
            if pod.outside is not None:
                self._by_group.setdefault(pod.outside.group, []).append(pod)

    def told(self, group: PodGroupKey) -> tuple[str, str]:
        """What there is to say of them and what helps; "" where there are none."""
        found = self._by_group.get(group)
        if not found or found[0].outside is None:
            return "", ""
        who = found[0].key + (f" and {counted(len(found) - 1, 'more pod')}" if len(found) > 1 else "")
        return (
            f"{who} of schedulerName {found[0].outside.scheduler_name} does not count",
            f"create {who} anew with schedulerName {self._scheduler_name}",
        )


def beyond_its_subgroups(node: GangNode) -> tuple[str, str] | None:
    """More subgroups wanted than there are, so that no pod can make it ready: what is said and what helps."""
    if len(node.children) < node.need_children:
        whose = f"subgroup {node.name}" if node.name else "the PodGroup"
        return (
            f"{node.need_children} subgroups are needed and there are {len(node.children)} (minSubGroup of {whose})",
            f"lower minSubGroup of {whose} to {len(node.children)}, or add subgroups to it",
        )
    return next(filter(None, map(beyond_its_subgroups, node.children)), None)


def lack_of(root: GangNode) -> str:
    """What of its subgroups a gang lacks."""
    short = next((leaf for leaf in root.leaves() if leaf.name and not leaf.is_ready), None)
    if short is None:
        return ""
    return f"subgroup {short.name} lacks {counted(short.need_pods - len(short.pending), 'pod')}"
