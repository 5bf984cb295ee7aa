"""World: what is free while a plan grows. Seats, leaves and returns are journalled, so that they are undone as a whole.

Two views are kept as soon as anybody leaves. ``now`` is what is free this moment; ``later`` also counts the room of
those who leave. A pod bound now needs both (a promise to a pipelined gang is kept); a pipelined pod needs ``later``
only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kai_sched.devices.allocator import (
    DeviceRefusal,
    PieceKey,
    RefusalKind,
    allocate,
    grant,
)
from kai_sched.devices.closures import OPEN
from kai_sched.devices.pools import PooledDevice
from kai_sched.model.devices import Claim, ClaimAllocation
from kai_sched.model.ids import ClaimKey
from kai_sched.placement.site.base import WorldBase
from kai_sched.placement.site.custody import NO_TERMS
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.world.gpu_shares import ShareChoice
from kai_sched.placement.world.homes import Homes
from kai_sched.placement.world.horizon import Horizon
from kai_sched.placement.world.moments import Moment
from kai_sched.placement.world.room import Room, Seat
from kai_sched.placement.world.stays import NOWHERE, Leave, Return, Stay, hold, release

Entry = Seat | Leave | Return


@dataclass(slots=True)
class World:
    """The growing plan: who was seated and who leaves, over a base that does not change."""

    base: WorldBase
    now: Room
    homes: Homes
    once_left: Room | None = None
    """The room when all have left who leave; None where nobody does."""
    journal: list[Entry] = field(default_factory=list)
    seats: list[Seat] = field(default_factory=list)
    """Those of the journal."""
    leaving: dict[int, Stay] = field(default_factory=dict)
    """Pods that leave, by position."""
    left: dict[ClaimKey, int] = field(default_factory=dict)
    """Consumers of a claim who leave."""
    allocated: dict[ClaimKey, ClaimAllocation] = field(default_factory=dict)
    """Claims allocated by seats of this world."""
    consumers: dict[ClaimKey, int] = field(default_factory=dict)
    touched: list[int] = field(default_factory=list)
    """Node indices whose room changed, in order: boards refresh from their last position."""
    era: object = field(default_factory=object)
    """See ``Moment``."""

    @property
    def is_releasing(self) -> bool:
        """Whether anybody leaves, so that waiting for it can help."""
        return self.once_left is not None

    @property
    def later(self) -> Room:
        """What is free once those who leave have left."""
        return self.once_left or self.now

    def begin(self) -> World:
        """A fork for another run from here, in which searches cost anew."""
        self.base.meter.begin()
        return self.fork()

    def fork(self) -> World:
        """An independent world with the same seats."""
        return World(
            base=self.base,
            now=self.now.fork(),
            homes=self.homes.fork(),
            once_left=self.once_left.fork() if self.once_left is not None else None,
            journal=list(self.journal),
            seats=list(self.seats),
            leaving=dict(self.leaving),
            left=dict(self.left),
            allocated=dict(self.allocated),
            consumers=dict(self.consumers),
        )

    def room(self, horizon: Horizon) -> Room:
        return self.later if horizon is Horizon.LATER else self.now

    def free_for(self, horizon: Horizon) -> NDArray[np.int64]:
        """int64[N, R] that a new pod may use."""
        if horizon is Horizon.LATER or not self.is_releasing:
            return self.later.free
        return np.minimum(self.now.free, self.later.free)

    def moment(self) -> Moment:
        """What a conclusion from this world as it is now has to be kept with."""
        return Moment(self.era, len(self.journal), self.journal[-1] if self.journal else None)

    def stands(self, moment: Moment) -> bool:
        """Whether all seats of a moment are taken still, and nobody left since: room has not grown."""
        length = moment.length
        return (
            moment.era is self.era
            and length <= len(self.journal)
            and (not length or self.journal[length - 1] is moment.last)
        )

    def is_as_at(self, moment: Moment) -> bool:
        """Whether nothing happened since a moment."""
        return moment.length == len(self.journal) and self.stands(moment)

    def checkpoint(self) -> int:
        """A mark to roll back to."""
        return len(self.journal)

    def rollback(self, mark: int) -> None:
        """Undo what happened after ``mark``, newest first."""
        while len(self.journal) > mark:
            match self.journal.pop():
                case Seat() as seat:
                    self.seats.pop()
                    self._undo(seat)
                case Leave(stay):
                    self._hold(stay)
                    if not self.leaving:
                        self.once_left = None
                case Return(stay):
                    self._release(stay)

    def seats_since(self, mark: int) -> list[Seat]:
        """Seats taken after a mark."""
        return [entry for entry in self.journal[mark:] if isinstance(entry, Seat)]

    def settle(self) -> None:
        """Nothing of what happened so far can be undone."""
        self.journal.clear()
        self.seats.clear()

    def leave(self, stay: Stay) -> None:
        """Let a pod of the snapshot leave: what it holds is free later, and held still now."""
        if self.once_left is None:
            self.once_left = self.now.fork()
        self._release(stay)
        self.journal.append(Leave(stay))

    def come_back(self, stay: Stay) -> None:
        """Keep a pod that was to leave."""
        self._hold(stay)
        self.journal.append(Return(stay))

    def withdraw(self, pods: AbstractSet[int]) -> None:
        """Undo the seats of these pods wherever they are in the order.

        Pods that share a claim allocated here must go together.
        """
        self.era = object()
        gone = [seat for seat in self.seats if seat.pod in pods]
        self.seats = [seat for seat in self.seats if seat.pod not in pods]
        self.journal = [one for one in self.journal if not isinstance(one, Seat) or one.pod not in pods]
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
        if choice is None or horizon is Horizon.LATER or not self.is_releasing:
            return choice
        # Groups whose pods all leave have no GPU in the future, unless this pod keeps it: it may be promised.
        ending = set(choice.groups) - self.later.shares.groups_on(node).keys()
        if len(ending) <= self.later.free[node, column]:
            return choice
        return shares.choose(share, there, node, free_gpus, strategy, ending)

    def _every_room(self) -> tuple[Room, ...]:
        return (self.now,) if self.once_left is None else (self.now, self.once_left)

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
        self.journal.append(seat)
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

    def _release(self, stay: Stay) -> None:
        """What a stay holds is free later."""
        self.era = object()
        self.leaving[stay.pod] = stay
        later = self.later
        if stay.node != NOWHERE:
            release(later, stay, int(self.base.gpu_column_of[stay.node]))
            if self.base.has_dynamic_rules:
                later.dynamic.leave(stay.spec, stay.node, is_marked=stay.is_marked)
                if not stay.is_marked:
                    self.now.dynamic.mark(stay.spec, stay.node, is_leaving=True)
            self.touched.append(stay.node)
        for claim, allocation in self._claims_of(stay):
            self.left[claim.key] = self.left.get(claim.key, 0) + 1
            if self.left[claim.key] == len(claim.reserved_for):
                later.devices.release(allocation)

    def _hold(self, stay: Stay) -> None:
        """Undo ``_release``."""
        del self.leaving[stay.pod]
        later = self.later
        for claim, allocation in self._claims_of(stay):
            if self.left[claim.key] == len(claim.reserved_for):
                later.devices.take(allocation)
            self.left[claim.key] -= 1
        if stay.node != NOWHERE:
            hold(later, stay, int(self.base.gpu_column_of[stay.node]))
            if self.base.has_dynamic_rules:
                later.dynamic.come_back(stay.spec, stay.node, is_marked=stay.is_marked)
                if not stay.is_marked:
                    self.now.dynamic.mark(stay.spec, stay.node, is_leaving=False)
            self.touched.append(stay.node)

    def _claims_of(self, stay: Stay) -> Iterator[tuple[Claim, ClaimAllocation]]:
        for key in stay.claims:
            claim = self.base.claims[key]
            if claim.allocation is not None:
                yield claim, claim.allocation

    def _count(self, seat: Seat, sign: int) -> None:
        """Counted resources: a pipelined pod takes room of the future only, ``free_for`` minds both."""
        rooms = (self.later,) if seat.horizon is Horizon.LATER else self._every_room()
        for room in rooms:
            room.free[seat.node] += sign * seat.shape.request

    def _is_promise(self, seat: Seat, room: Room) -> bool:
        """Whether the seat takes what another still has."""
        return seat.horizon is Horizon.LATER and room is self.now and self.is_releasing

    def _count_gpus(self, room: Room, seat: Seat, change: int) -> None:
        """Whole GPUs that groups take or leave."""
        if not self._is_promise(seat, room):
            room.free[seat.node, self.base.gpu_column_of[seat.node]] += change


def _no_devices(message: str) -> DeviceRefusal:
    return DeviceRefusal(kind=RefusalKind.NO_FIT, claim=ClaimKey(""), request="", message=message)
