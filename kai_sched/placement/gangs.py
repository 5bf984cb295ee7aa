"""Gangs: a pod group's tree with what of it is already active and what must start together now.

Semantics: KAI's hierarchical pod groups (minMember at leaves, minSubGroup above, omitted = all children); see the
reference on K-of-N. Pure data; placing is ``greedy``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from kai_sched.model.ids import NodeName
from kai_sched.model.workloads import ACTIVE, Pod, PodGroup, PodState, SubGroup, TopologyConstraint

Weight = tuple[float, ...]

DEFAULT_SUBGROUP: Final = "default"
"""KAI's name of the leaf that pods without a label are in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GangNode:
    """A node of the tree. Leaves hold pods, others children.

    ``pending``: positions (in the snapshot's pods) of placeable pods in task order. ``minimum``: how many pods a leaf
    needs, ``need_pods``: how many of ``pending`` are missing to that. ``need_children``: how many children must be
    satisfied. ``active_on``: node names of the active pods below.
    """

    name: str
    constraint: TopologyConstraint | None = None
    children: tuple[GangNode, ...] = ()
    need_children: int = 0
    pending: tuple[int, ...] = ()
    minimum: int = 0
    need_pods: int = 0
    waiting: int = 0
    """Pods that exist but cannot be placed yet (gated, claims not ready)."""
    active_on: tuple[NodeName, ...] = ()

    @property
    def is_leaf(self) -> bool:
        return not self.children

    def leaves(self) -> Iterator[GangNode]:
        """The leaves in order."""
        if self.is_leaf:
            yield self
        for child in self.children:
            yield from child.leaves()

    @property
    def is_satisfied(self) -> bool:
        """Whether the minimum is active already."""
        if self.is_leaf:
            return self.need_pods == 0
        return sum(child.is_satisfied for child in self.children) >= self.need_children

    @property
    def is_ready(self) -> bool:
        """Whether enough placeable pods exist to reach the minimum."""
        if self.is_leaf:
            return len(self.pending) >= self.need_pods
        return sum(child.is_ready for child in self.children) >= self.need_children

    @property
    def needed_pods(self) -> int:
        """The fewest pods that satisfy it."""
        if self.is_leaf:
            return self.minimum
        return sum(sorted(child.needed_pods for child in self.children)[: self.need_children])

    @property
    def has_active(self) -> bool:
        return bool(self.active_on)

    @property
    def has_choice(self) -> bool:
        """Whether different children could make up the minimum (K of N)."""
        return self.need_children < len(self.children) or any(child.has_choice for child in self.children)

    @property
    def is_above_minimum(self) -> bool:
        """Whether some leaf has more active pods than it needs."""
        return any(len(leaf.active_on) > leaf.minimum for leaf in self.leaves())

    @property
    def fill(self) -> tuple[bool, bool, Fraction]:
        """KAI's order of subgroups, smaller first: unsatisfied ones, required ones, those least above what they need."""
        held = len(self.active_on) if self.is_leaf else sum(child.is_satisfied for child in self.children)
        needed = self.minimum if self.is_leaf else self.need_children
        return self.is_satisfied, needed == 0, Fraction(held, max(1, needed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gang:
    """One pod group with pending pods, as the engines see it."""

    group: PodGroup
    root: GangNode
    stray: str = ""
    """About the first waiting pod that names none of the group's leaves; such pods are passed over."""

    @property
    def active_count(self) -> int:
        return len(self.root.active_on)

    def pending_pods(self) -> tuple[int, ...]:
        """All placeable pods, leaf by leaf."""
        return tuple(pod for leaf in self.root.leaves() for pod in leaf.pending)

    def after(self, node_of: Mapping[int, NodeName]) -> Gang:
        """The gang once these pods sit on their nodes."""
        return replace(self, root=_advance(self.root, node_of))

    def core_pods(self) -> tuple[int, ...]:
        """The pods of the core by KAI's order: the first children, their first missing pods."""
        return tuple(core_of(self.root))

    def lightest_first(self, weigh: Callable[[tuple[int, ...]], Weight]) -> Gang:
        """The gang with the children first whose core weighs least, where there is a choice of them."""
        return replace(self, root=_lightest_first(self.root, weigh))

    def needs_any(self, pods: AbstractSet[int]) -> bool:
        """Whether some of these pods are there to bring a leaf to its minimum."""
        return any(leaf.need_pods and not pods.isdisjoint(leaf.pending) for leaf in self.root.leaves())

    def extra_pods(self) -> tuple[int, ...]:
        """The pods of the next unit above the minimum."""
        units = elastic_units(self.root)
        return unit_pods(units[0][-1]) if units else ()


def build_gang(
    group: PodGroup, members: Sequence[int], pods: Sequence[Pod], is_placeable: Callable[[Pod], bool]
) -> Gang:
    """The gang of one group; ``members`` are positions of all its pods."""
    ordered = sorted(members, key=lambda position: task_order(pods[position]))
    leaves = leaf_names(group)
    by_subgroup: dict[str, list[int]] = {}
    stray = ""
    for position in ordered:
        name = leaf_of(pods[position], leaves)
        if name is not None:
            by_subgroup.setdefault(name, []).append(position)
        elif pods[position].state in {PodState.PENDING, PodState.GATED}:
            stray = stray or _about_stray(pods[position])
    if not group.sub_groups:
        own = by_subgroup.get("", ())
        root = _leaf("", group.min_member, group.constraint, own, pods, is_placeable)
        return Gang(group=group, root=root, stray=stray)
    children_of: dict[str, list[SubGroup]] = {}
    for subgroup in group.sub_groups:
        children_of.setdefault(subgroup.parent, []).append(subgroup)
    children = tuple(
        _subtree(child, children_of, by_subgroup, pods, is_placeable) for child in children_of.get("", ())
    )
    root = GangNode(
        name="",
        constraint=group.constraint,
        children=_required_first(children),
        need_children=len(children) if group.min_sub_group is None else group.min_sub_group,
        active_on=tuple(node for child in children for node in child.active_on),
    )
    return Gang(group=group, root=_raise_to_total(root, group.min_member), stray=stray)


def leaf_names(group: PodGroup) -> frozenset[str]:
    """The subgroups that may hold pods; "" alone for a group without subgroups."""
    parents = {subgroup.parent for subgroup in group.sub_groups}
    names = frozenset(subgroup.name for subgroup in group.sub_groups if subgroup.name not in parents)
    return names or frozenset({""})


def leaf_of(pod: Pod, leaves: Collection[str]) -> str | None:
    """The leaf that a pod is in; None for a pod that names none of them, which KAI passes over.

    No label and the name "default" mean the same.
    """
    if pod.subgroup in leaves:
        return pod.subgroup
    namesake = {"": DEFAULT_SUBGROUP, DEFAULT_SUBGROUP: ""}.get(pod.subgroup)
    return namesake if namesake in leaves else None


def _about_stray(pod: Pod) -> str:
    where = f"names subgroup {pod.subgroup!r}" if pod.subgroup else "names no subgroup"
    return f"pod {pod.key} {where} and is passed over: pods belong to the subgroups without children"


def task_order(pod: Pod) -> tuple[int, int, float, str]:
    """KAI's order of pods inside a group: leader, task priority, age, UID as text."""
    return (0 if pod.is_leader else 1, -pod.task_priority, pod.created_at, pod.uid)


def _advance(node: GangNode, node_of: Mapping[int, NodeName]) -> GangNode:
    if node.is_leaf:
        seated = [pod for pod in node.pending if pod in node_of]
        return replace(
            node,
            pending=tuple(pod for pod in node.pending if pod not in node_of),
            need_pods=max(0, node.need_pods - len(seated)),
            active_on=(*node.active_on, *(node_of[pod] for pod in seated)),
        )
    children = tuple(_advance(child, node_of) for child in node.children)
    return replace(
        node,
        children=children,
        active_on=tuple(place for child in children for place in child.active_on),
    )


def _leaf(
    name: str,
    minimum: int,
    constraint: TopologyConstraint | None,
    members: Sequence[int],
    pods: Sequence[Pod],
    is_placeable: Callable[[Pod], bool],
) -> GangNode:
    active = [pods[position] for position in members if pods[position].state in ACTIVE]
    done = sum(pods[position].state is PodState.SUCCEEDED for position in members)
    waits = [position for position in members if pods[position].state is PodState.PENDING]
    placeable = tuple(position for position in waits if is_placeable(pods[position]))
    gated = sum(pods[position].state is PodState.GATED for position in members)
    minimum = still_needed(minimum, done=done, alive=len(active) + len(waits) + gated)
    return GangNode(
        name=name,
        constraint=constraint,
        pending=placeable,
        minimum=minimum,
        need_pods=max(0, minimum - len(active)),
        waiting=gated + len(waits) - len(placeable),
        active_on=tuple(pod.node for pod in active if pod.node is not None),
    )


def still_needed(minimum: int, *, done: int, alive: int) -> int:
    """How many pods must run together when ``done`` others have succeeded.

    All of the minimum as long as so many are there: a second wave is a gang like the first. At the end of a workload,
    where fewer are left than it began with, all of these.
    """
    return max(minimum - done, min(minimum, alive))


def _subtree(
    subgroup: SubGroup,
    children_of: Mapping[str, Sequence[SubGroup]],
    members: Mapping[str, Sequence[int]],
    pods: Sequence[Pod],
    is_placeable: Callable[[Pod], bool],
) -> GangNode:
    below = children_of.get(subgroup.name, ())
    if not below:
        minimum = 1 if subgroup.min_member is None else subgroup.min_member
        own = members.get(subgroup.name, ())
        return _leaf(subgroup.name, minimum, subgroup.constraint, own, pods, is_placeable)
    children = tuple(_subtree(child, children_of, members, pods, is_placeable) for child in below)
    return GangNode(
        name=subgroup.name,
        constraint=subgroup.constraint,
        children=_required_first(children),
        need_children=len(children) if subgroup.min_sub_group is None else subgroup.min_sub_group,
        active_on=tuple(node for child in children for node in child.active_on),
    )


def _required_first(children: tuple[GangNode, ...]) -> tuple[GangNode, ...]:
    """Children that already have active pods first: they are closest to their minimum."""
    return tuple(sorted(children, key=lambda child: (not child.has_active, not child.is_ready)))


def _lightest_first(node: GangNode, weigh: Callable[[tuple[int, ...]], Weight]) -> GangNode:
    children = [_lightest_first(child, weigh) for child in node.children]
    return replace(node, children=tuple(sorted(children, key=lambda child: weigh(tuple(core_of(child))))))


def _raise_to_total(root: GangNode, minimum: int) -> GangNode:
    """Where the group's own minMember exceeds the sum of its leaves' minima, the next pods join the core."""
    active = len(root.active_on)
    missing = minimum - active - sum(leaf.need_pods for leaf in root.leaves())
    if missing <= 0:
        return root
    children: list[GangNode] = []
    for child in root.children:
        spare = len(child.pending) - child.need_pods if child.is_leaf else 0
        taken = max(0, min(spare, missing))
        missing -= taken
        children.append(replace(child, minimum=child.minimum + taken, need_pods=child.need_pods + taken))
    return replace(root, children=tuple(children))


def core_of(node: GangNode) -> Iterator[int]:
    """Pods that bring a subtree to its minimum, by KAI's order."""
    if node.is_leaf:
        yield from node.pending[: node.need_pods]
        return
    missing = node.need_children - sum(child.is_satisfied for child in node.children)
    chosen = [child for child in node.children if child.is_ready and not child.is_satisfied]
    for child in chosen[: max(0, missing)]:
        yield from core_of(child)


def elastic_units(node: GangNode, above: tuple[GangNode, ...] = ()) -> list[tuple[GangNode, ...]]:
    """Paths from the root to each next unit above the minimum, in KAI's order of subgroups."""
    path = (*above, node)
    if node.is_leaf:
        return [path] if node.need_pods == 0 and node.pending else []
    units: list[tuple[GangNode, ...]] = []
    for child in sorted(node.children, key=lambda child: child.fill):
        if child.is_satisfied:
            units.extend(elastic_units(child, path))
        elif child.is_ready and any(leaf.pending for leaf in child.leaves()):
            units.append((*path, child))
    return units


def unit_pods(unit: GangNode) -> tuple[int, ...]:
    """The pods of one unit: the next pod of a satisfied leaf, the core of anything else."""
    if unit.is_leaf and unit.need_pods == 0:
        return unit.pending[:1]
    return tuple(core_of(unit))
