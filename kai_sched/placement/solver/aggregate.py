"""AggregatedProblem: gangs against units of like nodes, in integers only, as small as the solver needs it.

A unit is a set of nodes that are alike for every gang: same domain at every level in question, same pods allowed.
What fits on the nodes of a unit is said by rows over pod counts, each a necessary condition. For GPU sizes that
divide one another (1, 2, 4, 8) the rows are also sufficient: sum(floor(g / s) * pods) over g >= s never exceeds
sum(floor(free / s)) over the nodes, for every size s, and first-fit-decreasing then finds the nodes. In all other
cases an answer must still be tried on nodes; but "infeasible" is a proof in every case.

Pieces of shared hardware (MIG) are packed by patterns: what one box of hardware can hold at once. Boxes alike are
counted together, so that a fleet of thousands is a few hundred variables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

NOWHERE = -1
"""Domain code of a unit that lies outside a topology."""


@dataclass(frozen=True, slots=True)
class CapacityRow:
    """``sum(weights[shape] * pods of shape in the unit) <= limit + limit_per_whole * whole nodes opened``."""

    weights: tuple[int, ...]
    limit: int
    limit_per_whole: int = 0


@dataclass(frozen=True, slots=True)
class BoxGroup:
    """``count`` boxes of shared hardware alike; each takes one pattern, a number of pieces of every kind, or less.

    ``is_whole``: nothing of them is taken; opening one costs fragmentation.
    """

    count: int
    patterns: tuple[tuple[int, ...], ...]
    is_whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Like nodes. ``domains``: code at each level of the problem. ``most``: pods of each shape, were it alone.

    ``whole``: nodes with all their GPUs free; opening one costs fragmentation.
    """

    domains: tuple[int, ...]
    most: tuple[int, ...]
    rows: tuple[CapacityRow, ...]
    whole: int = 0
    boxes: tuple[BoxGroup, ...] = ()


@dataclass(frozen=True, slots=True)
class Role:
    """``count`` pods of one shape in each copy of an item."""

    shape: int
    count: int


@dataclass(frozen=True, slots=True)
class Scope:
    """A topology constraint over some roles of an item.

    ``required``: level index, all pods in one domain of it (in ``home`` where pods run already). ``preferred``: level
    indices whose spanned domains cost one each beyond the first; ``present``: (level, domain) pairs that pods which
    run already span, free to use.
    """

    roles: tuple[int, ...]
    required: int | None = None
    home: int | None = None
    preferred: tuple[int, ...] = ()
    present: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A gang (or, without scopes, several alike ones as ``copies``), admitted whole or not at all."""

    name: str
    roles: tuple[Role, ...]
    scopes: tuple[Scope, ...] = ()
    copies: int = 1
    is_mandatory: bool = True
    candidates: frozenset[int] | None = None
    """Units it may use; None: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregatedProblem:
    """``is_pruned``: units or candidates were left out, so that a bound is not one for the whole cluster.

    ``pieces``: how many pieces of each kind a pod of each shape takes.
    """

    units: tuple[Unit, ...]
    items: tuple[Item, ...]
    is_pruned: bool = False
    pieces: tuple[tuple[int, ...], ...] = ()

    @property
    def kinds(self) -> int:
        return len(self.pieces[0]) if self.pieces else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """``pods[(item, role)]``: (unit, pods) pairs, in unit order. ``admitted``: copies of each item.

    ``patterns[(unit, box group)]``: (pattern, boxes) pairs.
    """

    admitted: tuple[int, ...]
    pods: Mapping[tuple[int, int], tuple[tuple[int, int], ...]] = field(default_factory=dict)
    patterns: Mapping[tuple[int, int], tuple[tuple[int, int], ...]] = field(default_factory=dict)


def lacks_room(problem: AggregatedProblem) -> bool:
    """Whether counting alone shows that the mandatory items cannot all fit, wherever they go.

    All of them together in all units, then each that is bound to one domain in every domain by itself.
    """
    if _exceeds(problem, problem.units, _mandatory_pods(problem)):
        return True
    return any(
        scope.required is not None and not _has_domain(problem, item, scope, scope.required)
        for item in problem.items
        if item.is_mandatory
        for scope in item.scopes
    )


def _has_domain(problem: AggregatedProblem, item: Item, scope: Scope, level: int) -> bool:
    """Whether some domain of a required level might hold what a scope binds together."""
    wanted: dict[int, int] = {}
    for role in (item.roles[position] for position in scope.roles):
        wanted[role.shape] = wanted.get(role.shape, 0) + role.count
    domains: dict[int, list[Unit]] = {}
    for unit in problem.units:
        domains.setdefault(unit.domains[level], []).append(unit)
    return any(
        not _exceeds(problem, units, wanted)
        for code, units in domains.items()
        if (code == scope.home if scope.home is not None else code >= 0)
    )


def _exceeds(problem: AggregatedProblem, units: Sequence[Unit], wanted: Mapping[int, int]) -> bool:
    """Whether pods of each shape are more than these units hold, by sums of what each of them holds at most.

    Their rows are added up position by position; units of one problem have the same rows.
    """
    if not units or not wanted:
        return bool(wanted)
    if any(count > sum(unit.most[shape] for unit in units) for shape, count in wanted.items()):
        return True
    for position, row in enumerate(units[0].rows):
        need = sum(row.weights[shape] * count for shape, count in wanted.items())
        there = sum(
            unit.rows[position].limit + unit.rows[position].limit_per_whole * unit.whole for unit in units
        )
        if need > there:
            return True
    return any(
        sum(problem.pieces[shape][kind] * count for shape, count in wanted.items())
        > sum(
            group.count * max(pattern[kind] for pattern in group.patterns)
            for unit in units
            for group in unit.boxes
        )
        for kind in range(problem.kinds)
    )


def _mandatory_pods(problem: AggregatedProblem) -> dict[int, int]:
    wanted: dict[int, int] = {}
    for item in problem.items:
        for role in item.roles if item.is_mandatory else ():
            wanted[role.shape] = wanted.get(role.shape, 0) + role.count * item.copies
    return {shape: count for shape, count in wanted.items() if count}
