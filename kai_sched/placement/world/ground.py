"""Ground: the nodes on which pods of one leaf may be seated, and the order in which they are tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kai_sched.devices.allocator import DeviceRefusal, RefusalKind
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.horizon import Horizon
from kai_sched.placement.world.room import Seat
from kai_sched.placement.world.world import World

Mask = NDArray[np.bool_]
_NODES_A_UNIT: Final = 100
"""That are put in order."""


@dataclass(frozen=True, slots=True)
class Ground:
    """``allowed``: bool[N], None: all nodes.

    ``spread_over``: int32[N], codes of domains of which as few as possible are to be touched, roomiest first.
    ``pinned``: shared claim or fabric -> nodes that its users are kept to while a gang is tried there.
    """

    boards: Boards
    horizon: Horizon = Horizon.NOW
    allowed: Mask | None = None
    spread_over: NDArray[np.int32] | None = None
    pinned: Mapping[object, Mask] = field(default_factory=dict)

    @property
    def world(self) -> World:
        return self.boards.world

    def slots(self, shape: Shape) -> NDArray[np.int64]:
        """int64[N]: pods of a shape that each node takes, also of nodes that are not allowed."""
        slots = self.boards.slots(shape, self.horizon)
        for key in (*shape.named, shape.fabric) if self.pinned else ():
            if key in self.pinned:
                slots = np.where(self.pinned[key], slots, 0)
        return slots

    def costs(self, shape: Shape) -> NDArray[np.int64]:
        """int64[N]: lower is taken first."""
        return self.boards.board(shape, self.horizon).cost

    def free(self) -> NDArray[np.int64]:
        """int64[N, R] that a new pod may use."""
        return self.world.free_for(self.horizon)

    def everywhere(self) -> Mask:
        """bool[N]: the nodes that are allowed."""
        return self.world.base.everywhere if self.allowed is None else self.allowed

    def within(self, allowed: Mask | None) -> Ground:
        """The same with other nodes allowed."""
        return replace(self, allowed=allowed)

    def seat(self, pod: int, shape: Shape, node: int) -> Seat | DeviceRefusal:
        """Try a node, and do not try it again for the shape where its devices do not suffice."""
        seat = self.world.take(pod, shape, node, self.horizon)
        if isinstance(seat, DeviceRefusal) and seat.kind is RefusalKind.NO_FIT:
            self.boards.refuse(shape, node, self.horizon)
        return seat

    def rows_that_fit(self, shape: Shape) -> NDArray[np.int64]:
        """int64[N]: pods of a shape for which a node has resources, nothing else looked at."""
        free = self.free()
        room = np.full(len(free), np.int64(1) << 30)
        for column in np.flatnonzero(shape.request):
            np.minimum(room, free[:, column] // shape.request[column], out=room)
        return room

    def is_in_order_of_cost(self, shape: Shape) -> bool:
        """Whether nothing but cost orders the nodes."""
        return self.spread_over is None and not self.boards.has_soft_score(shape)

    def cheapest(self, shape: Shape, slots: NDArray[np.int64]) -> int | None:
        """The usable node of least cost, the first in order among equals."""
        usable = self._usable(slots)
        ranked = np.where(usable, self.costs(shape), np.iinfo(np.int64).max)
        node = int(ranked.argmin()) if len(ranked) else -1
        return node if node >= 0 and usable[node] else None

    def is_usable(self, node: int, slots: NDArray[np.int64]) -> bool:
        """Whether a node has a slot and may be seated on."""
        return bool(slots[node] > 0 and (self.allowed is None or self.allowed[node]))

    def ordered(self, shape: Shape, slots: NDArray[np.int64]) -> list[int]:
        """Usable nodes, best first: soft rules, then domains with most room, then cost, then name."""
        nodes = np.flatnonzero(self._usable(slots))
        self.world.base.meter.charge(1 + len(nodes) // _NODES_A_UNIT)
        keys: list[NDArray[np.int64] | NDArray[np.float64]] = [self.costs(shape)[nodes]]
        if self.spread_over is not None:
            codes = self.spread_over[nodes]
            room = np.bincount(codes + 1, weights=slots[nodes])
            keys.append(codes.astype(np.int64))
            keys.append(-room[codes + 1])
        soft = self.boards.soft_score(shape, self.horizon)
        if soft is not None:
            keys.append(-soft[nodes])
        ordered: list[int] = nodes[np.lexsort(keys)].tolist()
        return ordered

    def _usable(self, slots: NDArray[np.int64]) -> Mask:
        return slots > 0 if self.allowed is None else (slots > 0) & self.allowed
