"""What the watches of a cluster have told and nobody has judged yet."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from kai_sched.localcluster.conformance.replay import Event
from kai_sched.localcluster.conformance.state import WATCHED, key_of

Document = dict[str, Any]


class History:
    """Events of one watch for each kind, filled by threads. ``lost``: a stream broke off and cannot go on."""

    def __init__(self, documents: dict[str, list[Document]], revision: int) -> None:
        """The picture that the watches begin at, and its revision."""
        self.lost = threading.Event()
        self.reached = dict.fromkeys(WATCHED, revision)
        """How far each stream has told."""
        self._told = {kind: {key_of(one): _revision(one) for one in documents[kind]} for kind in WATCHED}
        self._gone: dict[str, dict[str, int]] = {kind: {} for kind in WATCHED}
        self._events: list[Event] = []
        self._lock = threading.Lock()

    def add(self, kind: str, event: Document) -> None:
        """One event of a stream. Removed objects carry the revision of their removal."""
        document = event["object"]
        is_gone = event["type"] == "DELETED"
        key, revision = key_of(document), _revision(document)
        with self._lock:
            self._events.append(Event(revision, kind, document, is_gone))
            self.reached[kind] = revision
            there, elsewhere = self._told[kind], self._gone[kind]
            if is_gone:
                there, elsewhere = elsewhere, there
            there[key] = revision
            elsewhere.pop(key, None)

    def covers(self, kind: str, listed: Iterable[Document], revision: int) -> bool:
        """Whether a stream has told all that led to a list, which is of that revision."""
        target = {key_of(one): _revision(one) for one in listed}
        with self._lock:
            told, gone = self._told[kind], self._gone[kind]
            if any(max(told.get(key, 0), gone.get(key, 0)) < newest for key, newest in target.items()):
                return False
            # Told of, older than the list and not in it: its removal is still to be told.
            return all(key in target or last > revision for key, last in told.items())

    def take(self, revision: int) -> list[Event]:
        """The events up to a revision, which are forgotten; later ones stay."""
        with self._lock:
            events, self._events = self._events, []
            self._events = [event for event in events if event.revision > revision]
        return [event for event in events if event.revision <= revision]


def _revision(document: Document) -> int:
    return int(document["metadata"]["resourceVersion"])
