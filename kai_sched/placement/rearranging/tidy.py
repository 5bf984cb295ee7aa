"""Tidying: the same gangs in fewer domains at their preferred levels, on fewer nodes that were all free, in fewer boxes.

Where the cluster fits into one model it is solved whole, else neighbourhood by neighbourhood. Cost and bounds are
counted on nodes, not taken from the solver.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kai_sched.placement.rearranging.layout import Layout, Ruler, preferences
from kai_sched.placement.rearranging.neighbours import Neighbours
from kai_sched.placement.reduction.effort import Effort
from kai_sched.placement.reduction.realise import (
    NODES_BY_THEMSELVES,
    movable_of,
    realise,
    seat_nodes,
    size_of,
    without,
)
from kai_sched.placement.reduction.reduction import reduce_world
from kai_sched.placement.reduction.tenants import Tenant, codes_of_active
from kai_sched.placement.solver.arrange import Tidied, tidy
from kai_sched.placement.solver.cpsat import Status
from kai_sched.placement.world.boards import Boards

NEIGHBOURHOOD_UNITS = 10
_ROUNDING = 1e-6


@dataclass(slots=True)
class Tidying:
    """Lays the same pods out better and better. ``proven``: no layout of them costs less, where a model showed that."""

    boards: Boards
    tenants: Sequence[Tenant]
    ruler: Ruler
    effort: Effort
    proven: Layout | None = None

    def run(self) -> Iterator[Boards]:
        """Boards over worlds with the same pods in a strictly better layout, each better than the one before."""
        layout = self.ruler.layout(self.boards.world, self.tenants)
        bound = self.ruler.bound(self.boards.world, self.tenants)
        if layout <= bound:
            return
        movable = [
            tenant for tenant in movable_of(self.boards, self.tenants) if not _follows(self.boards, tenant)
        ]
        by_node = _splits_boxes(self.boards, movable)
        whole = reduce_world(without(self.boards, movable), movable, by_node=by_node)
        if size_of(whole.problem) <= self.effort.budget.max_variables:
            found = _solve(self.boards, movable, None, self.effort, share=5.0, by_node=by_node)
            is_exact = len(movable) == len(self.tenants) and whole.pieces.is_listed
            if found.answer is not None and is_exact:
                self.proven = self._layout_of(found.answer.least)
            if found.boards is not None and self.ruler.layout(found.boards.world, self.tenants) < layout:
                yield found.boards
                self.boards = found.boards
            is_best = found.answer is not None and found.answer.status is Status.OPTIMAL
            if is_best or self.ruler.layout(self.boards.world, self.tenants) <= bound:
                return
        for _ in range(self.effort.budget.lns_iterations):
            better = _improve_once(self.boards, movable, self.tenants, self.ruler, self.effort)
            if better is None:
                return
            self.boards = better
            yield better

    def _layout_of(self, least: tuple[int, int, int]) -> Layout:
        """A model counts the domains that pods enter anew, a layout those beyond the first."""
        free = 0
        for tenant in self.tenants:
            for node, _, label in preferences(self.ruler.pristine, tenant):
                assert node.constraint is not None
                present = codes_of_active(self.ruler.pristine, node, node.constraint.topology, label)
                free += 1 - len(present)
        spans, opened, boxes = least
        return Layout(spans - free, opened, boxes)


def _improve_once(
    boards: Boards,
    movable: Sequence[Tenant],
    tenants: Sequence[Tenant],
    ruler: Ruler,
    effort: Effort,
) -> Boards | None:
    """The first neighbourhood that gives a better layout; worst tenants first."""
    layout = ruler.layout(boards.world, tenants)
    view = Neighbours(boards, movable, reduce_world(without(boards, movable), movable))
    for units in _neighbourhoods(view, movable, ruler, effort.budget.lns_iterations):
        if effort.is_spent:
            return None
        inside = view.grown(units)
        movers = view.tenants_inside(inside)
        if not movers:
            continue
        better = _solve(boards, movers, view.mask_of(inside), effort).boards
        if better is not None and ruler.layout(better.world, tenants) < layout:
            return better
    return None


def _neighbourhoods(
    view: Neighbours, movable: Sequence[Tenant], ruler: Ruler, most: int
) -> Iterator[set[int]]:
    """Where a tenant that spans too much lives, and the units that could hold the most of it."""
    nodes = seat_nodes(view.boards.world)
    surplus = [
        (ruler.surplus_of(tenant, nodes) - ruler.least_surplus_of(tenant), index)
        for index, tenant in enumerate(movable)
    ]
    targets = sorted((-excess, index) for excess, index in surplus if excess > 0)
    for _, index in targets[:most]:
        own = view.units_of(movable[index])
        if len(own) > NEIGHBOURHOOD_UNITS:
            continue
        shape = view.boards.world.base.shape_of(movable[index].pods[0])
        roomiest = np.argsort(-(view.room_at_most(shape) + view.room_now(shape)), kind="stable")
        units = set(own)
        for unit in roomiest:
            if len(units) >= NEIGHBOURHOOD_UNITS:
                break
            units.add(int(unit))
        yield units


@dataclass(frozen=True, slots=True)
class _Found:
    """The layout found, if it works on nodes, and what the model answered."""

    boards: Boards | None = None
    answer: Tidied | None = None


def _solve(
    boards: Boards,
    movers: Sequence[Tenant],
    within: np.ndarray[tuple[int], np.dtype[np.bool_]] | None,
    effort: Effort,
    *,
    share: float = 1.0,
    by_node: bool = False,
) -> _Found:
    if effort.is_spent:
        return _Found()
    bare = without(boards, movers)
    reduction = reduce_world(bare, movers, within, by_node=by_node)
    now = reduction.arrangement_of(seat_nodes(boards.world).get, len(boards.world.base.all_nodes))
    answer = tidy(reduction.problem, effort.limits(share), now)
    effort.note(answer.deterministic_time)
    if answer.arrangement is None:
        return _Found()
    is_realised = realise(bare, reduction, answer.arrangement)
    if is_realised and _liking(bare, movers) >= _liking(boards, movers) - _ROUNDING:
        return _Found(bare, answer)
    effort.rejected += 1
    return _Found(None, answer)


def _follows(boards: Boards, tenant: Tenant) -> bool:
    """Whether a tenant's pods prefer places for the sake of other pods, which a move would change."""
    base = boards.world.base
    return any(boards.follows_others(shape) for shape in {base.shape_of(pod) for pod in tenant.pods})


def _liking(boards: Boards, tenants: Sequence[Tenant]) -> float:
    """How well the nodes of these tenants are what their pods prefer; nobody's layout is worth less of it."""
    pods = {pod for tenant in tenants for pod in tenant.pods}
    total = 0.0
    for seat in boards.world.seats:
        liking = boards.liking(seat.shape) if seat.pod in pods else None
        if liking is not None:
            total += float(liking[seat.node])
    return total


def _splits_boxes(boards: Boards, tenants: Sequence[Tenant]) -> bool:
    """Whether pods take several pieces of one node, on a fleet small enough to look at each node by itself."""
    base = boards.world.base
    shapes = {base.shape_of(pod) for tenant in tenants for pod in tenant.pods}
    return len(base.all_nodes) <= NODES_BY_THEMSELVES and any(
        sum(need.count for need in shape.pieces or ()) > 1 for shape in shapes
    )
