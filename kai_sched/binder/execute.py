"""Runs commands against the API server: gangs side by side, the calls of one gang in the order ``steps`` gives.

One POST a pod is all that a plain pod costs, so the path to it is short: the body is filled into a byte template
and a bounded number of workers keeps that many calls in flight. Nothing is written without the fence's consent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, assert_never

from kai_sched.binder.gang import GangRun
from kai_sched.binder.outcomes import CommandOutcome, Result
from kai_sched.binder.ports import ApiCalls, Fence, KnownObjects
from kai_sched.binder.single import deallocate, evict, undo_reservation
from kai_sched.binder.wait import DEFAULT_WAIT, DeviceWait
from kai_sched.binder.writes import FenceClosed, FencedCalls
from kai_sched.model.commands import BindGang, Command, Deallocate, Evict, UndoReservation

GANGS_AT_ONCE: Final = 128

OutcomeSink = Callable[[CommandOutcome], None]


class Binder:
    """Takes commands, runs them in the background, reports every outcome once."""

    def __init__(
        self,
        api: ApiCalls,
        known: KnownObjects,
        fence: Fence,
        report: OutcomeSink,
        gangs_at_once: int = GANGS_AT_ONCE,
        device_wait: DeviceWait = DEFAULT_WAIT,
    ) -> None:
        self._api = api
        self._calls = FencedCalls(api, fence)
        self._known = known
        self._report = report
        self._limit = gangs_at_once
        self._device_wait = device_wait
        self._waiting: deque[Command] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._opening: asyncio.Task[None] | None = None
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def backlog(self) -> int:
        """Commands not finished yet."""
        return len(self._waiting) + self._running

    def expect(self, writes: int) -> None:
        """So many writes may come soon: connections are opened for them while the decision is being made."""
        if writes > 1 and (self._opening is None or self._opening.done()):
            self._opening = asyncio.get_running_loop().create_task(self._api.open_ahead(writes))

    def submit(self, commands: Iterable[Command]) -> None:
        """Queue commands in order; they begin at once as far as the limit allows."""
        self._waiting.extend(commands)
        while len(self._workers) < min(self._limit, self.backlog):
            worker = asyncio.get_running_loop().create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        if self._waiting:
            self._idle.clear()

    async def drained(self) -> None:
        """Wait until every submitted command has ended."""
        await self._idle.wait()

    async def abandon(self) -> None:
        """Stop where we are without another write; what is half written is found again from the API's state."""
        self._waiting.clear()
        tasks = [*self._workers] if self._opening is None else [*self._workers, self._opening]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._idle.set()

    async def _work(self) -> None:
        while self._waiting:
            command = self._waiting.popleft()
            self._running += 1
            try:
                outcome = await self._run(command)
            finally:
                self._running -= 1
                if self.backlog == 0:
                    self._idle.set()
            self._report(outcome)

    async def _run(self, command: Command) -> CommandOutcome:
        try:
            return await self._begin(command)
        except FenceClosed as closed:
            return CommandOutcome(command=command, result=Result.RETRY, reason=str(closed))
        except Exception as bug:  # noqa: BLE001 - a bug in one gang's run must not hold up the others
            return CommandOutcome(command=command, result=Result.FAILED, reason=f"internal error: {bug!r}")

    def _begin(self, command: Command) -> Awaitable[CommandOutcome]:
        match command:
            case BindGang():
                return GangRun(command, self._calls, self._known, self._device_wait).run()
            case UndoReservation():
                return undo_reservation(command, self._calls)
            case Evict():
                return evict(command, self._calls)
            case Deallocate():
                return deallocate(command, self._calls)
            case _:
                assert_never(command)
