"""Slots: how many pods of a shape each node takes, kept per shape and refreshed only where seats changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kai_sched.devices.allocator import partitions_of
from kai_sched.devices.counting import matching_free
from kai_sched.model.policy import Strategy
from kai_sched.placement.site.backing import UNLIMITED
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.world.horizon import Horizon
from kai_sched.placement.world.moments import Moment, Refused
from kai_sched.placement.world.room import Room
from kai_sched.placement.world.world import World

_CPU_NODE_BONUS = np.int64(1) << 40
"""A pod without GPUs prefers nodes without GPUs before it looks at free CPU (KAI: resource type 10 > binpack 9)."""

_CLAIM_NODE_BONUS = np.int64(1) << 40
"""A pod that counts its devices can use both kinds of node; those who claim them need the nodes with drivers."""


_OPENED_GPU = np.int64(1) << 20
"""A part of a GPU goes where it opens the fewest GPUs before free ones are looked at (KAI: sharing 10^4 > binpack 9)."""


_UNITS_A_BOARD: Final = 10
_UNITS_A_REFRESH: Final = 4
_ROWS_A_UNIT: Final = 200
"""Nodes whose counts are worked out together."""
_LOOKS_A_UNIT: Final = 2
"""Nodes that are looked at one by one."""


@dataclass(slots=True)
class Board:
    """Slots and preference of one shape; ``cost``: lower is taken first, equal costs go by node name."""

    slots: NDArray[np.int64]
    cost: NDArray[np.int64]
    seen: int
    """How much of ``world.touched`` is worked in."""


class Boards:
    """All boards over one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._boards: dict[tuple[int, Horizon], Board] = {}
        self._refused: dict[tuple[int, Horizon], Refused] = {}
        self._conceded: dict[tuple[int, Horizon], tuple[Moment, int]] = {}

    def board(self, shape: Shape, horizon: Horizon) -> Board:
        """The up-to-date board of a shape. Do not change its arrays."""
        key = (shape.index, horizon)
        board = self._boards.get(key)
        touched = self.world.touched
        if board is None:
            slots, cost = self._compute(shape, None, horizon)
            board = Board(slots, cost, len(touched))
            self._boards[key] = board
        elif board.seen < len(touched):
            fresh = touched[board.seen :]
            nodes = np.array(fresh if len(fresh) == 1 else sorted(set(fresh)), dtype=np.intp)
            board.slots[nodes], board.cost[nodes] = self._compute(shape, nodes, horizon)
            board.seen = len(touched)
            if key in self._refused:
                self._refused[key].forget(set(fresh))
        return board

    def slots(self, shape: Shape, horizon: Horizon) -> NDArray[np.int64]:
        """int64[N]: pods of this shape that each node takes now, every rule counted that counting can count.

        Shapes that need a look after every seat (dynamic rules, searched claims, named claims, shared GPUs) show at
        most one slot a node, except that claims-by-name do not limit themselves, and pieces of shared hardware are
        counted kind by kind.
        """
        slots = self.board(shape, horizon).slots
        dynamic = self._dynamic_mask(shape, horizon)
        if dynamic is not None:
            slots = np.where(dynamic, np.minimum(slots, 1), 0)
        if shape.named:
            slots = np.where(self._named_mask(shape), slots, 0)
        if shape.fabric is not None:
            slots = np.where(self.world.homes.mask(shape.fabric), slots, 0)
        refused = self._refused_nodes(shape, horizon)
        if refused:
            slots = slots.copy()
            slots[refused] = 0
        return slots

    def refuse(self, shape: Shape, node: int, horizon: Horizon) -> None:
        """Remember that the claims of this shape found no devices on a node, for as long as that is certain."""
        refused = self._refused.setdefault((shape.index, horizon), Refused())
        refused.add(node, self.world.moment())

    def conceded(self, shape: Shape, horizon: Horizon) -> int:
        """What a pod of this shape has to concede at least (``site.alternatives``), as far as it is known."""
        known = self._conceded.get((shape.index, horizon))
        if known is None or not self.still_holds(known[0], [shape]):
            return 0
        return known[1]

    def concede(self, shape: Shape, horizon: Horizon, moment: Moment, conceded: int) -> None:
        """Remember that no node gave a pod of this shape more than so."""
        self._conceded[shape.index, horizon] = (moment, conceded)

    def still_holds(self, moment: Moment, shapes: Iterable[Shape]) -> bool:
        """Whether what such pods could not have at a moment is out of their reach still, whoever came since."""
        if any(self._touches(shape, self.world.now) for shape in shapes):
            # A neighbour that it asks for may have come.
            return self.world.is_as_at(moment)
        return self.world.stands(moment)

    def _refused_nodes(self, shape: Shape, horizon: Horizon) -> list[int]:
        refused = self._refused.get((shape.index, horizon))
        if refused is None:
            return []
        # Neighbours do not matter: who reaches a claim that another pod was given could have been given it, too.
        while refused.moments and not self.world.stands(refused.moments[-1]):
            refused.forget_newest()
        return refused.nodes

    def has_soft_score(self, shape: Shape) -> bool:
        """Whether preferences beyond tightness order the nodes of this shape."""
        return self.world.now.dynamic.has_soft_score(shape.spec)

    def soft_score(self, shape: Shape, horizon: Horizon) -> NDArray[np.float64] | None:
        """float64[N], higher is better; None where the shape prefers nothing."""
        return self.world.room(horizon).dynamic.soft_score(shape.spec)

    def one_at_a_time(self, shape: Shape) -> bool:
        """Whether a seat of this shape can change where the next one may go."""
        is_tied = shape.fabric is not None  # The first of its pods decides where the others may go.
        return is_tied or not shape.is_countable or self._touches(shape, self.world.now)

    def follows_others(self, shape: Shape) -> bool:
        """Whether what this shape prefers depends on other pods."""
        return self.world.now.dynamic.follows_others(shape.spec)

    def liking(self, shape: Shape) -> NDArray[np.float64] | None:
        """float64[N], higher is better: what it prefers whoever is there; None where that orders no nodes."""
        return self.world.now.dynamic.liking(shape.spec)

    def is_counted(self, shape: Shape) -> bool:
        """Whether slots, summed over nodes, say how many fit, and an arrangement in counts can be realised.

        Preferences do not matter here: they order nodes, they take none away.
        """
        return shape.is_packable and not self._touches(shape, self.world.now)

    def _compute(
        self, shape: Shape, nodes: NDArray[np.intp] | None, horizon: Horizon
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        world, base = self.world, self.world.base
        rows = len(base.all_nodes) if nodes is None else len(nodes)
        base.meter.charge(_UNITS_A_REFRESH if nodes is not None else _UNITS_A_BOARD + rows // _ROWS_A_UNIT)
        everything = world.free_for(horizon) if nodes is None else self._rows(nodes, horizon)
        allowed = base.static_mask(shape).allowed
        allowed = allowed if nodes is None else allowed[nodes]
        slots = np.where(allowed, np.int64(1) << 30, 0)
        for column in np.flatnonzero(shape.request):
            np.minimum(slots, everything[:, column] // shape.request[column], out=slots)
        np.maximum(slots, 0, out=slots)
        devices = self._limit_by_devices(shape, nodes, slots, horizon)
        if shape.backed:
            devices_of = world.room(horizon).devices
            base.backing.limit(
                shape.spec, shape.backed, self._named_nodes(nodes), devices_of, slots, shape.terms.closure
            )
        opened: NDArray[np.int64] | None = None
        if shape.spec.gpu_share is not None:
            opened = self._limit_by_shares(shape, nodes, slots, horizon)
        elif shape.pieces is not None:
            self._limit_by_pieces(shape, nodes, slots, horizon)
        elif shape.plain is None:
            np.minimum(slots, 1, out=slots)
        cost = self._cost(shape, everything, devices, nodes)
        if opened is not None and base.policy.gpu_strategy is Strategy.BINPACK:
            cost += opened * _OPENED_GPU
        return slots, cost

    def _rows(self, nodes: NDArray[np.intp], horizon: Horizon) -> NDArray[np.int64]:
        world = self.world
        if horizon is Horizon.LATER or not world.is_releasing:
            return world.later.free[nodes]
        return np.minimum(world.now.free[nodes], world.later.free[nodes])

    def _limit_by_devices(
        self, shape: Shape, nodes: NDArray[np.intp] | None, slots: NDArray[np.int64], horizon: Horizon
    ) -> NDArray[np.int64] | None:
        if not shape.plain:
            return None
        first: NDArray[np.int64] | None = None
        wanted: dict[object, int] = {}
        for need in shape.plain:
            wanted[need.key] = wanted.get(need.key, 0) + need.count
        room: Room = self.world.room(horizon)
        for need in {need.key: need for need in shape.plain}.values():
            free = matching_free(self.world.base.device_index, room.devices, need, self._named_nodes(nodes))
            first = free if first is None else first
            np.minimum(slots, free // wanted[need.key], out=slots)
        return first

    def _limit_by_pieces(
        self, shape: Shape, nodes: NDArray[np.intp] | None, slots: NDArray[np.int64], horizon: Horizon
    ) -> None:
        partitions = partitions_of(self.world.base.device_index)
        self.world.base.meter.charge(len(self._named_nodes(nodes)) // _LOOKS_A_UNIT)
        devices = self.world.room(horizon).devices
        for position, node in enumerate(self._named_nodes(nodes)):
            for need in shape.pieces or ():
                if slots[position] <= 0:
                    break
                there = partitions.most(devices, int(node), need.key) // need.count
                slots[position] = min(int(slots[position]), there)

    def _named_nodes(self, nodes: NDArray[np.intp] | None) -> NDArray[np.intp]:
        return self.world.base.all_nodes if nodes is None else nodes

    def _limit_by_shares(
        self, shape: Shape, nodes: NDArray[np.intp] | None, slots: NDArray[np.int64], horizon: Horizon
    ) -> NDArray[np.int64]:
        """One pod where it fits; returns how many whole GPUs it would open on each node."""
        opened = np.zeros_like(slots)
        self.world.base.meter.charge(int(np.count_nonzero(slots > 0)) // _LOOKS_A_UNIT)
        for position, node in enumerate(self._named_nodes(nodes)):
            if slots[position] <= 0:
                continue
            choice = self.world.choose_share(shape, int(node), horizon)
            slots[position] = 0 if choice is None else 1
            opened[position] = 0 if choice is None else choice.opened
        return opened

    def _cost(
        self,
        shape: Shape,
        free: NDArray[np.int64],
        devices: NDArray[np.int64] | None,
        nodes: NDArray[np.intp] | None,
    ) -> NDArray[np.int64]:
        base = self.world.base
        gpu_columns = [column for column in base.gpu_columns if shape.request[column]]
        is_gpu = True
        is_backed: NDArray[np.bool_] | None = None
        if gpu_columns:
            cost = free[:, gpu_columns[0]].copy()
            if shape.backed:
                # What is opened without limit is as tight as its free devices.
                is_backed = cost >= UNLIMITED >> 1
                cost = np.where(is_backed, self._backed_cost(shape, nodes), cost)
        elif devices is not None:
            cost = devices.copy()
        elif shape.spec.gpu_share is not None and base.gpu_columns:
            cost = free[:, base.gpu_columns[0]].copy()
        else:
            is_gpu = bool(shape.own or shape.named)
            cost = free[:, base.cpu_column].copy()
        strategy = base.policy.gpu_strategy if is_gpu else base.policy.cpu_strategy
        if strategy is Strategy.SPREAD:
            np.negative(cost, out=cost)
        if not is_gpu:
            has_gpus = base.has_gpus if nodes is None else base.has_gpus[nodes]
            cost += np.where(has_gpus, _CPU_NODE_BONUS, 0)
        if is_backed is not None:
            cost += np.where(is_backed, _CLAIM_NODE_BONUS, 0)
        return cost

    def _backed_cost(self, shape: Shape, nodes: NDArray[np.intp] | None) -> NDArray[np.int64]:
        named = self._named_nodes(nodes)
        devices = self.world.now.devices
        backing, closure = self.world.base.backing, shape.terms.closure
        counts = [backing.free_devices(name, named, devices, closure) for name in shape.backed]
        found = [count for count in counts if count is not None]
        return np.maximum.reduce(found) if found else np.zeros(len(named), dtype=np.int64)

    def _dynamic_mask(self, shape: Shape, horizon: Horizon) -> NDArray[np.bool_] | None:
        room = self.world.room(horizon)
        if not self._touches(shape, room):
            return None
        base = self.world.base
        base.meter.charge(_UNITS_A_REFRESH + len(base.all_nodes) // _ROWS_A_UNIT)
        return room.dynamic.mask(shape.spec)

    def _touches(self, shape: Shape, room: Room) -> bool:
        return self.world.base.has_dynamic_rules and room.dynamic.touches(shape.spec)

    def _named_mask(self, shape: Shape) -> NDArray[np.bool_]:
        world = self.world
        mask = world.base.everywhere
        for key in shape.named:
            allocation = world.allocation_of(key)
            if allocation is not None and allocation.node_selector is not None:
                mask = mask & world.base.table.match(allocation.node_selector)
            if allocation is not None and world.base.custody.refuses(shape.terms.closure, allocation):
                return np.zeros_like(mask)
        return mask
