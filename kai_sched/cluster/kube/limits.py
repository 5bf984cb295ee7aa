"""An optional limit of requests a second, as a token bucket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class RequestLimit:
    """Lets ``burst`` requests through at once and then ``per_second``; later callers wait in order."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float]) -> None:
        self._interval = 1.0 / per_second
        self._window = burst * self._interval
        self._clock = clock
        self._next_at = clock() - self._window

    async def wait(self) -> None:
        """Return when one more request may go."""
        now = self._clock()
        self._next_at = max(self._next_at, now - self._window) + self._interval
        if self._next_at > now:
            await asyncio.sleep(self._next_at - now)
