"""World: what is free while a plan grows. Placements are journalled, so that a gang is undone as a whole.

Two views are kept. ``now`` is what is free this moment; ``future`` also counts the room of pods that are being
released. A pod bound now needs both (a promise to a pipelined gang is kept); a pipelined pod needs ``future`` only.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kai_sched.devices.allocator import (
    DeviceRefusal,
    DeviceState,
    PieceKey,
    RefusalKind,
    allocate,
    grant,
)
from kai_sched.devices.closures import OPEN
from kai_sched.devices.pools import PooledDevice
from kai_sched.model.devices import Claim, ClaimAllocation
from kai_sched.model.ids import ClaimKey
from kai_sched.placement.rules.dynamic import DynamicRules
from kai_sched.placement.site.backing import SpecialClaim
from kai_sched.placement.site.base import WorldBase
from kai_sched.placement.site.custody import NO_TERMS
from kai_sched.placement.site.fabrics import Homes
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.world.gpu_shares import GpuShares, ShareChoice
from kai_sched.placement.world.horizon import Horizon
from kai_sched.placement.world.moments import Moment

MAX_CONSUMERS = 256
"""Entries of reservedFor that the API server accepts."""


@dataclass(slots=True)
class Room:
    """One view of what is free; ``free``: int64[N, R] in the node table's axis."""

    free: NDArray[np.int64]
    devices: DeviceState
    dynamic: DynamicRules
    shares: GpuShares

    def fork(self) -> Room:
        return Room(self.free.copy(), self.devices.fork(), self.dynamic.fork(), self.shares.fork())


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A pod's place: node index, claims allocated with it, groups of shared GPUs."""

    pod: int
    shape: Shape
    node: int
    horizon: Horizon
    allocations: tuple[tuple[ClaimKey, ClaimAllocation], ...] = ()
    share: ShareChoice | None = None
    special: SpecialClaim | None = None
    """The claim made for extended resources that the node serves by DRA; its allocation is the last."""


