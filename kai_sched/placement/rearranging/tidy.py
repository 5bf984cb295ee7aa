"""Tidying: the same gangs in fewer domains at their preferred levels, on fewer nodes that were all free, in fewer boxes.

Where the cluster fits into one model it is solved whole, else neighbourhood by neighbourhood. Cost and bounds are
counted on nodes, not taken from the solver.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kai_sched.devices.allocator import Box, PieceKey, partitions_of
from kai_sched.placement.gangs import GangNode
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
from kai_sched.placement.reduction.reduction import lanes_of, reduce_world, whole_nodes
from kai_sched.placement.reduction.tenants import Tenant, codes_of_active, constrained_nodes, preferred_levels
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.solver.arrange import Tidied, tidy
from kai_sched.placement.solver.cpsat import Status
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.horizon import Horizon
from kai_sched.placement.world.world import World

NEIGHBOURHOOD_UNITS = 10
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, order=True)
class Layout:
    """What tidying lowers, most important first: surplus domains spanned, whole-free nodes, then boxes opened."""

    surplus_domains: int
    opened_nodes: int
    opened_boxes: int


@dataclass(frozen=True, slots=True)
class Ruler:
    """Measures layouts against the world before the cycle's first seat."""

    pristine: Boards

    def layout(self, world: World, tenants: Sequence[Tenant]) -> Layout:
        """The cost of a world's seats."""
        nodes = seat_nodes(world)
        surplus = sum(self.surplus_of(tenant, nodes) for tenant in tenants)
        shapes = _shapes_of(world)
        is_whole = whole_nodes(lanes_of(self.pristine, shapes), len(world.base.all_nodes))
        opened = sum(bool(is_whole[node]) for node in sorted(set(nodes.values())))
        return Layout(surplus, opened, self._opened_boxes(world))

    def bound(self, world: World, tenants: Sequence[Tenant]) -> Layout:
        """No arrangement of the same pods can cost less than this, in any part."""
        surplus = sum(
            self._least_surplus(node, members, label)
            for tenant in tenants
            for node, members, label in _preferences(self.pristine, tenant)
        )
        return Layout(surplus, self._least_opened(world), self._least_boxes(world))

    def _opened_boxes(self, world: World) -> int:
        """Hardware that was whole and is cut now."""
        devices = self.pristine.world.now.devices
        opened: set[Box] = set()
        for seat in world.seats:
            if seat.shape.pieces is None or seat.horizon is Horizon.LATER:
                continue
            partitions = partitions_of(world.base.device_index)
            for _, allocation in seat.allocations:
                for result in allocation.results:
                    box = partitions.box_of((result.driver, result.pool), result.device)
                    if box is not None and box.is_whole(devices):
                        opened.add(box)
        return len(opened)

    def _least_boxes(self, world: World) -> int:
        counts: dict[PieceKey, int] = {}
        for seat in world.seats:
            for need in () if seat.horizon is Horizon.LATER else seat.shape.pieces or ():
                counts[need.key] = counts.get(need.key, 0) + need.count
        if not counts:
            return 0
        partitions = partitions_of(world.base.device_index)
        return partitions.least_opened(self.pristine.world.now.devices, counts)

    def surplus_of(self, tenant: Tenant, nodes: Mapping[int, int]) -> int:
        """Domains beyond the first that a tenant spans, over all its preferred levels."""
        surplus = 0
        for node, members, label in _preferences(self.pristine, tenant):
            constraint = node.constraint
            assert constraint is not None
            codes = self.pristine.world.base.domains.codes(constraint.topology, label)
            spanned = {int(codes[nodes[pod]]) for pod in members if pod in nodes}
            spanned |= codes_of_active(self.pristine, node, constraint.topology, label)
            surplus += max(0, len(spanned) - 1)
        return surplus

    def least_surplus_of(self, tenant: Tenant) -> int:
        """The bound for one tenant."""
        return sum(
            self._least_surplus(node, members, label)
            for node, members, label in _preferences(self.pristine, tenant)
        )

    def _least_surplus(self, node: GangNode, members: Sequence[int], label: str) -> int:
        """By the domains with the most slots, were they empty of this cycle's pods; shape by shape."""
        base = self.pristine.world.base
        constraint = node.constraint
        assert constraint is not None
        codes = base.domains.codes(constraint.topology, label)
        counts: dict[Shape, int] = {}
        for pod in members:
            shape = base.shape_of(pod)
            counts[shape] = counts.get(shape, 0) + 1
        least = max(1, len(codes_of_active(self.pristine, node, constraint.topology, label)))
        for shape, count in counts.items():
            if self.pristine.one_at_a_time(shape):
                continue
            slots = self.pristine.slots(shape, Horizon.NOW)
            by_domain = np.bincount(codes + 1, weights=slots).astype(np.int64)
            filled = np.cumsum(np.sort(by_domain)[::-1])
            least = max(least, int(np.searchsorted(filled, count)) + 1)
        return least - 1

    def _least_opened(self, world: World) -> int:
        """What partly used nodes cannot take must go to whole ones, filled to their end."""
        seats = [seat for seat in world.seats if seat.horizon is Horizon.NOW]
        shapes = _shapes_of(world)
        lanes = lanes_of(self.pristine, shapes)
        is_whole = whole_nodes(lanes, len(world.base.all_nodes))
        index_of = {shape.index: index for index, shape in enumerate(shapes)}
        least = 0
        for lane in lanes:
            taken = sum(lane.needs[index_of[seat.shape.index]] for seat in seats)
            overflow = taken - int(lane.free[~is_whole].sum())
            largest = int(lane.total[is_whole].max(initial=0))
            if overflow > 0 and largest:
                least = max(least, -(-overflow // largest))
        return least


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
            for node, _, label in _preferences(self.ruler.pristine, tenant):
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


def _preferences(boards: Boards, tenant: Tenant) -> Iterator[tuple[GangNode, list[int], str]]:
    """Each preferred level of each constrained node, with the tenant's pods below it."""
    pods = set(tenant.pods)
    for node in constrained_nodes(tenant.gang.root):
        constraint = node.constraint
        assert constraint is not None
        members = [pod for leaf in node.leaves() for pod in leaf.pending if pod in pods]
        if members:
            for label in preferred_levels(boards, constraint):
                yield node, members, label


def _splits_boxes(boards: Boards, tenants: Sequence[Tenant]) -> bool:
    """Whether pods take several pieces of one node, on a fleet small enough to look at each node by itself."""
    base = boards.world.base
    shapes = {base.shape_of(pod) for tenant in tenants for pod in tenant.pods}
    return len(base.all_nodes) <= NODES_BY_THEMSELVES and any(
        sum(need.count for need in shape.pieces or ()) > 1 for shape in shapes
    )


def _shapes_of(world: World) -> list[Shape]:
    shapes = {seat.shape.index: seat.shape for seat in world.seats if seat.horizon is Horizon.NOW}
    return list(shapes.values())
