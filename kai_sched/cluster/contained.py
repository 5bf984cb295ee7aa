"""Contained failures: what went wrong about one object and cost that object only.

A bug of ours, or a value that we did not think of, must not take a cycle with it: whoever works through many objects
does each in a guard of its own. Failures are counted by kind, and each is said in the log once.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from kai_sched.model.texts import PROBLEM, shown

_log = structlog.get_logger(__name__)

_MOST_REMEMBERED: Final = 1000


class Contained:
    """Counts them, and remembers which were said."""

    def __init__(self, count: Callable[[str], None] | None = None) -> None:
        self.counts: Counter[str] = Counter()
        """By kind: what was being done about the object."""
        self._count = count or (lambda _: None)
        self._said: OrderedDict[tuple[str, str], str] = OrderedDict()

    @contextmanager
    def guard(self, kind: str, subject: str) -> Iterator[None]:
        """Whatever fails in the block about this subject is its own failure."""
        try:
            yield
        except Exception as failure:  # noqa: BLE001 — the others are to be told all the same
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
        cause = failure if isinstance(failure, BaseException) else None
        _log.error("a failure was contained", kind=kind, subject=shown(subject), failure=text, exc_info=cause)


def told(failure: BaseException) -> str:
    """A failure in a line."""
    return shown(f"{type(failure).__name__}: {failure}", PROBLEM)