@dataclass(slots=True)
class World:
    """The growing plan: seats taken so far over a base that does not change."""

    base: WorldBase
    now: Room
    future: Room
    """The same object as ``now`` when nothing is being released."""
    homes: Homes
    seats: list[Seat] = field(default_factory=list)
    allocated: dict[ClaimKey, ClaimAllocation] = field(default_factory=dict)
    """Claims allocated by seats of this world."""
    consumers: dict[ClaimKey, int] = field(default_factory=dict)
    touched: list[int] = field(default_factory=list)
    """Node indices whose room changed, in order: boards refresh from their last position."""
    era: object = field(default_factory=object)
    """See ``Moment``."""

    @property
    def has_future(self) -> bool:
        """Whether anything is being released, so that waiting for it can help."""
        return self.future is not self.now

    def fork(self) -> World:
        """An independent world with the same seats."""
        now = self.now.fork()
        return World(
            base=self.base,
            now=now,
            future=self.future.fork() if self.has_future else now,
            homes=self.homes.fork(),
            seats=list(self.seats),
            allocated=dict(self.allocated),
            consumers=dict(self.consumers),
        )

    def room(self, horizon: Horizon) -> Room:
        return self.future if horizon is Horizon.LATER else self.now

    def free_for(self, horizon: Horizon) -> NDArray[np.int64]:
        """int64[N, R] that a new pod may use."""
        if horizon is Horizon.LATER or not self.has_future:
            return self.future.free
        return np.minimum(self.now.free, self.future.free)

    def moment(self) -> Moment:
        """What a conclusion from this world as it is now has to be kept with."""
        return Moment(self.era, len(self.seats), self.seats[-1] if self.seats else None)

    def stands(self, moment: Moment) -> bool:
        """Whether all seats of a moment are taken still, so that nobody has more room than then."""
        length = moment.length
        return (
            moment.era is self.era
            and length <= len(self.seats)
            and (not length or self.seats[length - 1] is moment.last)
        )

    def is_as_at(self, moment: Moment) -> bool:
        """Whether there are no other seats than at a moment."""
        return moment.length == len(self.seats) and self.stands(moment)

    def checkpoint(self) -> int:
        """A mark to roll back to."""
        return len(self.seats)

    def rollback(self, mark: int) -> None:
        """Undo every seat taken after ``mark``, newest first."""
        while len(self.seats) > mark:
            self._undo(self.seats.pop())

    def withdraw(self, pods: AbstractSet[int]) -> None:
        """Undo the seats of these pods wherever they are in the order.

        Pods that share a claim allocated here must go together.
        """
        self.era = object()
        gone = [seat for seat in self.seats if seat.pod in pods]
        self.seats = [seat for seat in self.seats if seat.pod not in pods]
        for seat in reversed(gone):
            self._undo(seat)

    def take(self, pod: int, shape: Shape, node: int, horizon: Horizon) -> Seat | DeviceRefusal:
        """Seat one pod on a node whose counted resources fit; its claims are allocated here."""
        share = None
        if shape.spec.gpu_share is not None:
            share = self.choose_share(shape, node, horizon)
            if share is None:
                return _no_devices("no GPU has the asked share free")
        granted: tuple[tuple[ClaimKey, ClaimAllocation], ...] = ()
        wanted = self.unallocated_claims(pod)
        special = None
        if shape.backed:
            special = self.base.backing.special_claim(self.base.pods[pod], shape.backed, node)
        if special is not None:
            wanted = (*wanted, special.claim)
        problem = "" if shape.terms is NO_TERMS else self._custody_problem(pod, shape, node, wanted)
        if problem:
            return _no_devices(problem)
        if wanted:
            found = self._allocate(shape, wanted, node, horizon)
            if isinstance(found, DeviceRefusal):
                return found
            granted = tuple((claim.key, allocation) for claim, allocation in zip(wanted, found, strict=True))
        seat = Seat(
            pod=pod,
            shape=shape,
            node=node,
            horizon=horizon,
            allocations=granted,
            share=share,
            special=special,
        )
        self._apply(seat)
        return seat

    def take_pieces(
        self, pod: int, shape: Shape, node: int, pieces: dict[PieceKey, list[PooledDevice]]
    ) -> bool:
        """Seat one pod now, its claims allocated from these devices; False where they do not serve it."""
        base = self.base
        wanted = self.unallocated_claims(pod)
        found = grant(
            base.device_index,
            self.now.devices,
            base.table.nodes[node],
            wanted,
            pieces,
            base.options_of(shape),
        )
        if found is None:
            return False
        granted = tuple((claim.key, allocation) for claim, allocation in zip(wanted, found, strict=True))
        self._apply(Seat(pod=pod, shape=shape, node=node, horizon=Horizon.NOW, allocations=granted))
        return True

    def has_room(self, shape: Shape, node: int) -> bool:
        """Whether a node's counted resources suffice for one more pod now."""
        return all(bool((room.free[node] >= shape.request).all()) for room in self._every_room())

    def unallocated_claims(self, pod: int) -> tuple[Claim, ...]:
        """Claims of a pod that neither the cluster nor this world has allocated."""
        claims = (self.base.claims[key] for key in self.base.pods[pod].claim_keys)
        return tuple(c for c in claims if c.allocation is None and c.key not in self.allocated)

    def allocation_of(self, claim: ClaimKey) -> ClaimAllocation | None:
        """The allocation of a claim here, by the cluster or by this world."""
        return self.allocated.get(claim) or self.base.claims[claim].allocation

    def consumer_count(self, claim: ClaimKey) -> int:
        """Consumers of a claim so far, those seated here included."""
        return len(self.base.claims[claim].reserved_for) + self.consumers.get(claim, 0)

    def _custody_problem(self, pod: int, shape: Shape, node: int, wanted: Sequence[Claim]) -> str:
        """Why custody refuses the pod here whatever devices are free; "" if it does not."""
        base = self.base
        if shape.terms.alone.intersection(shape.named):
            uid = base.pods[pod].uid
            for key in shape.named:
                others = [one for one in base.claims[key].reserved_for if one.uid != uid]
                if key in shape.terms.alone and (others or self.consumers.get(key)):
                    return f"claim {key}: the GPUs of a confidential pod serve no other"
        bundle = base.device_index.closures.bundle(shape.terms.closure, base.table.nodes[node].name)
        if not wanted and not bundle <= self._held_gpus(shape):
            return "all GPUs of the node go to one pod"
        return ""

    def _held_gpus(self, shape: Shape) -> frozenset[int]:
        allocations = map(self.allocation_of, shape.named)
        return frozenset[int]().union(
            *(self.base.custody.ordinals_of(one) for one in allocations if one is not None)
        )

    def _allocate(
        self, shape: Shape, wanted: Sequence[Claim], node: int, horizon: Horizon
    ) -> tuple[ClaimAllocation, ...] | DeviceRefusal:
        base = self.base
        return allocate(
            base.device_index,
            self.room(horizon).devices,
            base.table.nodes[node],
            wanted,
            base.options_of(shape, self._held_gpus(shape) if shape.terms.closure != OPEN else frozenset()),
        )

    def choose_share(self, shape: Shape, node: int, horizon: Horizon) -> ShareChoice | None:
        """The GPUs of a node that a pod of this shape would take parts of; None where it does not fit."""
        column = self.base.gpu_column_of[node]
        share = shape.spec.gpu_share
        if share is None or column < 0:
            return None
        free_gpus = int(self.free_for(horizon)[node, column])
        shares, there = self.room(horizon).shares, self.base.table.nodes[node]
        strategy = self.base.policy.gpu_strategy
        choice = shares.choose(share, there, node, free_gpus, strategy)
        if choice is None or horizon is Horizon.LATER or not self.has_future:
            return choice
        # Groups whose pods all leave have no GPU in the future, unless this pod keeps it: it may be promised.
        ending = set(choice.groups) - self.future.shares.groups_on(node).keys()
        if len(ending) <= self.future.free[node, column]:
            return choice
        return shares.choose(share, there, node, free_gpus, strategy, ending)

    def _every_room(self) -> tuple[Room, ...]:
        return (self.now, self.future) if self.has_future else (self.now,)

    def _apply(self, seat: Seat) -> None:
        self._count(seat, -1)
        if seat.shape.fabric is not None:
            self.homes.change(seat.shape.fabric, seat.node, +1)
        for room in self._every_room():
            # Devices, shares and neighbours are held in both views: what is promised is not given to another.
            for _, allocation in seat.allocations:
                room.devices.take(allocation)
            if seat.share is not None:
                is_promise = self._is_promise(seat, room)
                opened = room.shares.take(seat.node, seat.share, is_promise=is_promise)
                self._count_gpus(room, seat, -opened)
            if self.base.has_dynamic_rules:
                room.dynamic.place(seat.shape.spec, seat.node)
        for key, allocation in seat.allocations:
            self.allocated[key] = allocation
        for key in seat.shape.named:
            self.consumers[key] = self.consumers.get(key, 0) + 1
        self.seats.append(seat)
        self.touched.append(seat.node)

    def _undo(self, seat: Seat) -> None:
        self._count(seat, +1)
        if seat.shape.fabric is not None:
            self.homes.change(seat.shape.fabric, seat.node, -1)
        for room in self._every_room():
            for _, allocation in seat.allocations:
                room.devices.release(allocation)
            if seat.share is not None:
                self._count_gpus(room, seat, room.shares.give_back(seat.node, seat.share))
            if self.base.has_dynamic_rules:
                room.dynamic.remove(seat.shape.spec, seat.node)
        for key, _ in seat.allocations:
            del self.allocated[key]
        for key in seat.shape.named:
            self.consumers[key] -= 1
        self.touched.append(seat.node)

    def _count(self, seat: Seat, sign: int) -> None:
        """Counted resources: a pipelined pod takes room of the future only, ``free_for`` minds both."""
        rooms = (self.future,) if seat.horizon is Horizon.LATER else self._every_room()
        for room in rooms:
            room.free[seat.node] += sign * seat.shape.request

    def _is_promise(self, seat: Seat, room: Room) -> bool:
        """Whether the seat takes what another still has."""
        return seat.horizon is Horizon.LATER and room is self.now and self.has_future

    def _count_gpus(self, room: Room, seat: Seat, change: int) -> None:
        """Whole GPUs that groups take or leave."""
        if not self._is_promise(seat, room):
            room.free[seat.node, self.base.gpu_column_of[seat.node]] += change


def _no_devices(message: str) -> DeviceRefusal:
    return DeviceRefusal(kind=RefusalKind.NO_FIT, claim=ClaimKey(""), request="", message=message)
