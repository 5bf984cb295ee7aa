"""Reduction: a world and the gangs to be arranged in it, as an AggregatedProblem, and the way back to nodes.

GPUs (device-plugin resources, or devices of plain claims) are exact where their sizes divide one another; CPU,
memory and the rest enter as necessary conditions, so that an arrangement is tried on nodes before it is believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kai_sched.devices.counting import matching_free, supply_of
from kai_sched.placement.reduction.pieces import PieceView, view_pieces
from kai_sched.placement.reduction.tenants import ItemPods, LevelKey, Tenant, items_of
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.solver.aggregate import AggregatedProblem, Arrangement, CapacityRow, Unit
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.horizon import Horizon

Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]

_MOST_PER_ROW = 1_000_000
"""Larger amounts (bytes) are scaled down, rounded so that the row stays a necessary condition."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One kind of GPU: free and total pieces by node, and how many a pod of each shape takes."""

    free: Counts
    total: Counts
    needs: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """``nodes``: node indices of each unit. ``pods``: positions of the pods of each (item, role)."""

    problem: AggregatedProblem
    nodes: tuple[NDArray[np.intp], ...]
    pods: ItemPods
    shapes: tuple[Shape, ...]
    pieces: PieceView

    def unit_of_node(self, count: int) -> NDArray[np.int64]:
        """int64[N]: each node's unit, -1 outside the problem."""
        units = np.full(count, -1, dtype=np.int64)
        for unit, nodes in enumerate(self.nodes):
            units[nodes] = unit
        return units

    def arrangement_of(self, node_of: Callable[[int], int | None], count: int) -> Arrangement:
        """Where the pods are now, as the solver's starting point; pods without a place are left out."""
        units = self.unit_of_node(count)
        pods: dict[tuple[int, int], tuple[tuple[int, int], ...]] = {}
        for key, members in self.pods.items():
            seated: dict[int, int] = {}
            for pod in members:
                node = node_of(pod)
                if node is not None and units[node] >= 0:
                    seated[int(units[node])] = seated.get(int(units[node]), 0) + 1
            pods[key] = tuple(sorted(seated.items()))
        return Arrangement(admitted=tuple(item.copies for item in self.problem.items), pods=pods)


def reduce_world(
    boards: Boards, tenants: Sequence[Tenant], within: Mask | None = None, *, by_node: bool = False
) -> Reduction:
    """The problem of placing all tenants, on the nodes of ``within``, in a world from which they are withdrawn.

    ``by_node``: every node is a unit of its own, so that nothing is lost by adding nodes up.
    """
    items, pods, shapes, levels = items_of(boards, tenants)
    lanes = lanes_of(boards, shapes)
    slots = [boards.slots(shape, Horizon.NOW) for shape in shapes]
    usable = np.zeros(len(boards.world.base.all_nodes), dtype=bool)
    for each in slots:
        usable |= each > 0
    if within is not None:
        usable &= within
    where = np.flatnonzero(usable)
    is_whole = whole_nodes(lanes, len(usable))
    groups = [where[i : i + 1] for i in range(len(where))] if by_node else []
    groups = groups or _group(boards, where, shapes, levels, lanes)
    pieces = view_pieces(boards, shapes, groups)
    sums = _Sums(groups)
    columns = sums.matrix(slots)
    domains = sums.firsts(_codes(boards, levels))
    rows = [
        *_lane_rows(lanes, sums, is_whole),
        *_loose_rows(boards, shapes, sums, _loose_columns(boards, shapes, lanes, sums)),
    ]
    whole = sums.of(is_whole)
    units = tuple(
        Unit(
            domains=domains[unit],
            most=columns[unit],
            rows=tuple(row[unit] for row in rows),
            whole=whole[unit],
            boxes=pieces.groups(unit),
        )
        for unit in range(len(groups))
    )
    return Reduction(
        problem=AggregatedProblem(
            units=units,
            items=items,
            is_pruned=within is not None,
            pieces=tuple(pieces.counts_of(shape) for shape in shapes),
        ),
        nodes=tuple(groups),
        pods=pods,
        shapes=shapes,
        pieces=pieces,
    )


class _Sums:
    """Sums over the nodes of each unit, for all units at once."""

    def __init__(self, groups: Sequence[NDArray[np.intp]]) -> None:
        self.count = len(groups)
        self._order = np.concatenate(groups) if groups else np.zeros(0, dtype=np.intp)
        sizes = [len(nodes) for nodes in groups]
        self._starts = np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.intp) if groups else self._order

    def of(self, values: NDArray[Any]) -> list[int]:
        """The sum in each unit."""
        if not self.count:
            return []
        sums: list[int] = np.add.reduceat(values[self._order].astype(np.int64), self._starts).tolist()
        return sums

    def first(self, values: NDArray[Any]) -> list[int]:
        """The value of each unit's first node."""
        found: list[int] = values[self._order[self._starts]].tolist()
        return found

    def matrix(self, columns: Sequence[NDArray[Any]]) -> list[tuple[int, ...]]:
        """The sums of each column, by unit."""
        return _by_unit([self.of(values) for values in columns], self.count)

    def firsts(self, columns: Sequence[NDArray[Any]]) -> list[tuple[int, ...]]:
        """The first values of each column, by unit."""
        return _by_unit([self.first(values) for values in columns], self.count)


