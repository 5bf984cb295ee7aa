"""Contained failures: what went wrong about one object and cost that object only.

A bug of ours, or a value that we did not think of, must not take a cycle with it: whoever works through many objects
does each in a guard of its own. Failures are counted by kind, and each is said in the log once.
"""

from __future__ import annotations

import traceback
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from kai_sched.model.texts import PROBLEM, shown

_log = structlog.get_logger(__name__)

_MOST_REMEMBERED: Final = 1000
_MOST_FRAMES: Final = 6


@dataclass(slots=True)
class Attempt:
    """How the block of a guard ended."""

    failure: str = ""
    """What failed, in a line; "" if nothing did."""


class Contained:
    """Counts them, and remembers which were said."""

    def __init__(self, count: Callable[[str], None] | None = None) -> None:
        self.counts: Counter[str] = Counter()
        """By kind: what was being done about the object."""
        self._count = count or (lambda _: None)
        self._said: OrderedDict[tuple[str, str], str] = OrderedDict()

    @contextmanager
    def guard(self, kind: str, subject: str) -> Iterator[Attempt]:
        """Whatever fails in the block about this subject is its own failure; afterwards the attempt says which."""
        attempt = Attempt()
        try:
            yield attempt
        except Exception as failure:  # noqa: BLE001 — others must not pay for it
            attempt.failure = told(failure)
            self.note(kind, subject, failure)

    def note(self, kind: str, subject: str, failure: BaseException | str) -> None:
        """One failure; said in the log unless the same was said of the same subject already."""
        self.counts[kind] += 1
        self._count(kind)
        text = failure if isinstance(failure, str) else told(failure)
        if self._said.get((kind, subject)) == text:
            return
        self._said[kind, subject] = text
        if len(self._said) > _MOST_REMEMBERED:
            self._said.popitem(last=False)
        frames = traceback.format_tb(failure.__traceback__) if isinstance(failure, BaseException) else []
        # Without the message, which may repeat megabytes of somebody's object.
        where = "".join(frames[-_MOST_FRAMES:])
        _log.error("a failure was contained", kind=kind, subject=shown(subject), failure=text, where=where)


def told(failure: BaseException) -> str:
    """A failure in a line."""
    return shown(f"{type(failure).__name__}: {failure}", PROBLEM)
