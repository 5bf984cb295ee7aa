"""The heartbeat of one run of kopf on one kind: what tells a quiet watch from a dead one.

Written by the thread of that run as answers and events come, read by its supervisor. A quiet watch is opened again by
kopf before ``WATCH_SECONDS`` are over, and the answer to that is a beat.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

WATCH_SECONDS: Final = 20.0
"""The API server is asked to end every watch after so long."""
SILENCE_SECONDS: Final = 26.0
"""A watch from which nothing came for so long is dead: its end is overdue."""
OPENING_SECONDS: Final = 12.0
"""A run that has opened no watch after so long is dead."""
REFUSED_SECONDS: Final = 0.8
"""A refusal (401, 403, 404, 5xx) ends kopf's watch of a kind; a run that shows no beat so long after it is dead."""


@dataclass(slots=True)
class Heartbeat:
    """Times are of a monotonic clock, in seconds."""

    begun_at: float
    beat_at: float | None = None
    """Last answer that opened a watch, or last event."""
    refused_at: float | None = None
    """First refusal since the last beat."""
    refusal: str = field(default="")

    def beat(self, now: float) -> None:
        """The watch was opened (again), or told of something."""
        self.refused_at, self.refusal, self.beat_at = None, "", now

    def refused(self, now: float, status: int) -> None:
        """The API server refused a list or a watch of the kind."""
        self.refusal = f"the API server answers {status}"
        if self.refused_at is None:
            self.refused_at = now

    def problem(self, now: float) -> str:
        """Why this run does not watch any more; "" while it does, or may still begin to."""
        if self.refused_at is not None and now - self.refused_at > REFUSED_SECONDS:
            return self.refusal
        if self.beat_at is None:
            late = now - self.begun_at > OPENING_SECONDS
            return f"no watch was opened in {OPENING_SECONDS:g} s" if late else ""
        if now - self.beat_at > SILENCE_SECONDS:
            return f"nothing was heard for {SILENCE_SECONDS:g} s"
        return ""
