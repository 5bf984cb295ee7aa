"""Records the history of a cluster by watches, and judges it on request.

All kinds share one etcd, whose revisions order their events; the streams do not. So events are kept until all streams
are known to have told everything up to one revision, and replayed in order then.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Protocol, Self

from kai_sched.errors import ApiFailure, ControlPlaneError
from kai_sched.localcluster.admin import AdminApi, Document
from kai_sched.localcluster.conformance.replay import Event, Replay
from kai_sched.localcluster.conformance.rules import Violation
from kai_sched.localcluster.conformance.state import WATCHED, key_of

_WATCH_SECONDS = 5
"""How long a watch lasts before it is renewed, and with it how long a thread lingers after the end."""
_CATCH_UP_SECONDS = 60.0
_RETRY_SECONDS = 0.1
_EXPIRED = 410


class HasApi(Protocol):
    """A cluster, as far as the watcher needs it."""

    @property
    def api(self) -> AdminApi: ...


class ConformanceWatcher:
    """``with ConformanceWatcher(cluster) as watcher: ...; watcher.assert_clean()``."""

    def __init__(self, cluster: HasApi) -> None:
        self._api = cluster.api
        self._replay = Replay()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._history: _History | None = None

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()

    @property
    def binds_seen(self) -> int:
        """How many pods were seen to get a node, up to the last check."""
        return self._replay.binds_seen

    @property
    def allocations_seen(self) -> int:
        """How many claims were seen to get devices, up to the last check."""
        return self._replay.allocations_seen

    def check(self) -> tuple[Violation, ...]:
        """Judges all that happened until now; every violation since the beginning."""
        with self._lock:
            history = self._history
            if history is None:
                raise ControlPlaneError("the conformance watcher is not started")
            if history.lost.is_set():
                # Streams broke off at different points: nothing after the last check is complete.
                self._begin()
            else:
                self._catch_up(history)
            return tuple(self._replay.violations)

    def assert_clean(self) -> None:
        """Raises ``AssertionError`` that lists the violations, if there are any."""
        violations = self.check()
        if violations:
            lines = "\n  ".join(str(violation) for violation in violations[:20])
            raise AssertionError(f"{len(violations)} violations of conformance:\n  {lines}")

    def _begin(self) -> None:
        """One picture of one revision, then watches from there."""
        revision, documents = self._picture()
        self._replay.restart(documents, int(revision))
        self._history = history = _History()
        for kind in WATCHED:
            history.seen[kind] = {
                key_of(document): document["metadata"]["resourceVersion"] for document in documents[kind]
            }
            threading.Thread(target=self._follow, args=(history, kind, revision), daemon=True).start()

    def _picture(self) -> tuple[str, dict[str, list[Document]]]:
        revision, pods = self._api.list_at("Pod")
        pictures = {"Pod": pods}
        for kind in WATCHED:
            if kind != "Pod":
                pictures[kind] = self._api.list_at(kind, revision)[1]
        return revision, pictures

    def _follow(self, history: _History, kind: str, revision: str) -> None:
        while not self._ended.is_set() and not history.lost.is_set():
            try:
                for event in self._api.watch(kind, revision, timeout_seconds=_WATCH_SECONDS):
                    if event["type"] == "ERROR":
                        raise ApiFailure(
                            str(event["object"].get("message")),
                            status=event["object"].get("code", 0),
                            retryable=True,
                        )
                    revision = event["object"]["metadata"]["resourceVersion"]
                    history.add(kind, event)
            except ApiFailure as failure:
                if failure.status == _EXPIRED:
                    history.lost.set()
                    return
                self._ended.wait(_RETRY_SECONDS)

    def _catch_up(self, history: _History) -> None:
        """Waits until the streams have told all that a list made now tells, and replays that."""
        for kind in WATCHED:
            _, documents = self._api.list_at(kind)
            target = {key_of(one): int(one["metadata"]["resourceVersion"]) for one in documents}
            deadline = time.monotonic() + _CATCH_UP_SECONDS
            while not history.covers(kind, target) and not history.lost.is_set():
                if time.monotonic() > deadline:
                    raise ControlPlaneError(f"the watch of {kind} does not catch up")
                time.sleep(0.01)
        self._replay.advance(history.take())


class _History:
    """Events not yet replayed, and the last revision told of each object."""

    def __init__(self) -> None:
        self.lost = threading.Event()
        self.seen: dict[str, dict[str, str]] = {}
        self._events: list[Event] = []
        self._lock = threading.Lock()

    def add(self, kind: str, event: Document) -> None:
        """One event of a stream. Removed objects carry the revision of their removal."""
        document = event["object"]
        is_gone = event["type"] == "DELETED"
        revision = document["metadata"]["resourceVersion"]
        with self._lock:
            self._events.append(Event(int(revision), kind, document, is_gone))
            if is_gone:
                self.seen[kind].pop(key_of(document), None)
            else:
                self.seen[kind][key_of(document)] = revision

    def covers(self, kind: str, target: dict[str, int]) -> bool:
        """Whether the stream has told of everything in a list: nothing in it is newer, nothing told is gone."""
        with self._lock:
            seen = {key: int(revision) for key, revision in self.seen[kind].items()}
        newest = max(seen.values(), default=0)
        missing = {key for key, revision in target.items() if seen.get(key, 0) < revision}
        # Told of, and not in the list: removed before it, unless it came after the list was made.
        listed = max(target.values(), default=0)
        stale = {key for key, revision in seen.items() if key not in target and revision <= listed}
        return not stale and (not missing or newest > listed and not (missing & seen.keys()))

    def take(self) -> list[Event]:
        """All events so far, which are forgotten."""
        with self._lock:
            events, self._events = self._events, []
            return events
