"""Tenants: gangs with the pods of them that are to be arranged, and what they are as items of the model.

Only pods whose place depends on nothing but counts can be arranged: no dynamic rule, shared claim, GPU share or
nomination speaks of them, and a search for their devices is a matter of pieces. The others stay where greedy put them.
Preferences are no reason to stay where a gang has no place otherwise; where it has one, nobody is moved against them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kai_sched.model.workloads import TopologyConstraint
from kai_sched.placement.gangs import Gang, GangNode
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.solver.aggregate import Item, Role, Scope
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.spans import outward_levels

ItemPods = dict[tuple[int, int], list[int]]
"""(item, role) -> positions of its pods."""


@dataclass(frozen=True, slots=True)
class LevelKey:
    """A level that some scope speaks of."""

    topology: str
    label: str


@dataclass(frozen=True, slots=True)
class Tenant:
    """``gang`` as it stood before the cycle; ``pods``: positions of those that have or want a place now."""

    gang: Gang
    pods: tuple[int, ...]

    @property
    def is_free(self) -> bool:
        """Whether no topology constraint binds its pods together."""
        return next(constrained_nodes(self.gang.root), None) is None

    @property
    def has_choice(self) -> bool:
        """Whether other subgroups than these could make up the minimum (K of N)."""
        return self.gang.root.has_choice


def is_arrangeable(boards: Boards, tenant: Tenant) -> bool:
    """Whether counting alone decides where the tenant's pods may go."""
    base = boards.world.base
    shapes = {base.shape_of(pod).index: base.shape_of(pod) for pod in tenant.pods}
    if not base.nominated.keys().isdisjoint(tenant.pods):
        return False
    return all(boards.is_counted(shape) for shape in shapes.values()) and all(
        _one_home(boards, node) for node in constrained_nodes(tenant.gang.root)
    )


def items_of(
    boards: Boards, tenants: Sequence[Tenant]
) -> tuple[tuple[Item, ...], ItemPods, tuple[Shape, ...], tuple[LevelKey, ...]]:
    """Items with their pods, and the shapes and levels that their indices mean.

    Tenants without topology constraints are one item together: which of their alike pods goes where is all the same.
    """
    book = _Book(boards)
    free = [pod for tenant in tenants if tenant.is_free for pod in tenant.pods]
    if free:
        book.add("free", [("", pod) for pod in free], ())
    for tenant in tenants:
        if not tenant.is_free:
            leaf_of = {pod: leaf.name for leaf in tenant.gang.root.leaves() for pod in leaf.pending}
            book.add(
                tenant.gang.group.key,
                [(leaf_of[pod], pod) for pod in tenant.pods],
                tuple(constrained_nodes(tenant.gang.root)),
            )
    return tuple(book.items), book.pods, tuple(book.shapes), tuple(book.levels)


def preferred_levels(boards: Boards, constraint: TopologyConstraint) -> tuple[str, ...]:
    """Levels whose spans cost: the preferred one and those around it, short of the required one."""
    if not constraint.preferred_level:
        return ()
    if not constraint.topology:
        return (constraint.preferred_level,)
    return outward_levels(boards.world.base.domains, constraint)


def constrained_nodes(node: GangNode) -> Iterator[GangNode]:
    """Nodes of the tree with a constraint, outermost first."""
    constraint = node.constraint
    if constraint is not None and (constraint.required_level or constraint.preferred_level):
        yield node
    for child in node.children:
        yield from constrained_nodes(child)


def _one_home(boards: Boards, node: GangNode) -> bool:
    """Whether the active pods of a required level sit in one domain, so that it can be kept to."""
    constraint = node.constraint
    if constraint is None or not constraint.required_level or not node.active_on:
        return True
    homes = codes_of_active(boards, node, constraint.topology, constraint.required_level)
    return len(homes) == 1 and -1 not in homes


def codes_of_active(boards: Boards, node: GangNode, topology: str, level: str) -> set[int]:
    base = boards.world.base
    codes = base.domains.codes(topology, level)
    return {int(codes[base.table.index_of[name]]) for name in node.active_on if name in base.table.index_of}


@dataclass(slots=True)
class _Book:
    """Collects items and gives shapes and levels their indices."""

    boards: Boards
    items: list[Item] = field(default_factory=list)
    pods: ItemPods = field(default_factory=dict)
    shapes: list[Shape] = field(default_factory=list)
    levels: list[LevelKey] = field(default_factory=list)

    def add(self, name: str, pods: Sequence[tuple[str, int]], constrained: Sequence[GangNode]) -> None:
        base = self.boards.world.base
        members: dict[tuple[str, int], list[int]] = {}
        for leaf, pod in pods:
            members.setdefault((leaf, self._shape(base.shape_of(pod))), []).append(pod)
        position = len(self.items)
        for role, found in enumerate(members.values()):
            self.pods[position, role] = found
        scopes: list[Scope] = []
        for node in constrained:
            below = {leaf.name for leaf in node.leaves()}
            roles = tuple(role for role, (leaf, _) in enumerate(members) if leaf in below)
            if roles:
                scopes.append(self._scope(node, roles))
        roles_made = tuple(Role(shape, len(found)) for (_, shape), found in members.items())
        self.items.append(Item(name=name, roles=roles_made, scopes=tuple(scopes)))

    def _scope(self, node: GangNode, roles: tuple[int, ...]) -> Scope:
        constraint = node.constraint
        assert constraint is not None
        required = home = None
        if constraint.required_level:
            required = self._level(constraint.topology, constraint.required_level)
            homes = codes_of_active(self.boards, node, constraint.topology, constraint.required_level)
            home = next(iter(homes), None)
        preferred: list[int] = []
        present: set[tuple[int, int]] = set()
        for label in preferred_levels(self.boards, constraint):
            level = self._level(constraint.topology, label)
            preferred.append(level)
            present |= {
                (level, code) for code in codes_of_active(self.boards, node, constraint.topology, label)
            }
        return Scope(roles, required, home, tuple(preferred), frozenset(present))

    def _shape(self, shape: Shape) -> int:
        for index, known in enumerate(self.shapes):
            if known is shape:
                return index
        self.shapes.append(shape)
        return len(self.shapes) - 1

    def _level(self, topology: str, level: str) -> int:
        label = self.boards.world.base.domains.label_of(topology, level)
        found = LevelKey(topology, label)
        if found not in self.levels:
            self.levels.append(found)
        return self.levels.index(found)
