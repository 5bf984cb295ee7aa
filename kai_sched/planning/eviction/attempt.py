"""Attempt: one gang in its turn makes others leave, as few as are found, within its rights; or nothing happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from kai_sched.fairness.exact import exact_of
from kai_sched.fairness.ledger import Ledger
from kai_sched.model.plan import Eviction
from kai_sched.model.policy import StageName
from kai_sched.placement.clearing.clear import Clearer, Clearing
from kai_sched.placement.clearing.units import Loss, Unit
from kai_sched.placement.gangs import Gang
from kai_sched.placement.refusal import Refusal
from kai_sched.placement.seating.greedy import place_core, place_extra
from kai_sched.placement.world.ground import Ground
from kai_sched.placement.world.horizon import Horizon
from kai_sched.placement.world.spans import shapes_of
from kai_sched.placement.world.stays import stay_of
from kai_sched.planning.bounds import over_bounds
from kai_sched.planning.cycle_state import CycleState, GangRecord
from kai_sched.planning.eviction.rights import Rights
from kai_sched.planning.eviction.victims import Holdings, Part, Victim
from kai_sched.planning.recording import record_seats

_MILLIS = 1000


@dataclass(slots=True)
class Attempt:
    """Of one gang. ``victims``: all who run and may be taken back; who lost a part in this cycle is not asked again."""

    state: CycleState
    record: GangRecord
    stage: StageName
    rights: Rights
    victims: Sequence[Victim]
    holdings: Holdings
    is_core: bool

    def run(self) -> bool:
        """Whether the gang has a place now; then the state says who leaves for it."""
        asked = self._asked()
        if not asked:
            return False
        state, gang = self.state, self.record.gang
        world = state.boards.world
        amounts = [
            (victim.group.queue, exact_of(self.holdings.freed_by(part.pods))) for victim, part in asked
        ]
        pods = gang.core_pods() if self.is_core else gang.extra_pods()
        shapes = shapes_of(world, pods)
        shape = max(shapes, key=lambda shape: (int(shape.request.sum()) * shapes[shape], -shape.index))
        mark = world.checkpoint()
        clearing = Clearer(
            boards=state.boards,
            units=self._units(asked),
            seat=partial(self._seat, asked=asked),
            taker=lambda: self.rights.taker(amounts),
            wanted=(shape, shapes[shape]),
            allowed=state.open_to(gang.group.key),
            areas=self._areas(gang),
        ).clear()
        if clearing is None:
            return False
        self._keep(clearing, asked, mark)
        return True

    def _asked(self) -> list[tuple[Victim, Part]]:
        """Who may be asked to leave, part by part."""
        asked: list[tuple[Victim, Part]] = []
        for victim in self.victims:
            if victim.group.key == self.record.gang.group.key or not self.rights.may_lose(victim):
                continue
            is_safe = self.rights.is_safe(victim)
            asked += [(victim, part) for part in victim.parts if not (is_safe and part.is_core)]
        return asked

    def _units(self, asked: Sequence[tuple[Victim, Part]]) -> list[Unit]:
        base = self.state.boards.world.base
        priorities = sorted({victim.group.priority for victim, _ in asked}, reverse=True)
        units: list[Unit] = []
        ranks: dict[str, int] = {}
        for victim, part in asked:
            key = victim.group.key
            units.append(
                Unit(
                    owner=key,
                    rank=ranks.get(key, 0),
                    stays=tuple(stay_of(base, pod) for pod in part.pods),
                    loss=self._loss(victim, part, priorities),
                )
            )
            ranks[key] = ranks.get(key, 0) + 1
        return units

    def _loss(self, victim: Victim, part: Part, priorities: Sequence[int]) -> Loss:
        """Gangs that end, by priority, the highest first; then thousandths of GPU-seconds of work; then pods."""
        state = self.state
        gangs = tuple(int(part.is_core and priority == victim.group.priority) for priority in priorities)
        work = 0.0
        for position in part.pods:
            pod = state.snapshot.pods[position]
            began = victim.group.last_start_at or pod.created_at
            work += state.accounting.quota_of_pod(pod).gpu * max(0.0, state.snapshot.now - began)
        return (*gangs, round(work * _MILLIS), len(part.pods))

    def _areas(self, gang: Gang) -> NDArray[np.int32] | None:
        """int32[N]: the domains one of which must hold all of it."""
        constraint = gang.root.constraint
        if constraint is None or not constraint.required_level:
            return None
        domains = self.state.boards.world.base.domains
        return domains.codes(constraint.topology, constraint.required_level)

    def _seat(self, ground: Ground, asked: Sequence[tuple[Victim, Part]]) -> Refusal | None:
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
        self._refund(ledger, [one for one in asked if one[1].pods[0] in world.leaving])
        breach = over_bounds(ledger, gang.group, request)
        if breach is not None:
            world.rollback(mark)
        return breach

    def _keep(self, clearing: Clearing, asked: Sequence[tuple[Victim, Part]], mark: int) -> None:
        state, record = self.state, self.record
        leaving = [asked[position] for position in clearing.leaving]
        self._refund(state.ledger, leaving)
        seats = state.boards.world.seats_since(mark)
        record.waits |= record.gang.needs_any({seat.pod for seat in seats})
        record.refusal = None
        record_seats(state, record, seats, Horizon.LATER)
        for victim, part in leaving:
            for position in part.pods:
                pod = state.snapshot.pods[position]
                evicted = Eviction(
                    pod=pod.key,
                    uid=pod.uid,
                    pod_group=victim.group.key,
                    stage=self.stage,
                    beneficiary=record.gang.group.key,
                )
                state.evictions.append(evicted)
                state.losses.setdefault(victim.group.key, []).append(evicted)

    def _refund(self, ledger: Ledger, leaving: Sequence[tuple[Victim, Part]]) -> None:
        for victim, part in leaving:
            ledger.refund(victim.group.queue, self.holdings.freed_by(part.pods), is_preemptible=True)
