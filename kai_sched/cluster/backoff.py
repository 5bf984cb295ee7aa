"""Waiting longer after each failure, never in step with others."""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """Delays that double up to a limit, each spread over its upper half by ``chance`` (0 ≤ chance() < 1)."""

    def __init__(
        self, chance: Callable[[], float], *, first_seconds: float = 0.2, longest_seconds: float = 30.0
    ) -> None:
        self._chance = chance
        self._first = first_seconds
        self._longest = longest_seconds
        self.failures = 0
        """Failures in a row."""

    def next_delay(self) -> float:
        """Seconds to wait after one more failure."""
        full = min(self._longest, self._first * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return full * (0.5 + 0.5 * self._chance())

    def reset(self) -> None:
        """Something worked."""
        self.failures = 0
