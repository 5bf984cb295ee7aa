"""Rescue: rearranges gangs that greedy seated, so that one more fits.

Nothing is bound yet, so whatever this cycle seated may move; nobody admitted is dropped. Every arrangement is tried
on nodes, with all rules, before it replaces what there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kai_sched.devices.allocator import PIECE_UNIT
from kai_sched.placement.rearranging.neighbours import Neighbours
from kai_sched.placement.reduction.effort import Effort
from kai_sched.placement.reduction.pieces import bulk_of
from kai_sched.placement.reduction.realise import (
    NODES_BY_THEMSELVES,
    movable_of,
    prefers_nodes,
    realise,
    size_of,
    without,
)
from kai_sched.placement.reduction.reduction import Reduction, lanes_of, reduce_world
from kai_sched.placement.reduction.tenants import Tenant, is_arrangeable
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.solver.aggregate import lacks_room
from kai_sched.placement.solver.arrange import fit_all
from kai_sched.placement.solver.cpsat import Status
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.horizon import Horizon
from kai_sched.placement.world.world import World

NEIGHBOURHOOD_UNITS = 24
"""Units of one repair model where the whole cluster is too large for one."""
_CORE_DOMAINS = 4
_SPARE_UNITS = 8
_TRIES = 2


@dataclass(frozen=True, slots=True)
class Refuted:
    """No room was made. ``is_proof``: there is none, however everything pending is rearranged."""

    is_proof: bool


class Rescue:
    """Makes room for gangs that greedy could not seat, one after another in fair order.

    ``pristine``: the world before the cycle's first seat.
    """

    def __init__(self, pristine: World, effort: Effort) -> None:
        self._pristine = pristine
        self._pristine_boards = Boards(pristine)
        self._effort = effort

    def rescue(self, boards: Boards, tenants: Sequence[Tenant], newcomer: Tenant) -> Boards | Refuted:
        """Boards over a world with all tenants and the newcomer seated, or why there is none."""
        if not newcomer.pods or not is_arrangeable(boards, newcomer):
            return Refuted(is_proof=False)
        alone = reduce_world(self._pristine_boards, [newcomer])
        if lacks_room(alone.problem):
            # Not even alone: whoever else was seated may move as he likes.
            return Refuted(is_proof=alone.pieces.is_listed and not newcomer.has_choice)
        if self._asks_too_much(boards, newcomer):
            return Refuted(is_proof=not newcomer.has_choice)
        movable = movable_of(boards, tenants)
        indifferent = [tenant for tenant in movable if not prefers_nodes(boards, tenant)]
        if indifferent and len(indifferent) < len(movable):
            found = self._make_room(boards, indifferent, newcomer)
            if isinstance(found, Boards):
                return found
        return self._make_room(boards, movable, newcomer)

    def _make_room(self, boards: Boards, movable: Sequence[Tenant], newcomer: Tenant) -> Boards | Refuted:
        """Room made by moving these; what cannot be had so is proven where they are all that was seated."""
        is_complete = sum(len(tenant.pods) for tenant in movable) == len(boards.world.seats)
        is_exact = is_complete and not any(tenant.has_choice for tenant in (*movable, newcomer))
        bare = self._pristine_boards if is_complete else without(boards, movable)
        whole = reduce_world(bare, [*movable, newcomer])
        is_exact = is_exact and whole.pieces.is_listed
        if lacks_room(whole.problem):
            return Refuted(is_proof=is_exact)
        if size_of(whole.problem) <= self._effort.budget.max_variables:
            if is_complete:
                bare = Boards(self._pristine.fork())
            found = self._try(bare, whole, [*movable, newcomer])
            return found if isinstance(found, Boards) else Refuted(is_proof=is_exact and found.is_proof)
        return self._search(boards, movable, newcomer, whole)

    def _asks_too_much(self, boards: Boards, newcomer: Tenant) -> bool:
        """Whether the pods exceed what the cluster has left, wherever this cycle's other pods may go.

        Each GPU lane in pieces of each size asked for: moving pods never makes more pieces than an empty cluster has,
        less those that are taken.
        """
        base = boards.world.base
        counts: dict[Shape, int] = {}
        for pod in newcomer.pods:
            shape = base.shape_of(pod)
            counts[shape] = counts.get(shape, 0) + 1
        taken: dict[int, int] = {}
        shapes: dict[int, Shape] = {shape.index: shape for shape in counts}
        for seat in boards.world.seats:
            if seat.horizon is Horizon.LATER:
                continue
            taken[seat.shape.index] = taken.get(seat.shape.index, 0) + 1
            shapes[seat.shape.index] = seat.shape
        order = list(shapes.values())
        wanted = [counts.get(shape, 0) for shape in order]
        for lane in lanes_of(self._pristine_boards, order):
            for size in {need for need, count in zip(lane.needs, wanted, strict=True) if need and count}:
                left = int((lane.free // size).sum()) - sum(
                    need // size * taken.get(shape.index, 0)
                    for need, shape in zip(lane.needs, order, strict=True)
                )
                if left < sum(need // size * count for need, count in zip(lane.needs, wanted, strict=True)):
                    return True
        return False

    def _try(
        self,
        bare: Boards,
        reduction: Reduction,
        tenants: Sequence[Tenant],
        within: NDArray[np.bool_] | None = None,
    ) -> Boards | Refuted:
        """One model; its answer seated in ``bare``, which is used up.

        Where the answer does not work on nodes, and these are few, a second model looks at each node by itself.
        """
        if self._effort.is_spent:
            return Refuted(is_proof=False)
        fit = fit_all(reduction.problem, self._effort.limits(5.0))
        self._effort.note(fit.deterministic_time)
        if fit.arrangement is None:
            return Refuted(is_proof=fit.status is Status.INFEASIBLE)
        mark = bare.world.checkpoint()
        if realise(bare, reduction, fit.arrangement):
            return bare
        bare.world.rollback(mark)
        self._effort.rejected += 1
        count = sum(len(nodes) for nodes in reduction.nodes)
        if len(reduction.nodes) < count <= NODES_BY_THEMSELVES:
            return self._try(bare, reduce_world(bare, tenants, within, by_node=True), tenants, within)
        return Refuted(is_proof=False)

    def _search(
        self, boards: Boards, movable: Sequence[Tenant], newcomer: Tenant, whole: Reduction
    ) -> Boards | Refuted:
        """Neighbourhoods of a cluster too large for one model: a few domains and the gangs that live in them."""
        view = Neighbours(boards, movable, whole)
        for units in _repair_neighbourhoods(view, newcomer):
            inside = view.grown(units)
            movers = view.tenants_inside(inside)
            bare = without(boards, movers)
            reduction = reduce_world(bare, [*movers, newcomer], view.mask_of(inside))
            if lacks_room(reduction.problem):
                continue
            found = self._try(bare, reduction, [*movers, newcomer], view.mask_of(inside))
            if isinstance(found, Boards):
                return found
        return Refuted(is_proof=False)


def _repair_neighbourhoods(view: Neighbours, newcomer: Tenant) -> Iterator[set[int]]:
    """Domains where least has to move for the newcomer, each time with the emptiest units as a place to move to."""
    shape = _bulkiest(view.boards, newcomer.pods)
    now, most = view.room_now(shape), view.room_at_most(shape)
    spare = [int(unit) for unit in np.argsort(-now, kind="stable")[:_SPARE_UNITS] if now[unit] > 0]
    item = view.whole.problem.items[-1]
    level = next((scope.required for scope in item.scopes if scope.required is not None), None)
    if level is None:
        order = np.argsort(-most, kind="stable")
        yield {int(unit) for unit in order[:NEIGHBOURHOOD_UNITS] if most[unit] > 0} | set(spare)
        return
    domains: dict[int, list[int]] = {}
    for index, unit in enumerate(view.whole.problem.units):
        domains.setdefault(unit.domains[level], []).append(index)
    wanted = sum(view.boards.world.base.shape_of(pod) is shape for pod in newcomer.pods)
    able = [units for code, units in sorted(domains.items()) if code >= 0 and most[units].sum() >= wanted]
    able.sort(key=lambda units: -int(now[units].sum()))
    for start in range(0, _TRIES * _CORE_DOMAINS, _CORE_DOMAINS):
        core = able[start : start + _CORE_DOMAINS]
        if core:
            yield {unit for units in core for unit in units} | set(spare)


def _bulkiest(boards: Boards, pods: Sequence[int]) -> Shape:
    """The shape that asks for the most GPUs in all."""
    base = boards.world.base
    shapes = [base.shape_of(pod) for pod in pods]

    def weight(shape: Shape) -> int:
        gpus = sum(int(shape.request[column]) for column in base.gpu_columns)
        return (gpus * PIECE_UNIT + bulk_of(boards, shape)) * sum(other is shape for other in shapes)

    return max(dict.fromkeys(shapes), key=weight)
