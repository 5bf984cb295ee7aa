"""Compares what another source of events has told with what exists, from time to time.

The low-volume kinds are watched by the operator's framework, which says neither when its first listing is complete
nor what vanished while its watch was down. A list now and then says both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from kai_sched.cluster.backoff import Backoff
from kai_sched.cluster.ports import WatchTransport
from kai_sched.cluster.reflector import Pace, ReflectorStats, Sink, Source, list_into
from kai_sched.cluster.sightings import Sightings
from kai_sched.errors import ApiFailure

_log = structlog.get_logger(__name__)
_ABSENT = 404


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
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._transport = transport
        self._source = source
        self._sightings = sightings
        self._sink = sink
        self._chance = chance
        self._pace = pace or Pace()
        self._sleep = sleep
        self._backoff = Backoff(chance, longest_seconds=self._pace.longest_wait_seconds)
        self.stats = ReflectorStats()

    async def run(self) -> None:
        """Compare for ever; only cancelling ends it."""
        while True:
            await self._sleep(await self._delay_after_list())

    async def _delay_after_list(self) -> float:
        try:
            missed = await list_into(
                self._transport, self._source, self._sightings, self._sink, self._pace.page_limit
            )
        except ApiFailure as failure:
            return self._delay_after(failure)
        if self.stats.is_synced:
            self.stats.missed += missed
        self.stats.lists += 1
        self.stats.is_served = True
        self._backoff.reset()
        self._mark_synced()
        return self._pace.compare_seconds * (0.75 + 0.5 * self._chance())

    def _delay_after(self, failure: ApiFailure) -> float:
        self.stats.failures += 1
        self.stats.last_failure = str(failure)
        if failure.status == _ABSENT and len(self._sightings) == 0:
            # The CRD is not there yet: no objects, and nothing to wait for.
            self.stats.is_served = False
            self._mark_synced()
            return self._pace.absent_seconds * (0.5 + 0.5 * self._chance())
        delay = self._backoff.next_delay()
        _log.warning(
            "list failed", source=self._source.name, error=str(failure), retry_in_seconds=round(delay, 2)
        )
        return delay

    def _mark_synced(self) -> None:
        if not self.stats.is_synced:
            self.stats.is_synced = True
            self._sink.synced()
