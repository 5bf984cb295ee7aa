"""Attempt: one gang in its turn makes others leave, as few as are found, within its rights; or nothing happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kai_sched.fairness.ledger import Ledger
from kai_sched.model.plan import Eviction
from kai_sched.model.policy import StageName
from kai_sched.placement.clearing.clear import Clearer, Clearing
from kai_sched.placement.gangs import Gang
from kai_sched.placement.refusal import Refusal
from kai_sched.placement.seating.greedy import place_core, place_extra
from kai_sched.placement.world.ground import Ground
from kai_sched.placement.world.horizon import Horizon
from kai_sched.placement.world.spans import shapes_of
from kai_sched.planning.bounds import over_bounds
from kai_sched.planning.cycle_state import CycleState, GangRecord
from kai_sched.planning.eviction.book import Book, Entry
from kai_sched.planning.eviction.rights import Rights
from kai_sched.planning.recording import record_seats


@dataclass(slots=True)
class Attempt:
    """Of one gang."""

    state: CycleState
    record: GangRecord
    stage: StageName
    rights: Rights
    book: Book
    is_core: bool

    def run(self) -> bool:
        """Whether the gang has a place now; then the state says who leaves for it."""
        state, gang, book = self.state, self.record.gang, self.book
        if not any(map(self._may_ask, book.roster.order)):
            # Room that others' victims leave over is no room of a gang without rights: the next cycle gives it in turn.
            return False
        world = state.boards.world
        pods = gang.core_pods() if self.is_core else gang.extra_pods()
        shapes = shapes_of(world, pods)
        shape = max(shapes, key=lambda shape: (int(shape.request.sum()) * shapes[shape], -shape.index))
        mark = world.checkpoint()
        clearing = Clearer(
            boards=state.boards,
            roster=book.roster,
            may_ask=self._may_ask,
            seat=self._seat,
            taker=lambda: self.rights.taker(book.amounts),
            wanted=(shape, shapes[shape]),
            allowed=state.open_to(gang.group.key),
            areas=self._areas(gang),
            rankings=book.rankings,
        ).clear()
        if clearing is None:
            return False
        self._keep(clearing, mark)
        return True

    def _may_ask(self, position: int) -> bool:
        """Whether a part may be asked to leave. Who lost one for somebody else in this cycle is not asked again."""
        entry = self.book.entries[position]
        victim = entry.victim
        key = victim.group.key
        if key == self.record.gang.group.key or key in self.state.losses or not self.rights.may_lose(victim):
            return False
        return not (entry.part.is_core and self.rights.is_safe(victim))

    def _areas(self, gang: Gang) -> NDArray[np.int32] | None:
        """int32[N]: the domains one of which must hold all of it."""
        constraint = gang.root.constraint
        if constraint is None or not constraint.required_level:
            return None
        domains = self.state.boards.world.base.domains
        return domains.codes(constraint.topology, constraint.required_level)

    def _seat(self, ground: Ground) -> Refusal | None:
        """Seat it where the bounds of its queue are kept once those who are leaving have left."""
        state, gang = self.state, self.record.gang
        world = ground.world
        mark = world.checkpoint()
        refusal = place_core(ground, gang) if self.is_core else place_extra(ground, gang, may=lambda _: None)
        if refusal is not None:
            return refusal
        request = state.request_on(world.seats_since(mark))
        breach = over_bounds(state.ledger, gang.group, request)
        if breach is None:
            return None
        ledger = state.ledger.fork()
        leaving = [
            entry
            for entry in self.book.entries
            if entry.part.pods[0] in world.leaving and entry.victim.group.key not in state.losses
        ]
        self._refund(ledger, leaving)
        breach = over_bounds(ledger, gang.group, request)
        if breach is not None:
            world.rollback(mark)
        return breach

    def _keep(self, clearing: Clearing, mark: int) -> None:
        state, record = self.state, self.record
        leaving = [self.book.entries[position] for position in clearing.leaving]
        self._refund(state.ledger, leaving)
        seats = state.boards.world.seats_since(mark)
        record.waits |= record.gang.needs_any({seat.pod for seat in seats})
        record.refusal = None
        record_seats(state, record, seats, Horizon.LATER)
        for entry in leaving:
            group = entry.victim.group.key
            for position in entry.part.pods:
                pod = state.snapshot.pods[position]
                evicted = Eviction(
                    pod=pod.key,
                    uid=pod.uid,
                    pod_group=group,
                    stage=self.stage,
                    beneficiary=record.gang.group.key,
                )
                state.evictions.append(evicted)
                state.losses.setdefault(group, []).append(evicted)

    def _refund(self, ledger: Ledger, leaving: Sequence[Entry]) -> None:
        for entry in leaving:
            ledger.refund(entry.victim.group.queue, entry.freed, is_preemptible=True)
