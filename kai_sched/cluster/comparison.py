"""Compares what another source of events has told with what exists: from time to time, and at every gap.

The low-volume kinds are watched by the operator's framework, which says neither when its first listing is complete
nor what vanished while its watch was down. A list now and then says both. While the source is blind the lists come
every few seconds and carry the kind alone; when it watches again one more closes the gap.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from kai_sched.cluster.backoff import Backoff
from kai_sched.cluster.ports import WatchTransport
from kai_sched.cluster.reflector import GONE_SECONDS, Pace, ReflectorStats, Sink, Source, list_into
from kai_sched.cluster.sightings import Sightings
from kai_sched.errors import ApiFailure

_log = structlog.get_logger(__name__)
_ABSENT: Final = 404
BLIND_SECONDS: Final = 2.0
"""Pause between lists while nothing else tells of the kind."""


class Comparison:
    """One kind. ``run`` until cancelled."""

    def __init__(
        self,
        transport: WatchTransport,
        source: Source,
        sightings: Sightings,
        sink: Sink,
        *,
        chance: Callable[[], float],
        pace: Pace | None = None,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        self._transport = transport
        self._source = source
        self._sightings = sightings
        self._sink = sink
        self._chance = chance
        self._pace = pace or Pace()
        self._sleep = sleep or self._until_due
        self._due = asyncio.Event()
        self._absent_since: float | None = None
        self._backoff = Backoff(chance, longest_seconds=self._pace.longest_wait_seconds)
        self.stats = ReflectorStats()

    async def run(self) -> None:
        """Compare for ever; only cancelling ends it."""
        while True:
            self._due.clear()
            await self._sleep(await self._delay_after_list())

    def watched(self, *, is_watched: bool) -> None:
        """The other source began to tell of every change, or ceased to: compare now."""
        self.stats.is_blind = not is_watched
        self._due.set()

    async def _until_due(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._due.wait()

    async def _delay_after_list(self) -> float:
        try:
            missed = await list_into(
                self._transport, self._source, self._sightings, self._sink, self._pace.page_limit
            )
        except ApiFailure as failure:
            return self._delay_after(failure)
        if self.stats.is_synced and not self.stats.is_blind:
            self.stats.missed += missed
        self.stats.lists += 1
        self.stats.is_served = True
        self._absent_since = None
        self._backoff.reset()
        self._mark_synced()
        pause = BLIND_SECONDS if self.stats.is_blind else self._pace.compare_seconds
        return pause * (0.75 + 0.5 * self._chance())

    def _delay_after(self, failure: ApiFailure) -> float:
        self.stats.failures += 1
        self.stats.last_failure = str(failure)
        if failure.status == _ABSENT and self._is_gone():
            # The CRD is not there: no objects, and nothing to wait for.
            self._sink.apply(self._sightings.clear())
            self.stats.is_served = False
            self._mark_synced()
            pause = min(self._pace.absent_seconds, self._pace.longest_wait_seconds)
            return pause * (0.5 + 0.5 * self._chance())
        delay = self._backoff.next_delay()
        _log.warning(
            "list failed", source=self._source.name, error=str(failure), retry_in_seconds=round(delay, 2)
        )
        return delay

    def _is_gone(self) -> bool:
        """Whether we believe a 404: at once where nothing was seen, else after a while (an API server may be late)."""
        now = asyncio.get_running_loop().time()
        if self._absent_since is None:
            self._absent_since = now
        return len(self._sightings) == 0 or now - self._absent_since >= GONE_SECONDS

    def _mark_synced(self) -> None:
        if not self.stats.is_synced:
            self.stats.is_synced = True
            self._sink.synced()
