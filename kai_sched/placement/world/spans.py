"""Domains to try for a gang at one level: those that can hold it by counting, tightest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kai_sched.model.ids import NodeName
from kai_sched.model.workloads import TopologyConstraint
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.world.ground import Ground
from kai_sched.placement.world.world import World
from kai_sched.topology.domains import DomainIndex

_UNITS_A_SHAPE: Final = 2
_ROWS_A_UNIT: Final = 200


@dataclass(frozen=True, slots=True)
class DomainChoice:
    """One domain by its code at the level, with its nodes as bool[N]."""

    code: int
    mask: NDArray[np.bool_]


def outward_levels(domains: DomainIndex, constraint: TopologyConstraint) -> tuple[str, ...]:
    """Levels from the preferred one outwards, ending before the required one (it is tried by itself)."""
    order = domains.level_labels(constraint.topology)
    preferred = order.index(domains.label_of(constraint.topology, constraint.preferred_level))
    outermost = -1
    if constraint.required_level:
        outermost = order.index(domains.label_of(constraint.topology, constraint.required_level))
    return tuple(order[position] for position in range(preferred, outermost, -1))


def shapes_of(world: World, pods: Sequence[int]) -> dict[Shape, int]:
    """How many of the pods have each shape, in order of first sight."""
    counts: dict[Shape, int] = {}
    for pod in pods:
        shape = world.base.shape_of(pod)
        counts[shape] = counts.get(shape, 0) + 1
    return counts


def domain_choices(
    ground: Ground, topology: str, level: str, pods: Sequence[int], active_on: Sequence[NodeName]
) -> Iterator[DomainChoice]:
    """Domains of a level that pass the counting test, tightest (least total slots) first, then by code.

    Where pods are active already only their domain counts; pods in several domains leave no choice. Room is counted
    before the first choice is looked at, and not again.
    """
    base = ground.world.base
    codes = base.domains.codes(topology, level)
    usable = (codes >= 0) & ground.everywhere()
    if active_on:
        homes = {int(codes[base.table.index_of[node]]) for node in active_on if node in base.table.index_of}
        if len(homes) != 1 or -1 in homes:
            return iter(())
        home = homes.pop()
        return iter((DomainChoice(home, usable & (codes == home)),))
    room = domain_room(ground, codes, pods, usable)
    return (_choice(ground, codes, usable, code) for code in room)


def _choice(ground: Ground, codes: NDArray[np.int32], usable: NDArray[np.bool_], code: int) -> DomainChoice:
    ground.world.base.meter.charge(1 + len(codes) // _ROWS_A_UNIT)
    return DomainChoice(code, usable & (codes == code))


def domain_room(
    ground: Ground, codes: NDArray[np.int32], pods: Sequence[int], usable: NDArray[np.bool_]
) -> list[int]:
    """Codes of domains that could hold the pods by counting: the tightest first, of equal ones the cheapest."""
    counts = shapes_of(ground.world, pods)
    ground.world.base.meter.charge(len(counts) * (_UNITS_A_SHAPE + len(codes) // _ROWS_A_UNIT))
    size = int(codes.max(initial=-1)) + 1
    fits = np.ones(size, dtype=bool)
    spare = np.zeros(size, dtype=np.int64)
    cost = np.zeros(size)
    weights = np.zeros(len(ground.world.base.table.axis), dtype=np.int64)
    where = np.flatnonzero(usable)
    for shape, count in counts.items():
        total = slots_by_domain(ground, shape, codes, where, size)
        limit = count if ground.boards.is_counted(shape) else min(count, 1)
        fits &= total >= limit
        spare += total
        costs = ground.costs(shape)[where]
        cost += np.bincount(codes[where], weights=costs, minlength=size)
        weights += shape.request * count
    if len(counts) > 1:
        free = ground.free()
        for column in np.flatnonzero(weights):
            sums = np.bincount(codes[where], weights=np.maximum(free[where, column], 0), minlength=size)
            fits &= sums >= weights[column]
    order = np.lexsort((np.arange(size), cost, spare))
    return [int(code) for code in order[fits[order]]]


def slots_by_domain(
    ground: Ground, shape: Shape, codes: NDArray[np.int32], where: NDArray[np.intp], size: int
) -> NDArray[np.int64]:
    """int64[D]: slots of a shape summed over the usable nodes of each domain."""
    slots = ground.slots(shape)
    return np.bincount(codes[where], weights=slots[where], minlength=size).astype(np.int64)
