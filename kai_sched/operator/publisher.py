"""Writes what is told about objects: on change only, few at a time, and never while pods wait to be bound.

What was said last is remembered by subject, so that a cycle may offer everything it knows and only news is
written. A message that merely counts differently (the same reason, other numbers) waits for its turn.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Hashable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

import structlog

from kai_sched.errors import ApiFailure

_log = structlog.get_logger(__name__)

WRITERS: Final = 4
MAX_QUEUED: Final = 20_000
_TICK_SECONDS: Final = 0.5
_YIELD_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = (0.2, 1.0, 5.0)

_FEW_SUBJECTS: Final = 1000

Send = Callable[[], Awaitable[object]]
Subject = tuple[str, str]
"""(what is told, uid of the object it is told of)"""


class Traffic(Protocol):
    """The more important writes; this one's wait for them."""

    @property
    def backlog(self) -> int: ...

    async def drained(self) -> None: ...


class Fence(Protocol):
    """Whether this process may write."""

    def may_write(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """One thing to write. ``gist`` is what makes it news at once, ``detail`` what makes it news in time."""

    subject: Subject
    gist: Hashable
    detail: Hashable = None
    send: Send
    calm_seconds: float = 30.0
    """How long the same gist with another detail is held back."""
    patience_seconds: float = 0.0
    """How long a new gist must hold before it is written: what passes by itself is not told."""
    repair_seconds: float | None = None
    """The object is seen not to say it: after so long it is written again, somebody else wrote over it."""


@dataclass(slots=True)
class _Said:
    gist: Hashable
    detail: Hashable
    at: float


@dataclass(slots=True)
class _Held:
    saying: Saying
    since: float
    due_at: float


class Publisher:
    """Takes sayings, writes the news among them in the background."""

    def __init__(self, traffic: Traffic, fence: Fence, clock: Callable[[], float]) -> None:
        self._traffic = traffic
        self._fence = fence
        self._clock = clock
        self._said: dict[Subject, _Said] = {}
        self._forget_above = _FEW_SUBJECTS
        self._held: dict[Subject, _Held] = {}
        self._queue: OrderedDict[Subject, Saying] = OrderedDict()
        self._sending: set[Subject] = set()
        """Subjects with a write on its way: the next one about them waits, or it might arrive first."""
        self._news = asyncio.Event()
        self.writes = 0
        self.dropped = 0
        self.failures = 0

    @property
    def queued(self) -> int:
        """Sayings not written yet."""
        return len(self._queue)

    def offer(self, saying: Saying) -> bool:
        """Write a saying if it is news; a newer one about the same subject replaces it. Whether it was written before.

        False: it is to be offered again, for a write may yet fail.
        """
        subject, now = saying.subject, self._clock()
        said = self._said.get(subject)
        held = self._held.pop(subject, None)
        since = held.since if held is not None and held.saying.gist == saying.gist else now
        if said is not None and said.gist == saying.gist:
            if said.detail == saying.detail:
                is_under_way = subject in self._queue or subject in self._sending
                if saying.repair_seconds is None or is_under_way:
                    return not is_under_way
                due_at = said.at + saying.repair_seconds
            else:
                due_at = said.at + saying.calm_seconds
        else:
            due_at = since + saying.patience_seconds
        if now < due_at:
            self._held[subject] = _Held(saying, since, due_at)
            return False
        self._remember(saying)
        self.once(saying)
        return False

    def once(self, saying: Saying) -> None:
        """Write this, whatever was said before, and do not remember it."""
        if len(self._queue) >= MAX_QUEUED:
            oldest, _ = self._queue.popitem(last=False)
            self._said.pop(oldest, None)
            self.dropped += 1
        self._queue[saying.subject] = saying
        self._news.set()

    def is_so(self, saying: Saying) -> None:
        """The object says this already: nothing is to be written."""
        self._queue.pop(saying.subject, None)
        self._held.pop(saying.subject, None)
        said = self._said.get(saying.subject)
        if said is None or (said.gist, said.detail) != (saying.gist, saying.detail):
            self._remember(saying)

    def forget(self, subject: Subject) -> None:
        """The subject is gone, or what was said is no longer true."""
        for known in (self._said, self._held, self._queue):
            known.pop(subject, None)

    def forget_others(self, known_uids: Callable[[], Collection[str]]) -> None:
        """Drop what was said of other objects, they are gone; done whenever what is remembered has doubled."""
        if len(self._said) < self._forget_above:
            return
        known = known_uids()
        self._said = {subject: said for subject, said in self._said.items() if subject[1] in known}
        self._forget_above = 2 * len(self._said) + _FEW_SUBJECTS

    def withdraw(self, subject: Subject) -> None:
        """What was to be said is no longer true; what was said already stays said."""
        self._held.pop(subject, None)
        if self._queue.pop(subject, None) is not None:
            self._said.pop(subject, None)

    def forget_all(self) -> None:
        """Begin anew: after losing the Lease others may have said other things."""
        for known in (self._said, self._held, self._queue):
            known.clear()

    def release_held(self) -> None:
        """Write what was held back long enough."""
        now = self._clock()
        for held in [held for held in self._held.values() if held.due_at <= now]:
            del self._held[held.saying.subject]
            self._remember(held.saying)
            self.once(held.saying)

    def _remember(self, saying: Saying) -> None:
        self._said[saying.subject] = _Said(saying.gist, saying.detail, self._clock())

    async def run(self) -> None:
        """Write until cancelled."""
        await asyncio.gather(self._tick(), *(self._write() for _ in range(WRITERS)))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self.release_held()

    async def _write(self) -> None:
        while True:
            await self._news.wait()
            await self._let_traffic_pass()
            saying = self._next()
            if saying is None:
                self._news.clear()
                continue
            self._sending.add(saying.subject)
            try:
                await self._send(saying)
            finally:
                self._sending.discard(saying.subject)
            if self._queue:
                self._news.set()

    def _next(self) -> Saying | None:
        subject = next((subject for subject in self._queue if subject not in self._sending), None)
        return None if subject is None else self._queue.pop(subject)

    async def _let_traffic_pass(self) -> None:
        if self._traffic.backlog:
            try:
                async with asyncio.timeout(_YIELD_SECONDS):
                    await self._traffic.drained()
            except TimeoutError:
                return

    async def _send(self, saying: Saying) -> None:
        for pause in (*_RETRY_SECONDS, None):
            if not self._fence.may_write() or saying.subject in self._queue:
                # Not ours to say any more, or there is something newer to say.
                return
            try:
                await saying.send()
            except ApiFailure as failure:
                if failure.status in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                    # The object is gone, or this very event exists already.
                    return
                if failure.retryable and pause is not None:
                    await asyncio.sleep(pause)
                    continue
                self.failures += 1
                self._said.pop(saying.subject, None)
                _log.warning("could not be told", subject=str(saying.subject), failure=str(failure))
                return
            self.writes += 1
            return
