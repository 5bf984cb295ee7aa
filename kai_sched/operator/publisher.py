"""Writes what is told about objects: on change only, few at a time, and never while pods wait to be bound.

What was said last is remembered by subject, so that a cycle may offer everything it knows and only news is
written. A message that merely counts differently (the same reason, other numbers) waits for its turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from kai_sched.cluster.contained import Contained
from kai_sched.errors import ApiFailure
from kai_sched.model.texts import shown
from kai_sched.operator.outbox import WRITERS, Outbox, Saying, Send, Subject
from kai_sched.operator.setbacks import Course, Setbacks

__all__ = ["Publisher", "Saying", "Send", "Subject"]

_log = structlog.get_logger(__name__)

_TICK_SECONDS: Final = 0.5
_YIELD_SECONDS: Final = 2.0
_FEW_SUBJECTS: Final = 1000


class Traffic(Protocol):
    """The more important writes; this one's wait for them."""

    @property
    def backlog(self) -> int: ...

    async def drained(self) -> None: ...


class Fence(Protocol):
    """Whether this process may write."""

    def may_write(self) -> bool: ...


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

    def __init__(
        self,
        traffic: Traffic,
        fence: Fence,
        clock: Callable[[], float],
        contained: Contained | None = None,
    ) -> None:
        self._traffic = traffic
        self._fence = fence
        self._clock = clock
        self._contained = contained or Contained()
        self._said: dict[Subject, _Said] = {}
        self._forget_above = _FEW_SUBJECTS
        self._held: dict[Subject, _Held] = {}
        self._again: dict[Subject, _Held] = {}
        """Writes that did not pass and are tried again soon."""
        self._outbox = Outbox()
        self._setbacks = Setbacks()
        self._news = asyncio.Event()
        self.writes = 0
        self.dropped = 0
        self.failures = 0

    @property
    def now(self) -> float:
        """Seconds of the clock by which it holds back."""
        return self._clock()

    def offer(self, saying: Saying) -> bool:
        """Write a saying if it is news; a newer one about the same subject replaces it. Whether it was written before.

        False: it is to be offered again, for a write may yet fail.
        """
        subject, now = saying.subject, self._clock()
        said = self._said.get(subject)
        held = self._held.pop(subject, None)
        since = held.since if held is not None and held.saying.gist == saying.gist else now
        if self._setbacks.is_barred(saying):
            return True
        if said is not None and said.gist == saying.gist:
            if said.detail == saying.detail:
                is_under_way = self._is_under_way(subject)
                if saying.repair_seconds is None or is_under_way:
                    return not is_under_way
                due_at = said.at + saying.repair_seconds
            else:
                due_at = said.at + saying.calm_seconds
        else:
            due_at = since + saying.patience_seconds
        due_at = max(due_at, self._setbacks.rests_until(subject))
        if now < due_at:
            self._held[subject] = _Held(saying, since, due_at)
            return False
        self._remember(saying)
        self.once(saying)
        return False

    def once(self, saying: Saying) -> None:
        """Write this, whatever was said before, and do not remember it."""
        self._again.pop(saying.subject, None)
        dropped = self._outbox.put(saying)
        if dropped is not None:
            self._said.pop(dropped.subject, None)
            self.dropped += 1
        self._news.set()

    def is_so(self, saying: Saying) -> None:
        """The object says this already: nothing is to be written."""
        self._take_back(saying.subject)
        said = self._said.get(saying.subject)
        if said is None or (said.gist, said.detail) != (saying.gist, saying.detail):
            self._remember(saying)

    def forget(self, subject: Subject) -> None:
        """The subject is gone, or what was said is no longer true."""
        self._take_back(subject)
        self._said.pop(subject, None)
        self._setbacks.passed(subject)

    def forget_others(self, known_uids: Callable[[], Collection[str]]) -> None:
        """Drop what was said of other objects, they are gone; done whenever what is remembered has doubled."""
        if len(self._said) < self._forget_above:
            return
        known = known_uids()
        self._said = {subject: said for subject, said in self._said.items() if subject[1] in known}
        self._setbacks.keep(known)
        self._forget_above = 2 * len(self._said) + _FEW_SUBJECTS

    def withdraw(self, subject: Subject) -> None:
        """What was to be said is no longer true; what was said already stays said."""
        if self._take_back(subject):
            self._said.pop(subject, None)

    def forget_all(self) -> None:
        """Begin anew: after losing the Lease others may have said other things."""
        for known in (self._said, self._held, self._again, self._outbox, self._setbacks):
            known.clear()

    def release_held(self) -> None:
        """Write what was held back long enough."""
        now = self._clock()
        for held in [held for held in self._held.values() if held.due_at <= now]:
            del self._held[held.saying.subject]
            self._remember(held.saying)
            self.once(held.saying)
        for held in [held for held in self._again.values() if held.due_at <= now]:
            self.once(held.saying)

    def _take_back(self, subject: Subject) -> bool:
        """Whether something about the subject was about to be written."""
        self._held.pop(subject, None)
        was_due = self._again.pop(subject, None) is not None
        return self._outbox.remove(subject) is not None or was_due

    def _is_under_way(self, subject: Subject) -> bool:
        return subject in self._outbox or subject in self._again or self._outbox.is_under_way(subject)

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
            saying = self._outbox.take()
            if saying is None:
                self._news.clear()
                continue
            try:
                await self._send(saying)
            finally:
                self._outbox.finished(saying.subject)
            if self._outbox:
                self._news.set()

    async def _let_traffic_pass(self) -> None:
        if self._traffic.backlog:
            try:
                async with asyncio.timeout(_YIELD_SECONDS):
                    await self._traffic.drained()
            except TimeoutError:
                return

    async def _send(self, saying: Saying) -> None:
        if not self._fence.may_write() or saying.subject in self._outbox:
            # Not ours to say any more, or there is something newer to say.
            return
        with self._contained.guard("write", "/".join(saying.subject)) as attempt:
            try:
                await saying.send()
            except ApiFailure as failure:
                self._failed(saying, failure)
            else:
                self.writes += 1
                self._setbacks.passed(saying.subject)
        if attempt.failure:
            # A writer that ended would tell nobody anything any more.
            self._failed(saying, None)

    def _failed(self, saying: Saying, failure: ApiFailure | None) -> None:
        now = self._clock()
        course, again_at = self._setbacks.failed(saying, failure, now)
        if course is Course.DROP:
            return
        if course is Course.SOON:
            # The writer goes on meanwhile: who is not answered must not keep others waiting.
            if saying.subject not in self._outbox:
                self._again[saying.subject] = _Held(saying, now, again_at)
            return
        self.failures += 1
        if course is Course.LATER:
            self._said.pop(saying.subject, None)
        _log.warning(
            "could not be told",
            subject=str(saying.subject),
            namespace=saying.namespace,
            again=course.value,
            failure=shown(str(failure)),
        )
