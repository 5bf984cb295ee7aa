"""Book: what everybody who may be taken back would lose, worked out once in a stage, as far as it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kai_sched.fairness.exact import Exact, exact_of
from kai_sched.model.queues import QuotaVector
from kai_sched.placement.clearing.orders import Ranking
from kai_sched.placement.clearing.units import Loss, Roster, Unit
from kai_sched.placement.world.stays import stay_of
from kai_sched.planning.cycle_state import CycleState
from kai_sched.planning.eviction.victims import Holdings, Part, Victim, victims_of

_MILLIS: Final = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """One part of a victim: as a unit that leaves, and what its queue is given back with it."""

    victim: Victim
    part: Part
    unit: Unit
    freed: QuotaVector
    amount: Exact
    """The same in whole numbers."""


class Book:
    """All victims of one stage, every part of each an entry. Positions are those of ``entries`` and of ``roster``."""

    def __init__(self, state: CycleState) -> None:
        self._state = state
        victims = victims_of(state.snapshot)
        self._holdings = Holdings.of(state.snapshot, state.accounting)
        self._priorities = sorted({one.group.priority for one in victims.values()}, reverse=True)
        self.entries = [
            self._entry(victim, part, rank)
            for victim in victims.values()
            for rank, part in enumerate(victim.parts)
        ]
        self.roster = Roster([entry.unit for entry in self.entries])
        self.amounts = [(entry.victim.group.queue, entry.amount) for entry in self.entries]
        self.rankings: dict[int, Ranking] = {}

    def _entry(self, victim: Victim, part: Part, rank: int) -> Entry:
        base = self._state.boards.world.base
        freed = self._holdings.freed_by(part.pods)
        stays = [stay_of(base, pod) for pod in part.pods]
        unit = Unit.of(victim.group.key, rank, stays, self._loss(victim, part))
        return Entry(victim, part, unit, freed, exact_of(freed))

    def _loss(self, victim: Victim, part: Part) -> Loss:
        """Gangs that end, by priority, the highest first; then thousandths of GPU-seconds of work; then pods."""
        state = self._state
        gangs = tuple(
            int(part.is_core and priority == victim.group.priority) for priority in self._priorities
        )
        work = 0.0
        for position in part.pods:
            pod = state.snapshot.pods[position]
            began = victim.group.last_start_at or pod.created_at
            work += state.accounting.quota_of_pod(pod).gpu * max(0.0, state.snapshot.now - began)
        return (*gangs, round(work * _MILLIS), len(part.pods))
