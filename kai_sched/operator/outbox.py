"""Outbox: what is due to be written, taken in turn among namespaces.

However many writes one namespace causes, or however slowly they are answered, those of the others go on: no namespace
has all writers, and each gets its turn.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Final

MOST: Final = 20_000
"""Sayings that wait at a time."""
WRITERS: Final = 4
_WRITERS_OF_ONE: Final = WRITERS - 1

Send = Callable[[], Awaitable[object]]
Subject = tuple[str, str]
"""(what is told, uid of the object it is told of)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """One thing to write. ``gist`` is what makes it news at once, ``detail`` what makes it news in time."""

    subject: Subject
    gist: Hashable
    detail: Hashable = None
    send: Send
    namespace: str = ""
    """Whose object it is: namespaces take turns. "" for objects of the cluster."""
    calm_seconds: float = 30.0
    """How long the same gist with another detail is held back."""
    patience_seconds: float = 0.0
    """How long a new gist must hold before it is written: what passes by itself is not told."""
    repair_seconds: float | None = None
    """The object is seen not to say it: after so long it is written again, somebody else wrote over it."""


class Outbox:
    """Holds at most one saying a subject, and knows which subjects have a write under way."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._waiting: OrderedDict[str, OrderedDict[Subject, Saying]] = OrderedDict()
        """By namespace, the one whose turn it is first."""
        self._namespace_of: dict[Subject, str] = {}
        self._under_way: dict[Subject, str] = {}

    def __len__(self) -> int:
        return len(self._namespace_of)

    def __contains__(self, subject: Subject) -> bool:
        return subject in self._namespace_of

    def is_under_way(self, subject: Subject) -> bool:
        """Whether a write about it was begun: the next one waits, or it might arrive first."""
        return subject in self._under_way

    def put(self, saying: Saying) -> Saying | None:
        """Have it written, in place of an older one of its subject. What had to give way for it, if anything."""
        dropped = None
        if saying.subject not in self._namespace_of and len(self) >= self._most:
            longest = max(self._waiting.values(), key=len)
            dropped = self.remove(next(iter(longest)))
        if self._namespace_of.get(saying.subject, saying.namespace) != saying.namespace:
            self.remove(saying.subject)
        self._namespace_of[saying.subject] = saying.namespace
        self._waiting.setdefault(saying.namespace, OrderedDict())[saying.subject] = saying
        return dropped

    def take(self) -> Saying | None:
        """The next to write, under way from now on; None if nothing may be written now."""
        busy = list(self._under_way.values())
        for namespace, sayings in self._waiting.items():
            if busy.count(namespace) >= _WRITERS_OF_ONE:
                continue
            subject = next((one for one in sayings if one not in self._under_way), None)
            if subject is not None:
                self._waiting.move_to_end(namespace)
                self._under_way[subject] = namespace
                return self.remove(subject)
        return None

    def finished(self, subject: Subject) -> None:
        """The write about this subject has ended."""
        self._under_way.pop(subject, None)

    def remove(self, subject: Subject) -> Saying | None:
        """What is said no more; None if nothing was to be said."""
        namespace = self._namespace_of.pop(subject, None)
        if namespace is None:
            return None
        sayings = self._waiting[namespace]
        saying = sayings.pop(subject)
        if not sayings:
            del self._waiting[namespace]
        return saying

    def clear(self) -> None:
        """Nothing is to be said any more; what is under way still is."""
        self._waiting.clear()
        self._namespace_of.clear()
