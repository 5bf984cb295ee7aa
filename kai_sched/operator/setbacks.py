"""Setbacks: what becomes of a write that the API server did not take.

Tried again soon where the server was busy, with growing pauses where it was refused (a right may come back), and never
again as it stands where it was too large.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Final

from kai_sched.errors import ApiFailure
from kai_sched.operator.outbox import Saying, Subject

_SOON_SECONDS: Final = (0.2, 1.0, 5.0)
_PAUSE_SECONDS: Final = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0)
_LONGEST_ASKED_SECONDS: Final = 60.0
"""Of what the server asks for in Retry-After."""
_SIZE_WORDS: Final = ("too large", "too long", "may not be more than", "must have at most")


class Course(Enum):
    """What to do about a failed write."""

    DROP = "drop"
    """Its object is gone, or this very event exists already."""
    SOON = "soon"
    LATER = "later"
    NEVER = "never"


@dataclass(slots=True)
class _Setback:
    count: int = 0
    until: float = 0.0
    barred: object = None
    """(gist, detail) that is not offered to the server again."""


class Setbacks:
    """By subject, until a write about it passes."""

    def __init__(self) -> None:
        self._known: dict[Subject, _Setback] = {}

    def failed(self, saying: Saying, failure: ApiFailure | None, now: float) -> tuple[Course, float]:
        """What to do about a write that failed (None: with an error of ours), and when to try it again."""
        if failure is not None and failure.status in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
            self.passed(saying.subject)
            return Course.DROP, now
        setback = self._known.setdefault(saying.subject, _Setback())
        setback.count += 1
        if failure is not None and _is_too_large(failure):
            setback.barred = (saying.gist, saying.detail)
            setback.until = now + _PAUSE_SECONDS[-1]
            return Course.NEVER, setback.until
        if failure is not None and failure.retryable and setback.count <= len(_SOON_SECONDS):
            asked = min(failure.retry_after_seconds or 0.0, _LONGEST_ASKED_SECONDS)
            return Course.SOON, now + max(_SOON_SECONDS[setback.count - 1], asked)
        step = setback.count - (1 if failure is None or not failure.retryable else 1 + len(_SOON_SECONDS))
        setback.until = now + _PAUSE_SECONDS[min(max(step, 0), len(_PAUSE_SECONDS) - 1)]
        return Course.LATER, setback.until

    def passed(self, subject: Subject) -> None:
        """A write about it was taken."""
        self._known.pop(subject, None)

    def is_barred(self, saying: Saying) -> bool:
        """Whether this very thing was too large."""
        setback = self._known.get(saying.subject)
        return setback is not None and setback.barred == (saying.gist, saying.detail)

    def rests_until(self, subject: Subject) -> float:
        """Before then nothing about it is written."""
        setback = self._known.get(subject)
        return setback.until if setback is not None else 0.0

    def keep(self, uids: Collection[str]) -> None:
        """Forget what was of other objects."""
        self._known = {subject: one for subject, one in self._known.items() if subject[1] in uids}

    def clear(self) -> None:
        """Begin anew."""
        self._known.clear()


def _is_too_large(failure: ApiFailure) -> bool:
    """By its status, or by its words: a store that refuses a size is an internal error to the API server."""
    if failure.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return True
    text = str(failure).lower()
    return failure.status >= HTTPStatus.BAD_REQUEST and any(words in text for words in _SIZE_WORDS)