def _by_unit(columns: Sequence[Sequence[int]], count: int) -> list[tuple[int, ...]]:
    return list(zip(*columns, strict=True)) if columns else [()] * count


def lanes_of(boards: Boards, shapes: Sequence[Shape]) -> list[Lane]:
    """The kinds of GPU that the shapes ask for."""
    world = boards.world
    base = world.base
    free = world.free_for(Horizon.NOW)
    lanes = [
        Lane(
            np.maximum(free[:, column], 0),
            base.table.allocatable[:, column],
            tuple(int(shape.request[column]) for shape in shapes),
        )
        for column in base.gpu_columns
        if any(shape.request[column] for shape in shapes)
    ]
    needs = {need.key: need for shape in shapes for need in shape.plain or ()}
    for key, need in needs.items():
        supply = supply_of(base.device_index, key)
        if supply is not None:
            taken = tuple(sum(one.count for one in shape.plain or () if one.key == key) for shape in shapes)
            lanes.append(
                Lane(matching_free(base.device_index, world.now.devices, need), supply.totals, taken)
            )
    return lanes


def whole_nodes(lanes: Sequence[Lane], count: int) -> Mask:
    """bool[N]: nodes with GPUs of these kinds, all of them free."""
    has_any = np.zeros(count, dtype=bool)
    untouched = np.ones(count, dtype=bool)
    for lane in lanes:
        has_any |= lane.total > 0
        untouched &= lane.free == lane.total
    return has_any & untouched


def _codes(boards: Boards, levels: Sequence[LevelKey]) -> list[NDArray[np.int32]]:
    return [boards.world.base.domains.codes(level.topology, level.label) for level in levels]


def _group(
    boards: Boards,
    where: NDArray[np.intp],
    shapes: Sequence[Shape],
    levels: Sequence[LevelKey],
    lanes: Sequence[Lane],
) -> list[NDArray[np.intp]]:
    """Nodes that are alike for every tenant: same domains, same shapes allowed, same hardware."""
    if not len(where):
        return []
    columns: list[NDArray[Any]] = [codes[where] for codes in _codes(boards, levels)]
    columns += [boards.world.base.static_mask(shape).allowed[where] for shape in shapes]
    columns += [lane.total[where] for lane in lanes]
    _, inverse = np.unique(np.stack(columns, axis=1).astype(np.int64), axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    order = np.argsort(inverse, kind="stable")
    bounds = np.flatnonzero(np.diff(inverse[order])) + 1
    return [where[part] for part in np.split(order, bounds)]


def _lane_rows(lanes: Sequence[Lane], sums: _Sums, is_whole: Mask) -> Iterator[list[CapacityRow]]:
    """Each kind of row, by unit."""
    for lane in lanes:
        totals = sums.first(lane.total)
        for size in sorted({need for need in lane.needs if need}):
            weights = tuple(need // size for need in lane.needs)
            limits = sums.of(np.where(is_whole, 0, lane.free // size))
            yield [
                CapacityRow(weights, limit, total // size)
                for limit, total in zip(limits, totals, strict=True)
            ]


def _loose_columns(boards: Boards, shapes: Sequence[Shape], lanes: Sequence[Lane], sums: _Sums) -> list[int]:
    """Resources besides GPUs that could run out before the GPUs of some unit do."""
    world = boards.world
    free = np.maximum(world.free_for(Horizon.NOW), 0)
    gpus = sums.matrix([lane.free for lane in lanes])
    found: list[int] = []
    for column in range(free.shape[1]):
        if column in world.base.gpu_columns or not any(shape.request[column] for shape in shapes):
            continue
        if any(not any(lane.needs[index] for lane in lanes) for index in range(len(shapes))):
            found.append(column)  # A shape without GPUs can use up anything.
            continue
        worst = [
            max(
                int(shape.request[column]) / need
                for shape, need in zip(shapes, lane.needs, strict=True)
                if need
            )
            for lane in lanes
        ]
        room = sums.of(free[:, column])
        if any(
            sum(ratio * count for ratio, count in zip(worst, counts, strict=True)) > there
            for counts, there in zip(gpus, room, strict=True)
        ):
            found.append(column)
    return found


def _loose_rows(
    boards: Boards, shapes: Sequence[Shape], sums: _Sums, columns: Sequence[int]
) -> Iterator[list[CapacityRow]]:
    """Each kind of row, by unit."""
    free = np.maximum(boards.world.free_for(Horizon.NOW), 0)
    for column in columns:
        asked = [int(shape.request[column]) for shape in shapes]
        yield [_scaled_row(asked, limit) for limit in sums.of(free[:, column])]


def _scaled_row(asked: Sequence[int], limit: int) -> CapacityRow:
    scale = max(1, limit // _MOST_PER_ROW)
    return CapacityRow(tuple(amount // scale for amount in asked), -(-limit // scale))
