"""Victims: the running gangs that may be made to leave, cut into the parts in which they leave.

KAI's order: of an elastic gang first what is above its minimum, pod after pod and subgroup after subgroup, the last in the
order of its tasks first; then all the rest of it at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kai_sched.model.ids import ClaimKey, PodGroupKey
from kai_sched.model.queues import QuotaVector
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import ACTIVE, Pod, PodGroup
from kai_sched.placement.gangs import GangNode, build_gang, leaf_names, leaf_of, task_order
from kai_sched.planning.accounting import Accounting


@dataclass(frozen=True, slots=True)
class Part:
    """Pods, by position, that leave at once; ``is_core``: with them the gang ends."""

    pods: tuple[int, ...]
    is_core: bool


@dataclass(frozen=True, slots=True)
class Victim:
    """A gang that runs and may be taken back, with its parts in the order of leaving."""

    group: PodGroup
    parts: tuple[Part, ...]


def victims_of(snapshot: ClusterSnapshot) -> dict[PodGroupKey, Victim]:
    """Every preemptible group with active pods, in key order."""
    groups = {group.key: group for group in snapshot.pod_groups if group.is_preemptible}
    members: dict[PodGroupKey, list[int]] = {}
    active: set[PodGroupKey] = set()
    for position, pod in enumerate(snapshot.pods):
        if pod.group is not None and pod.group in groups:
            members.setdefault(pod.group, []).append(position)
            if pod.state in ACTIVE:
                active.add(pod.group)
    return {
        key: Victim(groups[key], parts_of(groups[key], members[key], snapshot.pods)) for key in sorted(active)
    }


def parts_of(group: PodGroup, members: Sequence[int], pods: Sequence[Pod]) -> tuple[Part, ...]:
    """The parts of one group; ``members``: positions of all its pods. A group that is wrong leaves as a whole."""
    active = sorted(
        (position for position in members if pods[position].state in ACTIVE),
        key=lambda position: task_order(pods[position]),
    )
    if group.problem:
        return (Part(tuple(active), is_core=True),)
    leaves = leaf_names(group)
    on_leaf: dict[str, list[int]] = {name: [] for name in leaves}
    for position in active:
        name = leaf_of(pods[position], leaves)
        if name is not None:
            on_leaf[name].append(position)
    root = build_gang(group, members, pods, lambda _: False).root
    surplus: list[Part] = []
    # A minimum of the whole group holds beside those of its subgroups.
    spare = len(active) - group.min_member if group.sub_groups else len(active)
    for taken in _surplus(root, on_leaf):
        if len(taken) > spare:
            break
        spare -= len(taken)
        surplus.append(Part(taken, is_core=False))
    gone = {position for part in surplus for position in part.pods}
    core = tuple(position for position in active if position not in gone)
    # Who is fully elastic ends with its last pod.
    return (
        (*surplus, Part(core, is_core=True))
        if core
        else (*surplus[:-1], Part(surplus[-1].pods, is_core=True))
    )


def _surplus(node: GangNode, on_leaf: Mapping[str, Sequence[int]]) -> Iterator[tuple[int, ...]]:
    """What may go of a subtree that keeps its minimum."""
    if node.is_leaf:
        held = on_leaf.get(node.name, ())
        yield from ((position,) for position in reversed(held[node.minimum :]))
        return
    spare = sum(child.is_satisfied and child.has_active for child in node.children) - node.need_children
    for child in reversed(node.children):
        yield from _surplus(child, on_leaf)
        if spare > 0 and child.is_satisfied and child.has_active:
            spare -= 1
            left = tuple(
                position
                for leaf in child.leaves()
                for position in list(on_leaf.get(leaf.name, ()))[: leaf.minimum]
            )
            if left:
                yield left


@dataclass(slots=True)
class Holdings:
    """What pods that run hold, in the units of quotas."""

    snapshot: ClusterSnapshot
    accounting: Accounting
    _users: dict[ClaimKey, frozenset[int]]

    @classmethod
    def of(cls, snapshot: ClusterSnapshot, accounting: Accounting) -> Holdings:
        users: dict[ClaimKey, set[int]] = {}
        for position, pod in enumerate(snapshot.pods):
            if pod.state in ACTIVE and pod.group is not None:
                for key in pod.claim_keys:
                    users.setdefault(key, set()).add(position)
        return cls(snapshot, accounting, {key: frozenset(found) for key, found in users.items()})

    def freed_by(self, pods: Sequence[int]) -> QuotaVector:
        """What comes free with pods that leave together: a claim with the last of its users."""
        leaving = frozenset(pods)
        return self.accounting.held_by(pods, lambda claim: self._users.get(claim, frozenset()) <= leaving)
