"""Rounds of a stage that evicts: the gangs that found no place, in fair order, each with one attempt within its allowance."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

from kai_sched.fairness.ordering import Fill, JobInQueue, ServiceOrder
from kai_sched.fairness.protection import may_ask_at
from kai_sched.model.ids import QueueName
from kai_sched.model.policy import StageName
from kai_sched.planning.cycle_state import CycleState, GangRecord
from kai_sched.planning.eviction.attempt import Attempt
from kai_sched.planning.eviction.book import Book
from kai_sched.planning.eviction.rights import OF_PLACE, RightsOf, exact_request
from kai_sched.planning.turn_taking import take_turn

_PART_OF_A_GANG: Final = 4
"""One gang's attempts may take such a part of the work of a stage."""


@dataclass(slots=True)
class EvictionRounds:
    """One stage. ``rights_of``: whom a gang may ask to leave."""

    state: CycleState
    stage: StageName
    rights_of: RightsOf
    _failed: set[Hashable] = field(default_factory=set)
    """(queue, signature) of gangs that had no place: those like them have none either, as rights only shrink."""
    _left: int = 0

    def run(self) -> None:
        """Serve every gang that waits for a place."""
        state = self.state
        jobs: dict[QueueName, list[JobInQueue]] = {}
        for record in state.records.values():
            job = self._job_of(record)
            if job is not None:
                jobs.setdefault(job.queue, []).append(job)
        if not jobs:
            return
        self._left = state.policy.solver.work
        book = Book(state)
        order = ServiceOrder(
            state.tree,
            state.shares,
            state.ledger,
            jobs,
            total=state.total,
            queue_depth=dict(state.policy.queue_depth_of).get(self.stage),
        )
        while (job := order.pop()) is not None:
            self._serve(state.records[job.group], job, book)

    def _job_of(self, record: GangRecord) -> JobInQueue | None:
        """What a gang asks for that found no place, may wait no longer, and lost nothing itself in this cycle."""
        refusal, group = record.refusal, record.gang.group
        if refusal is None or refusal.blocker not in OF_PLACE or refusal.is_given_up or record.pipelined:
            return None
        if group.key in self.state.losses or self.state.snapshot.now < may_ask_at(group):
            return None
        return self.state.job_of(record)

    def _serve(self, record: GangRecord, job: JobInQueue, book: Book) -> None:
        state, meter = self.state, self.state.meter
        likeness = (job.queue, job.signature) if job.signature is not None else None
        if record.gang.group.key in state.losses or self._left <= 0 or likeness in self._failed:
            return
        began, seated = meter.own_units, list[bool]()
        take_turn(
            state,
            [record],
            min(self._left, state.policy.solver.work // _PART_OF_A_GANG),
            lambda: seated.append(self._attempt(record, job, book)),
        )
        self._left -= meter.own_units - began
        if seated != [True] and likeness is not None:
            self._failed.add(likeness)

    def _attempt(self, record: GangRecord, job: JobInQueue, book: Book) -> bool:
        state = self.state
        is_core = job.fill is Fill.BELOW_MIN
        pods = record.gang.core_pods() if is_core else record.gang.extra_pods()
        rights = self.rights_of(state, record.gang.group, exact_request(state, pods))
        if rights is None:
            return False
        return Attempt(
            state=state,
            record=record,
            stage=self.stage,
            rights=rights,
            book=book,
            is_core=is_core,
        ).run()
