"""SolverProcess: the parent's side of the solving child. It decides within a deadline, whatever the child does.

The child is a fresh interpreter in a process group of its own. It is killed and replaced when it is late, silent or
talks nonsense; the next child starts at once, so that the next decision finds it ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
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
from kai_sched.solving.frames import decode, encode, read_frame, size_of
from kai_sched.solving.incumbent import MOST_RETRIES, Check, Incumbent
from kai_sched.solving.messages import DecideRequest, Finished, Improved, Raised, Ready, SnapshotColumns
from kai_sched.solving.stats import Decision, Ending, SolvingStats

NICENESS = 5
"""The operator's own loop goes first where cores are few."""
START_SECONDS = 60.0


def child_command(niceness: int = NICENESS) -> tuple[str, ...]:
    """How the child is started."""
    return (sys.executable, "-m", "kai_sched.solving.child", str(niceness))


class SolverProcess:
    """One child and the decisions it makes, one at a time. An async context manager."""

    def __init__(
        self,
        *,
        check: Check | None = None,
        command: Sequence[str] | None = None,
        start_seconds: float = START_SECONDS,
    ) -> None:
        self.stats = SolvingStats()
        self._check = check or PlanChecker()
        self._command = tuple(command or child_command())
        self._start_seconds = start_seconds
        self._child: _Child | None = None
        self._number = 0
        self._busy = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is not None:
            await child.kill()

    @property
    def process_id(self) -> int | None:
        """The child's process, None while there is none."""
        return None if self._child is None else self._child.process.pid

    async def decide(self, snapshot: ClusterSnapshot, policy: Policy, deadline_seconds: float) -> Decision:
        """The best plan that arrives in time and that the checker passes."""
        async with self._busy:
            self.stats.decisions += 1
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
                refused = (
                    (*refused, *again.incumbent.refused_places) if again.incumbent.refused_places else ()
                )
            return self._conclude(attempt, ending, reason)

    async def _attempt(
        self, snapshot: ClusterSnapshot, policy: Policy, deadline_seconds: float
    ) -> tuple[_Attempt, Ending, str]:
        self._number += 1
        attempt = _Attempt(self._number, snapshot, policy, Incumbent(snapshot, policy, self._check))
        ending, reason = await self._guarded(attempt, deadline_seconds)
        if ending is not Ending.FINISHED and ending is not Ending.FAILED:
            await self._replace_child()
        return attempt, ending, reason

    async def _guarded(self, attempt: _Attempt, deadline_seconds: float) -> tuple[Ending, str]:
        try:
            child = await self._ready_child()
            attempt.started = time.perf_counter()
            return await self._converse(child, attempt, asyncio.get_running_loop().time() + deadline_seconds)
        except TimeoutError:
            return Ending.DEADLINE, "the deadline came first"
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            return Ending.DIED, f"the solving child died: {error}"
        except SolverFailed as error:
            return Ending.NONSENSE, str(error)

    async def _converse(self, child: _Child, attempt: _Attempt, deadline_at: float) -> tuple[Ending, str]:
        async with asyncio.timeout_at(deadline_at):
            await self._send(child, attempt)
        while True:
            async with asyncio.timeout_at(deadline_at):
                reply = await child.receive()
            match reply:
                case Improved(number=attempt.number, plan=plan):
                    await self._judge(attempt, plan)
                case Finished(number=attempt.number, memory_bytes=memory_bytes):
                    attempt.child_memory_bytes = memory_bytes
                    return Ending.FINISHED, ""
                case Raised(number=attempt.number, error=text):
                    return Ending.FAILED, text
                case _:
                    raise SolverFailed(f"{type(reply).__name__} is not the reply that is due")

    async def _send(self, child: _Child, attempt: _Attempt) -> None:
        fleet = attempt.snapshot.fleet
        is_known = fleet.version != 0 and fleet.version == child.fleet_version
        request_fleet = None if is_known else fleet
        began = time.perf_counter()
        parts = await asyncio.to_thread(_encode_request, attempt, request_fleet)
        attempt.encoding_seconds = time.perf_counter() - began
        attempt.sent_bytes = size_of(parts)
        self.stats.sent_bytes += attempt.sent_bytes
        self.stats.fleets_sent += not is_known
        child.fleet_version = fleet.version
        await child.send(parts)

    async def _judge(self, attempt: _Attempt, plan: Plan) -> None:
        """Keep a plan if the checker passes it. Not under the deadline: an answer that came in time counts."""
        attempt.plans += 1
        self.stats.plans += 1
        if attempt.first_plan_seconds is None:
            attempt.first_plan_seconds = time.perf_counter() - attempt.started
        await asyncio.to_thread(attempt.incumbent.offer, plan)

    def _conclude(self, attempt: _Attempt, ending: Ending, reason: str) -> Decision:
        self.stats.endings[ending] += 1
        self.stats.refused_plans += attempt.incumbent.refused
        plan = attempt.incumbent.result
        if plan is None:
            self.stats.without_plan += 1
            reason = reason or "the checker refused every plan"
        elif ending is not Ending.FINISHED:
            plan = replace(plan, solver=replace(plan.solver, reproducible=False))
        return Decision(
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

    async def _ready_child(self) -> _Child:
        if self._child is not None and self._child.process.returncode is not None:
            # It died while idle (out of memory, an admin): nothing was lost, so no decision suffers.
            self.stats.endings[Ending.DIED] += 1
            await self.close()
        child = self._child or await self._start()
        if not child.is_ready:
            async with asyncio.timeout(self._start_seconds):
                reply = await child.receive()
            if not isinstance(reply, Ready):
                raise SolverFailed(f"{type(reply).__name__} before the child was ready")
            child.is_ready = True
        return child

    async def _replace_child(self) -> None:
        await self.close()
        await self._start()

    async def _start(self) -> _Child:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            process_group=0,
            limit=1 << 24,
        )
        self.stats.starts += 1
        self._child = _Child(process)
        return self._child


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


@dataclass(slots=True)
class _Child:
    """A running child and what it remembers."""

    process: asyncio.subprocess.Process
    is_ready: bool = False
    fleet_version: int = 0

    async def send(self, parts: Sequence[bytes | memoryview]) -> None:
        stdin = self.process.stdin
        assert stdin is not None
        stdin.writelines(parts)
        await stdin.drain()

    async def receive(self) -> object:
        stdout = self.process.stdout
        assert stdout is not None
        return decode(await read_frame(stdout))

    async def kill(self) -> None:
        """End the whole process group and reap the child."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()


def _encode_request(attempt: _Attempt, fleet: Fleet | None) -> list[bytes | memoryview]:
    columns = SnapshotColumns.of(attempt.snapshot)
    return encode(DecideRequest(number=attempt.number, columns=columns, policy=attempt.policy, fleet=fleet))
