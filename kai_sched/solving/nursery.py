"""Nursery: the children that can decide, one at work and a spare that is ready to take over.

A child is a fresh interpreter in a process group of its own. To start one takes about two seconds on a busy machine,
and one that waits takes some 25 MB: so there is always a second one, and a child that dies, hangs or was stopped is
missed for no longer than it takes to notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from kai_sched.errors import SolverFailed
from kai_sched.solving.frames import decode, read_frame
from kai_sched.solving.messages import Ready
from kai_sched.solving.stats import Ending, SolvingStats

NICENESS = 5
"""The operator's own loop goes first where cores are few."""
START_SECONDS = 60.0
"""A child that is not ready by then never will be."""
HEDGE_SECONDS = 4.0
"""How long the only child may take to start before another is started beside it, for it may hang."""


def child_command(niceness: int = NICENESS) -> tuple[str, ...]:
    """How a child is started."""
    return (sys.executable, "-m", "kai_sched.solving.child", str(niceness))


@dataclass(slots=True, eq=False)
class Child:
    """A running child and what it remembers."""

    process: asyncio.subprocess.Process
    ready: asyncio.Task[None] = field(init=False)
    fleet_version: int = 0
    started_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.ready = asyncio.create_task(self._get_ready())

    @property
    def is_ready(self) -> bool:
        """Whether it waits for requests."""
        return self.ready.done() and not self.ready.cancelled() and self.ready.exception() is None

    @property
    def is_lost(self) -> bool:
        """Whether it ended, or failed to start."""
        return self.process.returncode is not None or (self.ready.done() and not self.is_ready)

    async def send(self, parts: Sequence[bytes | memoryview]) -> None:
        """One frame."""
        stdin = self.process.stdin
        assert stdin is not None
        stdin.writelines(parts)
        await stdin.drain()

    async def receive(self) -> object:
        """The next message."""
        stdout = self.process.stdout
        assert stdout is not None
        return decode(await read_frame(stdout))

    async def kill(self) -> None:
        """End the whole process group and reap the child."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()
        self.ready.cancel()
        await asyncio.wait({self.ready})
        if not self.ready.cancelled():
            # Taken, so that nobody is told of an exception that is of no interest any more.
            self.ready.exception()
        if self.process.stdin is not None:
            self.process.stdin.close()

    async def _get_ready(self) -> None:
        reply = await self.receive()
        if not isinstance(reply, Ready):
            raise SolverFailed(f"{type(reply).__name__} before the child was ready")


class Nursery:
    """Two children at most; the first one is at work."""

    def __init__(self, command: Sequence[str], stats: SolvingStats) -> None:
        self._command = command
        self._stats = stats
        self._children: list[Child] = []

    @property
    def process_id(self) -> int | None:
        """The process of the child whose turn it is."""
        return self._children[0].process.pid if self._children else None

    async def start(self) -> None:
        """Have a child, be it ready or not."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            process_group=0,
            limit=1 << 24,
        )
        self._stats.starts += 1
        self._children.append(Child(process))

    async def close(self) -> None:
        """End all children."""
        while self._children:
            await self._children.pop().kill()

    async def ready_child(self) -> Child:
        """The child to work with, as soon as there is one.

        Raises:
            asyncio.IncompleteReadError, ConnectionError, SolverFailed: a child failed to start; try again.
        """
        while True:
            await self._bury()
            ready = next((child for child in self._children if child.is_ready), None)
            if ready is not None:
                # It stays at work, for it remembers the fleet.
                self._children.sort(key=lambda child: child is not ready)
                return ready
            if not self._children:
                await self.start()
            starting = [child.ready for child in self._children]
            patience = HEDGE_SECONDS if len(starting) == 1 else None
            done, _ = await asyncio.wait(starting, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                await self.start()
            for task in done:
                if not task.cancelled() and (error := task.exception()):
                    await self._bury()
                    raise error

    async def dismiss(self, child: Child) -> None:
        """This child is of no use any more."""
        if child in self._children:
            self._children.remove(child)
        await child.kill()

    async def have_a_spare(self) -> None:
        """Start what is missing of two; a child that never got ready makes room."""
        await self._bury()
        late = [
            child
            for child in self._children
            if not child.is_ready and time.monotonic() - child.started_at > START_SECONDS
        ]
        for child in late:
            await self.dismiss(child)
        while len(self._children) < 2:
            await self.start()

    async def _bury(self) -> None:
        """Let go of children that ended by themselves (out of memory, an admin): no decision suffers."""
        for child in [child for child in self._children if child.is_lost]:
            if child.is_ready:
                self._stats.endings[Ending.DIED] += 1
            await self.dismiss(child)
