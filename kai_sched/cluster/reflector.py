"""Keeps up with one kind of object: a paged list, then a watch, again and again whatever breaks in between.

The watch delivers raw lines in batches, as many as have arrived, so that ten thousand events a second cost one
wake-up a batch. A re-list compares with what was seen: after a 410, after a change of the server's history, and
from time to time to catch what a watch may have dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Protocol

import orjson
import structlog

from kai_sched.cluster.backoff import Backoff
from kai_sched.cluster.decoding import decode
from kai_sched.cluster.ports import JSON, WatchTransport
from kai_sched.cluster.sightings import Change, Sightings
from kai_sched.errors import ApiFailure

_log = structlog.get_logger(__name__)

_GONE: Final = 410
_ABSENT: Final = 404
_LINES_A_TURN: Final = 200
"""After so many lines other tasks get their turn."""
_TRIES_BEFORE_RELIST: Final = 6
_TRIES_BEFORE_ONE_PAGE: Final = 3
"""A list whose pages expire before the last one is asked for whole."""
_SHORTEST_WATCH_SECONDS: Final = 1.0
"""A watch that ends sooner and without a word is as good as refused."""
GONE_SECONDS: Final = 30.0
"""A kind of which objects were seen must be answered 404 for so long before we believe that they are gone."""


class Sink(Protocol):
    """Where the changes of one kind go. Must not raise for a malformed object."""

    def apply(self, changes: Sequence[Change]) -> None:
        """Take changes in order."""
        ...

    def synced(self) -> None:
        """The sink now has every object that exists."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What to list and watch. ``list_accept``/``watch_accept``: metadata only where that is enough."""

    name: str
    path: str
    list_accept: str = JSON
    watch_accept: str = JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often things are asked for; every figure is spread by chance."""

    page_limit: int = 500
    watch_seconds: float = 20.0
    """The server ends a watch after this long, up to a quarter more. So a watch that is silent for longer is known
    to be dead, and connections move to other API servers."""
    relist_seconds: float = 1800.0
    """Age of the last list at which the end of a watch becomes a list."""
    compare_seconds: float = 300.0
    """How often a kind whose events come from elsewhere is listed for comparison."""
    absent_seconds: float = 30.0
    """How often a kind that was never served is looked for."""
    longest_wait_seconds: float = 4.0
    """Longest pause after failures, and between looks for a kind that was served before."""


@dataclass(slots=True, kw_only=True)
class ReflectorStats:
    """Counts for metrics and readiness."""

    is_synced: bool = False
    is_served: bool = True
    lists: int = 0
    watches: int = 0
    events: int = 0
    expired: int = 0
    """Watches that ended with 410."""
    failures: int = 0
    undecodable: int = 0
    missed: int = 0
    """Changes that a list showed and the watch had not told."""
    last_failure: str = ""
    is_blind: bool = False
    """Whether changes of the kind would not be told at the moment."""


class Reflector:
    """One kind. ``run`` until cancelled."""

    def __init__(
        self,
        transport: WatchTransport,
        source: Source,
        sink: Sink,
        *,
        chance: Callable[[], float],
        pace: Pace | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._transport = transport
        self._source = source
        self._sink = sink
        self._pace = pace or Pace()
        self._chance = chance
        self._sleep = sleep
        self._backoff = Backoff(chance, longest_seconds=self._pace.longest_wait_seconds)
        self._list_at = 0.0
        self._must_list = True
        self._absent_since: float | None = None
        self.sightings = Sightings()
        self.stats = ReflectorStats()

    async def run(self) -> None:
        """List and watch for ever; only cancelling ends it."""
        while True:
            try:
                await self._round()
            except ApiFailure as failure:
                await self._recover(failure)

    async def _round(self) -> None:
        if self._must_list or self._now() >= self._list_at:
            await self._list()
        await self._watch()

    async def _list(self) -> None:
        limit = self._pace.page_limit if self._backoff.failures < _TRIES_BEFORE_ONE_PAGE else 0
        missed = await list_into(self._transport, self._source, self.sightings, self._sink, limit)
        self.stats.lists += 1
        self.stats.missed += missed
        self.stats.is_served = True
        self._absent_since = None
        self._list_at = self._now() + self._pace.relist_seconds * (0.75 + 0.5 * self._chance())
        self._must_list = False
        self._backoff.reset()
        self._mark_synced()

    async def _watch(self) -> None:
        source = self._source
        batches = self._transport.watch_lines(
            source.path,
            resource_version=self.sightings.resource_version,
            timeout_seconds=int(self._pace.watch_seconds * (1.0 + 0.25 * self._chance())),
            accept=source.watch_accept,
        )
        self.stats.watches += 1
        started_at, is_alive = self._now(), False
        async with aclosing(batches):
            async for lines in batches:
                self.stats.is_blind = False
                is_alive = is_alive or bool(lines)
                for start in range(0, len(lines), _LINES_A_TURN):
                    self._take(lines[start : start + _LINES_A_TURN])
                    await asyncio.sleep(0)
                if self._must_list:
                    return
        if is_alive or self._now() - started_at > _SHORTEST_WATCH_SECONDS:
            # An end without a failure is the server's own time limit.
            self.stats.is_blind = False
            self._backoff.reset()
        else:
            await self._sleep(self._backoff.next_delay())

    def _take(self, lines: Sequence[bytes]) -> None:
        # One by one: two hundred parsed objects at once would not stay in the processor's cache, and would live
        # long enough for the garbage collector to look at each of them.
        for line in lines:
            changes = self._changes_of(line)
            if changes:
                self._sink.apply(changes)
        self._backoff.reset()

    def _changes_of(self, line: bytes) -> list[Change]:
        try:
            event = decode(line)
            event_type, document = event["type"], event["object"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            # Whose event this was cannot be told: only a list can say what became of it.
            self.stats.undecodable += 1
            self._must_list = True
            return []
        if event_type == "ERROR":
            raise _failure_in(self._source, document)
        if event_type == "BOOKMARK":
            if not self.sightings.bookmark(str(document["metadata"].get("resourceVersion") or "")):
                self._must_list = True
            return []
        self.stats.events += 1
        return self.sightings.see(event_type, document)

    async def _recover(self, failure: ApiFailure) -> None:
        self.stats.failures += 1
        self.stats.last_failure = str(failure)
        if failure.status == _ABSENT:
            await self._wait_for_kind()
            return
        self.stats.is_blind = True
        first_in_a_row = self._backoff.failures == 0
        delay = self._backoff.next_delay()
        if failure.status == _GONE:
            self.stats.expired += 1
            self._must_list = True
            if first_in_a_row:
                return
        if self._backoff.failures >= _TRIES_BEFORE_RELIST:
            self._must_list = True
        _log.warning(
            "watch broken", source=self._source.name, error=str(failure), retry_in_seconds=round(delay, 2)
        )
        await self._sleep(delay)

    async def _wait_for_kind(self) -> None:
        """The kind is not served (or no longer): it has no objects, and may come with an upgrade or a CRD.

        A kind that was served a moment ago may only be late: an API server answers before it has read its CRDs.
        """
        self._must_list = True
        if self._absent_since is None:
            self._absent_since = self._now()
        was_served = self.stats.is_served and self.stats.lists > 0
        if not was_served or self._now() - self._absent_since >= GONE_SECONDS:
            self._sink.apply(self.sightings.clear())
            self.stats.is_served = self.stats.is_blind = False
            self._mark_synced()
        else:
            self.stats.is_blind = True
        pace = self._pace
        pause = (
            min(pace.absent_seconds, pace.longest_wait_seconds) if self.stats.lists else pace.absent_seconds
        )
        await self._sleep(pause * (0.5 + 0.5 * self._chance()))

    def _mark_synced(self) -> None:
        if not self.stats.is_synced:
            self.stats.is_synced = True
            self._sink.synced()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


async def list_into(
    transport: WatchTransport, source: Source, sightings: Sightings, sink: Sink, limit: int
) -> int:
    """One complete list, told to the sink as changes; answers how many of them a watch had failed to tell."""
    sightings.begin_list()
    version = ""
    pages = transport.list_pages(source.path, limit=limit, accept=source.list_accept)
    async with aclosing(pages):
        async for page in pages:
            version = page.resource_version
            sink.apply(sightings.add_page(page.items, version))
            await asyncio.sleep(0)
    vanished, missed = sightings.end_list(version)
    sink.apply(vanished)
    return missed


def _failure_in(source: Source, status: object) -> ApiFailure:
    """The failure that an ERROR line tells of."""
    details = status if isinstance(status, dict) else {}
    code = int(details.get("code") or 0)
    reason = str(details.get("reason") or "")
    message = f"watch of {source.name}: {code} {details.get('message') or reason or 'no message'}"
    return ApiFailure(message, status=code, reason=reason, retryable=True)
