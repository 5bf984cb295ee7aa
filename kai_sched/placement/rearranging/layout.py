"""Layout: how well the pods of a cycle lie, and what no arrangement of them could better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kai_sched.devices.allocator import Box, PieceKey, partitions_of
from kai_sched.placement.gangs import GangNode
from kai_sched.placement.reduction.realise import seat_nodes
from kai_sched.placement.reduction.reduction import lanes_of, whole_nodes
from kai_sched.placement.reduction.tenants import Tenant, codes_of_active, constrained_nodes, preferred_levels
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.horizon import Horizon
from kai_sched.placement.world.world import World


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
            for node, members, label in preferences(self.pristine, tenant)
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
        for node, members, label in preferences(self.pristine, tenant):
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
            for node, members, label in preferences(self.pristine, tenant)
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


def preferences(boards: Boards, tenant: Tenant) -> Iterator[tuple[GangNode, list[int], str]]:
    """Each preferred level of each constrained node, with the tenant's pods below it."""
    pods = set(tenant.pods)
    for node in constrained_nodes(tenant.gang.root):
        constraint = node.constraint
        assert constraint is not None
        members = [pod for leaf in node.leaves() for pod in leaf.pending if pod in pods]
        if members:
            for label in preferred_levels(boards, constraint):
                yield node, members, label


def _shapes_of(world: World) -> list[Shape]:
    shapes = {seat.shape.index: seat.shape for seat in world.seats if seat.horizon is Horizon.NOW}
    return list(shapes.values())
