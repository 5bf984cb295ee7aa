"""Neighbours: who lives in which unit of a problem too large for one model, and how much room is there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kai_sched.placement.reduction.realise import seat_nodes
from kai_sched.placement.reduction.reduction import Reduction
from kai_sched.placement.reduction.tenants import Tenant
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.horizon import Horizon


class Neighbours:
    """Who lives in which unit of the whole problem, and how much room is there."""

    def __init__(self, boards: Boards, movable: Sequence[Tenant], whole: Reduction) -> None:
        self.boards = boards
        self.whole = whole
        self._movable = movable
        nodes = seat_nodes(boards.world)
        unit_of = whole.unit_of_node(len(boards.world.base.all_nodes))
        self._units_of = [
            frozenset(int(unit_of[nodes[pod]]) for pod in tenant.pods) - {-1} for tenant in movable
        ]

    def room_now(self, shape: Shape) -> NDArray[np.int64]:
        """Slots by unit with everybody seated as they are."""
        slots = self.boards.slots(shape, Horizon.NOW)
        return np.array([int(slots[nodes].sum()) for nodes in self.whole.nodes], dtype=np.int64)

    def room_at_most(self, shape: Shape) -> NDArray[np.int64]:
        """Slots by unit if everybody movable were gone."""
        index = next(i for i, one in enumerate(self.whole.shapes) if one is shape)
        return np.array([unit.most[index] for unit in self.whole.problem.units], dtype=np.int64)

    def units_of(self, tenant: Tenant) -> frozenset[int]:
        """Units in which a tenant has pods."""
        return self._units_of[next(i for i, one in enumerate(self._movable) if one is tenant)]

    def grown(self, units: set[int], most_extra: int = 3) -> frozenset[int]:
        """With the few units into which tenants of these reach out."""
        grown = set(units)
        for theirs in self._units_of:
            if theirs & units and len(theirs - grown) <= most_extra:
                grown |= theirs
        return frozenset(grown)

    def tenants_inside(self, units: frozenset[int]) -> list[Tenant]:
        """Tenants with every pod in these units."""
        return [
            tenant
            for tenant, theirs in zip(self._movable, self._units_of, strict=True)
            if theirs and theirs <= units
        ]

    def mask_of(self, units: frozenset[int]) -> NDArray[np.bool_]:
        """bool[N]: the nodes of these units."""
        mask = np.zeros(len(self.boards.world.base.all_nodes), dtype=bool)
        for unit in units:
            mask[self.whole.nodes[unit]] = True
        return mask
