"""How long a gang waits for what others have to do before its pods can be bound."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceWait:
    """How long a gang waits for its devices to be prepared and its volumes to be bound, and by which clocks.

    Counted from when it began to, or from the allocation's own time where that is earlier: an operator that was
    started anew goes on counting.
    """

    timeout_seconds: float = 600.0
    """As the reference waits."""
    poll_seconds: float = 2.0
    clock: Callable[[], float] = time.monotonic
    epoch: Callable[[], float] | None = None
    """Seconds since 1970 for the allocation's own time; None: that does not count."""
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep

    def age_seconds(self, allocated_at: float | None) -> float:
        """How long ago an allocation was made, as far as that is known."""
        if allocated_at is None or self.epoch is None:
            return 0.0
        return max(0.0, self.epoch() - allocated_at)


DEFAULT_WAIT: Final = DeviceWait()
