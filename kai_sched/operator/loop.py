"""The cycle: wake, take a snapshot, have it decided, phrase commands, have them executed, tell.

Cycles run one at a time. Deciding happens in the solving child, executing in the background: the next cycle begins
while pods of the last one are still being bound, and sees them as bound already.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from kai_sched.binder.execute import Binder
from kai_sched.binder.outcomes import CommandOutcome, Result
from kai_sched.binder.recover import leftover_reservations
from kai_sched.cluster.contained import Contained
from kai_sched.cluster.mirror import Mirror
from kai_sched.model.commands import BindGang, Command, Deallocate
from kai_sched.model.ids import PodGroupKey
from kai_sched.model.plan import Plan, TurnEnd
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import PodGroup, PodState
from kai_sched.operator.attempts import Attempts
from kai_sched.operator.hopes import Hopes
from kai_sched.operator.narrator import Narrator
from kai_sched.operator.pace import Pace
from kai_sched.operator.self_check import SelfCheck
from kai_sched.operator.shard import ShardNotice
from kai_sched.operator.telemetry import Telemetry
from kai_sched.planning.backlog import Backlog
from kai_sched.planning.commands import commands_for
from kai_sched.planning.completing import is_incomplete
from kai_sched.solving.messages import Prospects
from kai_sched.solving.stats import Decision, Ending, SolvingStats

_log = structlog.get_logger(__name__)


class Solver(Protocol):
    """Who decides."""

    @property
    def stats(self) -> SolvingStats: ...

    async def decide(
        self, snapshot: ClusterSnapshot, policy: Policy, deadline_seconds: float
    ) -> Decision: ...

    async def prospects(self, decision: Decision) -> Prospects | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """Who does the work of a cycle."""

    mirror: Mirror
    solver: Solver
    binder: Binder
    narrator: Narrator
    telemetry: Telemetry
    write_groups: Callable[[], bool]
    """Whether pod groups of workloads are still to be written."""
    note_shard: Callable[[], ShardNotice]
    """What is to be said of the SchedulingShard."""
    contained: Contained


class CycleLoop:
    """Runs cycles until cancelled. ``policy`` is asked anew each time: shards change; None: nothing may be decided."""

    def __init__(
        self,
        crew: Crew,
        policy: Callable[[], Policy | None],
        pace: Pace,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._mirror = crew.mirror
        self._solver = crew.solver
        self._binder = crew.binder
        self._narrator = crew.narrator
        self._telemetry = crew.telemetry
        self._self_check = SelfCheck(pace.self_check_seconds)
        self._write_groups = crew.write_groups
        self._note_shard = crew.note_shard
        self._contained = crew.contained
        self._policy = policy
        self._pace = pace
        self._decide_seconds = pace.decide_seconds
        self._attempts = Attempts(clock)
        self._backlog = Backlog()
        self._hopes = Hopes()
        self._listening: asyncio.Task[None] | None = None
        """To what those may hope for who wait after the last cycle."""
        self._groups: dict[PodGroupKey, PodGroup] = {}
        """As the last cycle saw them."""
        self.cycles = 0
        self._is_unsettled = False
        """Something is still to be done or told, though no event may come."""
        self.last_cycle_at = self._clock()
        self._began_at = self.last_cycle_at

    async def run(self) -> None:
        """Cycle after cycle; a cycle that fails costs itself only."""
        try:
            while True:
                try:
                    await self.cycle()
                except Exception:  # noqa: BLE001 — one cycle's failure must not end the operator
                    _log.exception("cycle failed", cycle=self.cycles)
                    self._is_unsettled = True
                self.last_cycle_at = self._clock()
                await self._until_due()
        finally:
            if self._listening is not None:
                self._listening.cancel()

    async def cycle(self) -> None:
        """One pass from snapshot to commands."""
        began = time.perf_counter()
        self._began_at = self._clock()
        self.cycles += 1
        policy = self._policy()
        if policy is None:
            self._narrator.tell_shard(self._note_shard(), time.time())
            self._mirror.wake.clear()
            return
        dirty = self._mirror.take_dirty()
        self._narrator.note_changed(dirty.groups)
        snapshot = self._look(policy)
        self._start(self._attempts.due())
        seen = time.perf_counter()
        self._binder.expect(_waiting_among(dirty.groups, snapshot))
        decision = await self._solver.decide(snapshot, policy, self._decide_seconds)
        self._adapt_deadline(decision)
        self._telemetry.decided(decision, self._solver.stats)
        decided = time.perf_counter()
        plan = decision.plan
        for refusal in decision.refusals:
            _log.error("plan refused by the checker", violation=refusal)
        if plan is None:
            _log.error("no plan", cycle=self.cycles, ending=decision.ending.value, reason=decision.reason)
            # What changed is taken and not decided: nobody else wakes us for it.
            self._is_unsettled = True
            return
        if decision.reason:
            _log.warning("decision cut short", ending=decision.ending.value, reason=decision.reason)
        self._note_turns(plan)
        commands = self._commands(plan, snapshot)
        self._start(commands)
        self._is_unsettled = bool(commands)
        guard = self._contained.guard
        with guard("grouping", "all pod groups"):
            self._is_unsettled |= self._write_groups()
        self._tell(plan, snapshot)
        self._listening = asyncio.create_task(self._hear_prospects(decision, plan, snapshot))
        with guard("metrics", "all queues"):
            self._measure(snapshot, plan, commands, policy)
        with guard("self_check", "the cluster"):
            self._self_check.look(snapshot, policy, self._clock())
            self._telemetry.broken(self._self_check.confirmed)
        ended = time.perf_counter()
        self._telemetry.cycle_took(ended - began, seen - began, ended - decided)
        _log_cycle(self.cycles, snapshot, plan, commands, decided - seen, ended - began)

    def _tell(self, plan: Plan, snapshot: ClusterSnapshot) -> None:
        told = self._attempts.told(self._hopes.spoken(plan, self._clock()), snapshot)
        stock = self._mirror.stock
        with self._contained.guard("telling", "all objects"):
            self._narrator.tell_cycle(
                snapshot, told, stock.queues.documents, stock.pod_groups.documents, self._note_shard()
            )

    async def _hear_prospects(self, decision: Decision, plan: Plan, snapshot: ClusterSnapshot) -> None:
        """Tell what is found out after the decision; where another cycle came first, that one tells it."""
        cycle = self.cycles
        found = await self._solver.prospects(decision)
        if found is not None and found.error:
            self._contained.note("prospects", "all pod groups", found.error)
        if found is None or not found.verdicts:
            return
        with self._contained.guard("prospects", "all pod groups"):
            self._hopes.note(plan, found.verdicts, self._clock())
            if self.cycles == cycle:
                self._tell(plan, snapshot)

    def _measure(
        self, snapshot: ClusterSnapshot, plan: Plan, commands: tuple[Command, ...], policy: Policy
    ) -> None:
        self._telemetry.queues(snapshot.queues, plan)
        tried = {
            placement.pod
            for command in commands
            if isinstance(command, BindGang)
            for placement in command.placements
        }
        if tried:
            created_at = (pod.created_at for pod in snapshot.pods if pod.key in tried)
            self._telemetry.started(created_at, time.time())
        if plan.evictions:
            uids = {group.key: group.uid for group in snapshot.pod_groups}
            self._telemetry.evicted(plan.evictions, uids, policy.partition_value or policy.shard)

    def _adapt_deadline(self, decision: Decision) -> None:
        pace = self._pace
        if decision.plan is None and decision.ending is Ending.DEADLINE and decision.was_asked:
            self._decide_seconds = min(2 * self._decide_seconds, pace.longest_decide_seconds)
        elif decision.plan is not None:
            self._decide_seconds = max(pace.decide_seconds, 2 * (decision.first_plan_seconds or 0.0))

    def ended(self, outcome: CommandOutcome) -> None:
        """The binder's report of one command."""
        command = outcome.command
        seconds = self._attempts.ended(outcome, is_incomplete=self._is_incomplete(outcome))
        if isinstance(command, BindGang) and outcome.result is not Result.DONE:
            bound = set(outcome.bound)
            if not self._attempts.keeps(command.pod_group):
                self._mirror.forget(p.pod for p in command.placements if p.pod not in bound)
            self._mirror.wake.set()
        if outcome.result is not Result.DONE:
            _log.warning(
                "command ended early",
                command=type(command).__name__,
                subject=_subject_of(command),
                result=outcome.result.value,
                reason=outcome.reason,
            )
        self._telemetry.ended(outcome, seconds)
        self._narrator.tell_outcome(outcome)

    def reset(self) -> None:
        """Forget what was in flight: the Lease was lost, others decide now."""
        for command in self._attempts.forget_all():
            self._mirror.forget(placement.pod for placement in command.placements)

    def _look(self, policy: Policy) -> ClusterSnapshot:
        """The snapshot of this cycle, with the gangs that step aside."""
        snapshot = self._mirror.snapshot(time.time(), policy)
        self._attempts.look(snapshot)
        self._groups = {group.key: group for group in snapshot.pod_groups}
        return replace(snapshot, rests=self._attempts.rests(), postponed=self._backlog.postponed())

    def _is_incomplete(self, outcome: CommandOutcome) -> bool:
        """Whether a part of a gang runs now, and it is below its minimum."""
        command = outcome.command
        if not isinstance(command, BindGang) or not (outcome.bound or command.already_bound):
            return False
        group = self._groups.get(command.pod_group)
        members = [pod for pod in self._mirror.pods.records.values() if pod.group == command.pod_group]
        return group is not None and is_incomplete(group, members, frozenset(outcome.bound))

    def _commands(self, plan: Plan, snapshot: ClusterSnapshot) -> tuple[Command, ...]:
        """The plan's commands, and what takes back leftovers that it does not use."""
        kept = {placement.pod for placement in (*plan.binds, *plan.pipelined)}
        commands = (*leftover_reservations(snapshot, kept), *commands_for(plan, snapshot))
        return tuple(filter(self._attempts.may_start, commands))

    def _start(self, commands: Iterable[Command]) -> None:
        commands = tuple(commands)
        for command in commands:
            self._attempts.started(command)
            if isinstance(command, BindGang):
                self._mirror.assume(command)
        self._binder.submit(commands)

    async def _until_due(self) -> None:
        pace = self._pace
        try:
            async with asyncio.timeout(self._idle_seconds()):
                await self._mirror.wake.wait()
        except TimeoutError:
            return
        due_in = self._began_at + pace.min_interval_seconds - self._clock()
        await asyncio.sleep(max(pace.batch_seconds, due_in))
        if self._binder.backlog > pace.busy_backlog:
            try:
                async with asyncio.timeout(pace.busy_seconds):
                    await self._binder.drained()
            except TimeoutError:
                return

    def _note_turns(self, plan: Plan) -> None:
        """What the plan could not finish goes into the next snapshot, and the next cycle comes at once where some had no turn."""
        for found in plan.contained:
            self._contained.note("deciding", found.pod_group, found.error)
        self._backlog = self._backlog.after(plan)
        if TurnEnd.NOT_REACHED in dict(plan.turns).values():
            self._mirror.wake.set()

    def _idle_seconds(self) -> float:
        """Sooner than usual where a gang that failed waits for its next attempt."""
        idle = self._pace.settle_seconds if self._is_unsettled else self._pace.idle_seconds
        due_in = self._attempts.next_due_in()
        return idle if due_in is None else min(idle, due_in)


def _subject_of(command: Command) -> str:
    match command:
        case BindGang():
            return command.pod_group
        case Deallocate():
            return command.claim
        case _:
            return command.pod


def _waiting_among(groups: Collection[PodGroupKey], snapshot: ClusterSnapshot) -> int:
    """How many pods without a node the groups have that changed; those that wait for long do not count."""
    return (
        sum(pod.state is PodState.PENDING and pod.group in groups for pod in snapshot.pods) if groups else 0
    )


def _log_cycle(
    number: int,
    snapshot: ClusterSnapshot,
    plan: Plan,
    commands: tuple[Command, ...],
    decide_seconds: float,
    seconds: float,
) -> None:
    log = _log.info if commands else _log.debug
    log(
        "cycle",
        cycle=number,
        pods=len(snapshot.pods),
        binds=len(plan.binds),
        pipelined=len(plan.pipelined),
        commands=len(commands),
        verdicts=len(plan.verdicts),
        solver=plan.solver.status,
        objective=dict(plan.solver.objective),
        bound=dict(plan.solver.bound),
        decide_ms=round(decide_seconds * 1000),
        cycle_ms=round(seconds * 1000),
    )
