"""SolverProcess: the parent's side of the solving child. It decides within a deadline, whatever the child does.

A child that is late, silent or talks nonsense is killed, and another takes over at once (``nursery``). What it was
deciding is decided by that one, greedily: the second time there is nothing to gain by a better plan and everything to
lose by none.

A decision is over when no better plan will come. What those who wait may hope for is found out afterwards
(``prospects``), until the next decision is due: nobody waits for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from kai_sched.errors import SolverFailed
from kai_sched.model.plan import Plan
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot, Fleet
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.solving.frames import encode, size_of
from kai_sched.solving.incumbent import MOST_RETRIES, Check, Incumbent
from kai_sched.solving.messages import DecideRequest, Finished, Improved, Prospects, Raised, SnapshotColumns
from kai_sched.solving.nursery import Child, Nursery, child_command
from kai_sched.solving.stats import Decision, Ending, SolvingStats

TRIES = 2
LEAVING_OFF_SECONDS = 3.0
"""How long a child may take to leave off what it is finding out; then the other one decides."""
_CHILD_IS_WELL = frozenset({Ending.FINISHED, Ending.FAILED})


class SolverProcess:
    """A child and the decisions it makes, one at a time. An async context manager."""

    def __init__(self, *, check: Check | None = None, command: Sequence[str] | None = None) -> None:
        self._stats = SolvingStats()
        self._check = check or PlanChecker()
        self._nursery = Nursery(tuple(command or child_command()), self._stats)
        self._number = 0
        self._busy = asyncio.Lock()
        self._telling: _Telling | None = None

    async def __aenter__(self) -> Self:
        await self._nursery.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def stats(self) -> SolvingStats:
        """What has happened so far."""
        return self._stats

    async def close(self) -> None:
        """End the children."""
        await self._nursery.close()
        if self._telling is not None:
            self._telling.reading.cancel()
            await asyncio.wait({self._telling.reading})

    @property
    def process_id(self) -> int | None:
        """The process of the child that decides next, None while there is none."""
        return self._nursery.process_id

    async def decide(
        self, snapshot: ClusterSnapshot, policy: Policy, deadline_seconds: float, *, tries: int = TRIES
    ) -> Decision:
        """The best plan that arrives in time and that the checker passes.

        Each of the ``tries`` has the time of the deadline; there is a second one where a child failed at the first
        before it had any plan.
        """
        async with self._busy:
            self._stats.decisions += 1
            decision = first = await self._try(snapshot, policy, deadline_seconds)
            for _ in range(1, tries):
                if decision.plan is not None or decision.ending in _CHILD_IS_WELL or not decision.was_asked:
                    break
                decision = await self._try(snapshot, replace(policy, use_solver=False), deadline_seconds)
            if decision is not first and decision.plan is not None:
                # What there was to tell of the first one is told; its plan is the second's.
                decision = replace(decision, ending=first.ending, reason=first.reason)
            self._stats.without_plan += decision.plan is None
            return decision

    async def prospects(self, decision: Decision) -> Prospects | None:
        """What those may hope for who wait after this decision.

        None where that is not found out, or another decision came first.
        """
        telling = self._telling
        if telling is None or telling.number != decision.number:
            return None
        await asyncio.wait({telling.reading})
        return (
            None if telling.reading.cancelled() or telling.reading.exception() else telling.reading.result()
        )

    async def _try(self, snapshot: ClusterSnapshot, policy: Policy, deadline_seconds: float) -> Decision:
        began = time.perf_counter()
        attempt, ending, reason = await self._attempt(snapshot, policy, deadline_seconds)
        refused, last = attempt.incumbent.refused_places, ending
        for _ in range(MOST_RETRIES):
            left = deadline_seconds - (time.perf_counter() - began)
            if not refused or last is not Ending.FINISHED or left <= 0:
                break
            # A refused place is not the end: the group may have another one.
            elsewhere = replace(snapshot, refused_places=refused)
            again, last, _ = await self._attempt(elsewhere, policy, left)
            if again.incumbent.replaces(attempt.incumbent):
                attempt = again
            refused = (*refused, *again.incumbent.refused_places) if again.incumbent.refused_places else ()
        return self._conclude(attempt, ending, reason)

    async def _attempt(
        self, snapshot: ClusterSnapshot, policy: Policy, deadline_seconds: float
    ) -> tuple[_Attempt, Ending, str]:
        self._number += 1
        attempt = _Attempt(self._number, snapshot, policy, Incumbent(snapshot, policy, self._check))
        ending, reason = await self._guarded(attempt, deadline_seconds)
        return attempt, ending, reason

    async def _guarded(self, attempt: _Attempt, deadline_seconds: float) -> tuple[Ending, str]:
        deadline_at = asyncio.get_running_loop().time() + deadline_seconds
        child: Child | None = None
        try:
            async with asyncio.timeout_at(deadline_at):
                child = await self._nursery.ready_child()
            attempt.started = time.perf_counter()
            ending, reason = await self._converse(child, attempt, deadline_at)
        except TimeoutError:
            late = "the deadline came first" if child is not None else "no solving child was ready in time"
            ending, reason = Ending.DEADLINE, late
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            ending, reason = Ending.DIED, f"the solving child died: {error}"
        except SolverFailed as error:
            ending, reason = Ending.NONSENSE, str(error)
        if child is not None and ending not in _CHILD_IS_WELL:
            await self._nursery.dismiss(child)
        await self._nursery.have_a_spare()
        return ending, reason

    async def _converse(self, child: Child, attempt: _Attempt, deadline_at: float) -> tuple[Ending, str]:
        async with asyncio.timeout_at(deadline_at):
            await self._send(child, attempt)
            await self._end_telling(child)
        while True:
            async with asyncio.timeout_at(deadline_at):
                reply = await child.receive()
            match reply:
                case Improved(number=attempt.number, plan=plan):
                    await self._judge(attempt, plan)
                case Finished(number=attempt.number, memory_bytes=memory_bytes, is_telling=is_telling):
                    attempt.child_memory_bytes = memory_bytes
                    if is_telling:
                        self._telling = _Telling.by(child, attempt.number)
                    return Ending.FINISHED, ""
                case Raised(number=attempt.number, error=text):
                    return Ending.FAILED, text
                case _:
                    raise SolverFailed(f"{type(reply).__name__} is not the reply that is due")

    async def _end_telling(self, child: Child) -> None:
        """The child has its next request, so it leaves off: what it says last is of the decision before."""
        telling, self._telling = self._telling, None
        if telling is None or telling.child is not child:
            return
        done, _ = await asyncio.wait({telling.reading}, timeout=LEAVING_OFF_SECONDS)
        if not done:
            telling.reading.cancel()
            await asyncio.wait({telling.reading})
            raise SolverFailed("the solving child did not leave off telling prospects")
        # Whatever happened to the child there happens to the decision now.
        telling.reading.result()

    async def _send(self, child: Child, attempt: _Attempt) -> None:
        fleet = attempt.snapshot.fleet
        is_known = fleet.version != 0 and fleet.version == child.fleet_version
        request_fleet = None if is_known else fleet
        began = time.perf_counter()
        parts = await asyncio.to_thread(_encode_request, attempt, request_fleet)
        attempt.encoding_seconds = time.perf_counter() - began
        attempt.sent_bytes = size_of(parts)
        self._stats.sent_bytes += attempt.sent_bytes
        self._stats.fleets_sent += not is_known
        child.fleet_version = fleet.version
        await child.send(parts)

    async def _judge(self, attempt: _Attempt, plan: Plan) -> None:
        """Keep a plan if the checker passes it. Not under the deadline: an answer that came in time counts."""
        attempt.plans += 1
        self._stats.plans += 1
        if attempt.first_plan_seconds is None:
            attempt.first_plan_seconds = time.perf_counter() - attempt.started
        await asyncio.to_thread(attempt.incumbent.offer, plan)

    def _conclude(self, attempt: _Attempt, ending: Ending, reason: str) -> Decision:
        self._stats.endings[ending] += 1
        self._stats.refused_plans += attempt.incumbent.refused
        plan = attempt.incumbent.result
        if plan is None:
            reason = reason or "the checker refused every plan"
        elif ending is not Ending.FINISHED:
            plan = replace(plan, solver=replace(plan.solver, reproducible=False))
        return Decision(
            number=attempt.number,
            plan=plan,
            ending=ending,
            reason=reason,
            plans=attempt.plans,
            refusals=attempt.incumbent.refusals,
            sent_bytes=attempt.sent_bytes,
            encoding_seconds=attempt.encoding_seconds,
            first_plan_seconds=attempt.first_plan_seconds,
            seconds=time.perf_counter() - attempt.started,
            child_memory_bytes=attempt.child_memory_bytes,
        )


@dataclass(slots=True)
class _Attempt:
    """One decision in the making."""

    number: int
    snapshot: ClusterSnapshot
    policy: Policy
    incumbent: Incumbent
    started: float = 0.0
    plans: int = 0
    sent_bytes: int = 0
    encoding_seconds: float = 0.0
    first_plan_seconds: float | None = None
    child_memory_bytes: int = 0

    def __post_init__(self) -> None:
        self.started = time.perf_counter()


@dataclass(frozen=True, slots=True)
class _Telling:
    """A child that finds out what those who wait may hope for."""

    number: int
    """Of the attempt whose plan it is about."""
    child: Child
    reading: asyncio.Task[Prospects]

    @classmethod
    def by(cls, child: Child, number: int) -> Self:
        """Begin to listen."""
        reading = asyncio.create_task(_read_prospects(child, number))
        # Taken, for it may be that nobody asks any more when a child fails at this.
        reading.add_done_callback(lambda task: task.cancelled() or task.exception())
        return cls(number, child, reading)


async def _read_prospects(child: Child, number: int) -> Prospects:
    reply = await child.receive()
    if isinstance(reply, Prospects) and reply.number == number:
        return reply
    raise SolverFailed(f"{type(reply).__name__} is not the reply that is due")


def _encode_request(attempt: _Attempt, fleet: Fleet | None) -> list[bytes | memoryview]:
    columns = SnapshotColumns.of(attempt.snapshot)
    return encode(DecideRequest(number=attempt.number, columns=columns, policy=attempt.policy, fleet=fleet))
