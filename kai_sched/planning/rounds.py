"""Rounds: serves the gangs of a stage in fair order, each within its allowance of work; see ``planning.turns``.

What one gang costs, it costs itself: where its allowance is spent, or deciding it fails, what was tried is rolled back
and the next gang has its turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from kai_sched.fairness.ordering import JobInQueue, ServiceOrder
from kai_sched.model.ids import QueueName
from kai_sched.placement.gangs import Gang
from kai_sched.planning.cycle_state import CycleState, GangRecord
from kai_sched.planning.turn_taking import Ended, take_turn
from kai_sched.planning.turns import LIGHT_PODS, NO_WORK_LEFT, Purse, Round, enough_for

_MOST_AT_ONCE: Final = 500
"""Interchangeable gangs that have one turn together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What a stage does in a turn."""

    one: Callable[[GangRecord, JobInQueue], None]
    """Leaves the reason in the record where it seats nothing."""
    alike: Callable[[Sequence[JobInQueue]], Sequence[JobInQueue]]
    """Those of the run that found no place together, and may yet find one alone."""
    are_alike: Callable[[JobInQueue], bool]
    """Whether runs of jobs like this may be served at once."""


@dataclass(slots=True)
class Rounds:
    """One stage's service of all considered gangs."""

    state: CycleState
    server: Server
    _late: list[GangRecord] = field(default_factory=list)
    """Gangs for which the first round had too little work."""

    def run(self) -> None:
        """Serve every gang that is tried in this cycle, elastic ones until they are full or refused."""
        turns = self.state.turns
        due: dict[Round, list[GangRecord]] = {turn: [] for turn in Round}
        for record in self.state.records.values():
            before = turns.refusal_before(record.gang.group.key)
            if before is not None:
                record.refusal = before
            else:
                due[turns.round_of(record.gang.group.key)].append(record)
        self._serve(due[Round.FIRST], Round.FIRST)
        self._serve([*self._late, *due[Round.SECOND]], Round.SECOND)

    def _serve(self, records: Sequence[GangRecord], turn: Round) -> None:
        state, server = self.state, self.server
        order = self._order(records, turn)
        while (length := order.run_length()) > 0:
            first = order.peek()
            is_run = first is not None and length > 1 and server.are_alike(first)
            jobs = order.pop_many(min(length, _MOST_AT_ONCE) if is_run else 1)
            if len(jobs) > 1:
                self._serve_alike(jobs, turn)
                continue
            record = state.records[jobs[0].group]
            if self._serve_one(record, jobs[0], turn) and record.refusal is None:
                following = self._next_job(record, turn)
                if following is not None:
                    order.push_back(following)

    def _serve_one(self, record: GangRecord, job: JobInQueue, turn: Round) -> bool:
        return self._in_turn([record], turn, partial(self.server.one, record, job))

    def _serve_alike(self, jobs: Sequence[JobInQueue], turn: Round) -> None:
        left: list[JobInQueue] = []
        records = [self.state.records[job.group] for job in jobs]
        self._in_turn(records, turn, lambda: left.extend(self.server.alike(jobs)))
        for job in left:
            self._serve_one(self.state.records[job.group], job, turn)

    def _order(self, records: Sequence[GangRecord], turn: Round) -> ServiceOrder:
        state = self.state
        jobs: dict[QueueName, list[JobInQueue]] = {}
        for record in records:
            job = self._next_job(record, turn)
            if job is not None:
                jobs.setdefault(job.queue, []).append(job)
        return ServiceOrder(
            state.tree,
            state.shares,
            state.ledger,
            jobs,
            total=state.total,
            queue_depth=state.policy.queue_depth,
        )

    def _next_job(self, record: GangRecord, turn: Round) -> JobInQueue | None:
        """What a gang asks for next, looked at within an allowance of its own."""
        found: list[JobInQueue | None] = []
        is_known = self._within(
            [record], Purse.LOOKING, turn, lambda: found.append(self.state.job_of(record)), pods=1
        )
        return found[0] if is_known else None

    def _in_turn(self, records: Sequence[GangRecord], turn: Round, serve: Callable[[], None]) -> bool:
        """Serve gangs that are alike within their allowance, or put them off; whether an answer was found."""
        pods = max(1, len(records[0].gang.core_pods()))
        purse = self._purse_of(records[0].gang, pods)
        return self._within(records, purse, turn, serve, pods=pods * len(records))

    def _within(
        self,
        records: Sequence[GangRecord],
        purse: Purse,
        turn: Round,
        serve: Callable[[], None],
        *,
        pods: int,
    ) -> bool:
        state, meter, queue = self.state, self.state.meter, records[0].gang.group.queue
        allowance = state.turns.allowance(purse, queue, pods, turn)
        if not allowance:
            self._put_off(records, turn, is_spent=False)
            return False
        began = meter.own_units
        ended = take_turn(state, records, allowance, serve)
        state.turns.count(purse, queue, meter.own_units - began)
        is_spent = allowance >= enough_for(pods)
        if ended is not Ended.DONE:
            if ended is Ended.OUT_OF_WORK:
                self._put_off(records, turn, is_spent=is_spent)
            return False
        refusal = records[0].refusal
        is_given_up = refusal is not None and refusal.is_given_up
        if is_given_up:
            self._put_off(records, turn, is_spent=is_spent, keeps_reason=True)
        return not is_given_up

    def _put_off(
        self, records: Sequence[GangRecord], turn: Round, *, is_spent: bool, keeps_reason: bool = False
    ) -> None:
        """To the second round, or to a later cycle."""
        turns = self.state.turns
        for record in records:
            group = record.gang.group.key
            if record.placed or record.pipelined:
                # What it needs, it has; pods above its minimum may come with the next cycle.
                record.refusal = NO_WORK_LEFT
                continue
            if turn is Round.FIRST:
                self._late.append(record)
                continue
            told = turns.spent(group) if is_spent else turns.not_reached(group)
            if not keeps_reason:
                record.refusal = told

    def _purse_of(self, gang: Gang, pods: int) -> Purse:
        """Whose work it is: whether counting alone decides the gang."""
        base = self.state.boards.world.base
        is_flat = not gang.group.sub_groups and gang.root.constraint is None and pods <= LIGHT_PODS
        waiting = gang.root.pending[:LIGHT_PODS]
        is_counted = is_flat and all(base.shape_of(pod).is_countable for pod in waiting)
        return Purse.COUNTED if is_counted else Purse.SEARCHED
