"""Leaves: to which subgroup of its group a pod belongs. Pods that name none take part in nothing."""

from __future__ import annotations

from collections.abc import Collection

from kai_sched.model.workloads import Pod, PodGroup


def leaves_of(group: PodGroup) -> frozenset[str]:
    """The subgroups without children; of a group without subgroups the one that has no name."""
    parents = {subgroup.parent for subgroup in group.sub_groups}
    names = (subgroup.name for subgroup in group.sub_groups if subgroup.name not in parents)
    return frozenset(names) if group.sub_groups else frozenset({""})


def leaf_of(pod: Pod, leaves: Collection[str]) -> str | None:
    """None: the pod names no leaf. KAI calls the leaf of pods without a label "default"."""
    if pod.subgroup not in leaves and pod.subgroup in {"", "default"}:
        other = "default" if pod.subgroup == "" else ""
        return other if other in leaves else None
    return pod.subgroup if pod.subgroup in leaves else None
