"""The cycle: wake, take a snapshot, have it decided, phrase commands, have them executed, tell.

Cycles run one at a time. Deciding happens in the solving child, executing in the background: the next cycle begins
while pods of the last one are still being bound, and sees them as bound already.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from kai_sched.binder.execute import Binder
from kai_sched.binder.outcomes import Outcome, Result
from kai_sched.binder.recover import leftover_reservations
from kai_sched.cluster.mirror import Mirror
from kai_sched.model.commands import BindGang, Command
from kai_sched.model.ids import PodGroupKey
from kai_sched.model.plan import Plan
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import PodState
from kai_sched.operator.narrator import Narrator
from kai_sched.operator.self_check import SelfCheck
from kai_sched.operator.telemetry import Telemetry
from kai_sched.planning.commands import commands_for
from kai_sched.solving.stats import Decision, Ending, SolvingStats

_log = structlog.get_logger(__name__)

_PAUSES_AFTER_FAILURE: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Solver(Protocol):
    """Who decides."""

    stats: SolvingStats

    async def decide(
        self, snapshot: ClusterSnapshot, policy: Policy, deadline_seconds: float
    ) -> Decision: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """When cycles begin."""

    batch_seconds: float = 0.05
    """Events that come together are decided together."""
    min_interval_seconds: float = 0.1
    """Between the begins of two cycles."""
    settle_seconds: float = 1.5
    """After a cycle that started commands: their end is told in the status of queues."""
    idle_seconds: float = 10.0
    """A cycle without any event: time itself changes some decisions."""
    decide_seconds: float = 5.0
    """Wall limit of one decision, the safety net of the policy's own budget. Where it was too short for any plan at
    all, the next decision gets twice the time."""
    longest_decide_seconds: float = 120.0
    self_check_seconds: float = 60.0
    """Between two judgements of the whole cluster."""
    busy_backlog: int = 64
    """With more commands in flight the next cycle waits a while: deciding would slow the binding down."""
    busy_seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class _Started:
    gang: BindGang
    since: float


@dataclass(slots=True)
class _Failure:
    count: int
    retry_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """Who does the work of a cycle. ``write_groups`` says whether pod groups of workloads are still to be written."""

    mirror: Mirror
    solver: Solver
    binder: Binder
    narrator: Narrator
    telemetry: Telemetry
    write_groups: Callable[[], bool]


class CycleLoop:
    """Runs cycles until cancelled. ``policy`` is asked anew each time: shards change; None: nothing may be decided."""

    def __init__(self, crew: Crew, policy: Callable[[], Policy | None], pace: Pace) -> None:
        self._mirror = crew.mirror
        self._solver = crew.solver
        self._binder = crew.binder
        self._narrator = crew.narrator
        self._telemetry = crew.telemetry
        self._self_check = SelfCheck(pace.self_check_seconds)
        self._write_groups = crew.write_groups
        self._policy = policy
        self._pace = pace
        self._decide_seconds = pace.decide_seconds
        self._in_flight: dict[PodGroupKey, _Started] = {}
        self._failures: dict[PodGroupKey, _Failure] = {}
        self.cycles = 0
        self._is_unsettled = False
        self.last_cycle_at = time.monotonic()
        self._began_at = self.last_cycle_at

    async def run(self) -> None:
        """Cycle after cycle; a cycle that fails costs itself only."""
        while True:
            try:
                await self.cycle()
            except Exception:  # noqa: BLE001 — one cycle's failure must not end the operator
                _log.exception("cycle failed", cycle=self.cycles)
            self.last_cycle_at = time.monotonic()
            await self._until_due()

    async def cycle(self) -> None:
        """One pass from snapshot to commands."""
        began = time.perf_counter()
        self._began_at = time.monotonic()
        self.cycles += 1
        policy = self._policy()
        if policy is None:
            self._mirror.wake.clear()
            return
        dirty = self._mirror.take_dirty()
        self._narrator.note_changed(dirty.groups)
        snapshot = self._mirror.snapshot(time.time(), policy)
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
            return
        if decision.reason:
            _log.warning("decision cut short", ending=decision.ending.value, reason=decision.reason)
        commands = self._commands(plan, snapshot)
        self._start(commands)
        self._is_unsettled = self._write_groups() or bool(commands)
        stock = self._mirror.stock
        self._narrator.tell_cycle(snapshot, plan, stock.queues.documents, stock.pod_groups.documents)
        self._telemetry.queues(snapshot.queues, plan)
        self._self_check.look(snapshot, policy, time.monotonic())
        self._telemetry.broken(self._self_check.confirmed)
        ended = time.perf_counter()
        self._telemetry.cycle_took(ended - began, seen - began, ended - decided)
        _log_cycle(self.cycles, snapshot, plan, commands, decided - seen, ended - began)

    def _adapt_deadline(self, decision: Decision) -> None:
        pace = self._pace
        if decision.plan is None and decision.ending is Ending.DEADLINE:
            self._decide_seconds = min(2 * self._decide_seconds, pace.longest_decide_seconds)
        elif decision.plan is not None:
            self._decide_seconds = max(pace.decide_seconds, 2 * (decision.first_plan_seconds or 0.0))

    def ended(self, outcome: Outcome) -> None:
        """The binder's report of one command."""
        command = outcome.command
        seconds = 0.0
        if isinstance(command, BindGang):
            now = time.monotonic()
            started = self._in_flight.pop(command.pod_group, None)
            seconds = now - started.since if started is not None else 0.0
            self._settle(command, outcome, now)
        if outcome.result is not Result.DONE:
            _log.warning(
                "command ended early",
                command=type(command).__name__,
                subject=command.pod_group if isinstance(command, BindGang) else command.pod,
                result=outcome.result.value,
                reason=outcome.reason,
            )
        self._telemetry.ended(outcome, seconds)
        self._narrator.tell_outcome(outcome)

    def reset(self) -> None:
        """Forget what was in flight: the Lease was lost, others decide now."""
        for command in self._in_flight.values():
            self._mirror.forget(placement.pod for placement in command.gang.placements)
        self._in_flight.clear()
        self._failures.clear()

    def _settle(self, command: BindGang, outcome: Outcome, now: float) -> None:
        group = command.pod_group
        if outcome.result is Result.DONE:
            self._failures.pop(group, None)
            return
        bound = set(outcome.bound)
        self._mirror.forget(p.pod for p in command.placements if p.pod not in bound)
        known = self._failures.get(group)
        count = known.count + 1 if known is not None else 0
        pause = _PAUSES_AFTER_FAILURE[min(count, len(_PAUSES_AFTER_FAILURE) - 1)]
        if outcome.result is Result.STALE:
            # The world changed and the mirror hears of it at once: no reason to wait.
            pause = self._pace.min_interval_seconds
        self._failures[group] = _Failure(count, now + pause)

    def _commands(self, plan: Plan, snapshot: ClusterSnapshot) -> tuple[Command, ...]:
        """The plan's commands, and what takes back leftovers that it does not use.

        A gang with a command in flight gets no second one beside it: were the first undone, the second would
        have bound pods above a minimum that does not exist.
        """
        kept = {placement.pod for placement in (*plan.binds, *plan.pipelined)}
        now = time.monotonic()
        if self._failures:
            groups = {group.key for group in snapshot.pod_groups}
            self._failures = {key: one for key, one in self._failures.items() if key in groups}
        ready = tuple(command for command in commands_for(plan, snapshot) if self._may_start(command, now))
        return (*leftover_reservations(snapshot, kept), *ready)

    def _may_start(self, command: Command, now: float) -> bool:
        if not isinstance(command, BindGang):
            return True
        failure = self._failures.get(command.pod_group)
        return command.pod_group not in self._in_flight and (failure is None or failure.retry_at <= now)

    def _start(self, commands: Iterable[Command]) -> None:
        commands = tuple(commands)
        now = time.monotonic()
        for command in commands:
            if isinstance(command, BindGang):
                self._in_flight[command.pod_group] = _Started(command, now)
                self._mirror.assume(command)
        self._binder.submit(commands)

    async def _until_due(self) -> None:
        pace = self._pace
        try:
            async with asyncio.timeout(self._idle_seconds()):
                await self._mirror.wake.wait()
        except TimeoutError:
            return
        due_in = self._began_at + pace.min_interval_seconds - time.monotonic()
        await asyncio.sleep(max(pace.batch_seconds, due_in))
        if self._binder.backlog > pace.busy_backlog:
            try:
                async with asyncio.timeout(pace.busy_seconds):
                    await self._binder.drained()
            except TimeoutError:
                return

    def _idle_seconds(self) -> float:
        """Sooner than usual where a failed gang waits for its next attempt."""
        now = time.monotonic()
        waits = [failure.retry_at - now for failure in self._failures.values() if failure.retry_at > now]
        idle = self._pace.settle_seconds if self._is_unsettled else self._pace.idle_seconds
        return min([idle, *waits])


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
