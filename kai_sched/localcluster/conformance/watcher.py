"""Records the history of a cluster by watches, and judges it on request.

All kinds share one etcd, whose revisions order their events; the streams do not. So events are kept until all streams
are known to have told everything up to one revision, and replayed in order then.
"""

from __future__ import annotations

import contextlib
import threading
import time
from types import TracebackType
from typing import Protocol, Self

from kai_sched.errors import ApiFailure, ControlPlaneError
from kai_sched.localcluster.admin import AdminApi, Document
from kai_sched.localcluster.conformance.history import History
from kai_sched.localcluster.conformance.replay import Replay
from kai_sched.localcluster.conformance.rules import Violation
from kai_sched.localcluster.conformance.state import WATCHED
from kai_sched.localcluster.stream import Stream

_CATCH_UP_SECONDS = 60.0
_POLL_SECONDS = 0.01
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
        self._streams: set[Stream] = set()
        self._history: History | None = None

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._end_streams()

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
            if not history.lost.is_set():
                self._catch_up(history)
            if history.lost.is_set():
                # Streams broke off at different points: what came after the last check has gaps.
                self._begin()
            return tuple(self._replay.violations)

    def assert_clean(self) -> None:
        """Raises ``AssertionError`` that lists the violations, if there are any."""
        violations = self.check()
        if violations:
            lines = "\n  ".join(str(violation) for violation in violations[:20])
            raise AssertionError(f"{len(violations)} violations of conformance:\n  {lines}")

    def _begin(self) -> None:
        """One picture of one revision, then watches from there."""
        # Those of a history that was lost: an API server with open watches takes long to end.
        self._end_streams()
        revision, documents = self._picture()
        self._replay.restart(documents, revision)
        self._history = history = History(documents, revision)
        for kind in WATCHED:
            threading.Thread(target=self._follow, args=(history, kind), daemon=True).start()

    def _picture(self) -> tuple[int, dict[str, list[Document]]]:
        """Everything as it was at one revision, which is not older than this call."""
        revision, pods = self._api.list_at("Pod")
        pictures = {kind: self._api.list_at(kind, revision)[1] for kind in WATCHED if kind != "Pod"}
        return revision, {**pictures, "Pod": pods}

    def _follow(self, history: History, kind: str) -> None:
        while not self._is_over(history):
            try:
                self._read_stream(history, kind)
            except ApiFailure as failure:
                if failure.status == _EXPIRED:
                    history.lost.set()
                self._ended.wait(_RETRY_SECONDS)

    def _read_stream(self, history: History, kind: str) -> None:
        """Reads one watch to its end."""
        with contextlib.closing(self._api.watch(kind, str(history.reached[kind]))) as stream:
            self._streams.add(stream)
            try:
                # Who ends streams may have looked just before this one was there.
                if not self._is_over(history):
                    self._take_in(history, kind, stream)
            finally:
                self._streams.discard(stream)

    def _take_in(self, history: History, kind: str, stream: Stream) -> None:
        for event in stream:
            if self._is_over(history):
                return
            if event["type"] == "ERROR":
                status = int(event["object"].get("code", 0))
                raise ApiFailure(str(event["object"].get("message")), status=status, retryable=True)
            history.add(kind, event)

    def _is_over(self, history: History) -> bool:
        return self._ended.is_set() or history.lost.is_set()

    def _end_streams(self) -> None:
        for stream in list(self._streams):
            stream.end()

    def _catch_up(self, history: History) -> None:
        """Waits until the streams have told all that a picture made now shows, and replays that."""
        revision, documents = self._picture()
        deadline = time.monotonic() + _CATCH_UP_SECONDS
        for kind in WATCHED:
            while not history.covers(kind, documents[kind], revision):
                if history.lost.is_set():
                    return
                if time.monotonic() > deadline:
                    raise ControlPlaneError(f"the watch of {kind} does not catch up")
                time.sleep(_POLL_SECONDS)
        self._replay.advance(history.take(revision))
