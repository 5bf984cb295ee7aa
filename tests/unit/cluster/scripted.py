"""An API server of one kind in memory: a history of numbered events, lists of any moment, watches that break on cue."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from kai_sched.cluster.ports import JSON, ListPage
from kai_sched.cluster.sightings import Change, ChangeKind
from kai_sched.errors import ApiFailure

Object = dict[str, Any]


class Done(Exception):
    """The script is at its end."""


def an_object(name: str, uid: str, version: int, **more: Any) -> Object:
    metadata = {"name": name, "namespace": "ns", "uid": uid, "resourceVersion": str(version)}
    return {"metadata": metadata, **more}


@dataclass
class ScriptedServer:
    """``faults``: what happens to each list and watch in turn, "" nothing; after the last one all goes well.

    Lists: "refuse", "expire" (410 after the first page). Watches: "refuse", "gone" (410 as an ERROR line),
    "cut" (broken after half of the lines), "garbage" (a line that is not JSON), "busy" (an ERROR line of 500).
    """

    faults: list[str] = field(default_factory=list)
    compacted_to: int = 0
    version: int = 100
    live: dict[str, Object] = field(default_factory=dict)
    history: list[tuple[int, str, Object]] = field(default_factory=list)
    before_watch: Callable[[], None] = lambda: None
    between_pages: Callable[[], None] = lambda: None
    is_over: Callable[[], bool] = lambda: True
    """Asked when a watch has told everything and no fault is left: whether the test ends here."""
    watched_from: list[str] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)

    def put(self, name: str, **more: Any) -> None:
        self.version += 1
        old = self.live.get(name)
        uid = old["metadata"]["uid"] if old else f"uid-{name}-{self.version}"
        self.live[name] = an_object(name, uid, self.version, **more)
        self.history.append((self.version, "MODIFIED" if old else "ADDED", self.live[name]))

    def delete(self, name: str) -> None:
        old = self.live.pop(name, None)
        if old is not None:
            self.version += 1
            gone = {"metadata": {**old["metadata"], "resourceVersion": str(self.version)}}
            self.history.append((self.version, "DELETED", gone))

    def truth(self) -> dict[str, tuple[str, str]]:
        return {f"ns/{name}": _identity(item) for name, item in self.live.items()}

    async def list_pages(
        self, path: str, *, limit: int = 500, params: Mapping[str, str] | None = None, accept: str = JSON
    ) -> AsyncGenerator[ListPage]:
        self.limits.append(limit)
        fault = self._next_fault()
        if fault == "refuse":
            raise ApiFailure("refused", status=0, retryable=True)
        items, version = list(self.live.values()), str(self.version)
        size = limit or max(len(items), 1)
        pages = [items[start : start + size] for start in range(0, len(items), size)] or [[]]
        for number, page in enumerate(pages):
            if number == 1 and fault == "expire":
                raise ApiFailure("continue expired", status=410, reason="Expired", retryable=True)
            yield ListPage(page, version, number == len(pages) - 1)
            self.between_pages()

    async def watch_lines(
        self,
        path: str,
        *,
        resource_version: str,
        timeout_seconds: int,
        params: Mapping[str, str] | None = None,
        accept: str = JSON,
    ) -> AsyncGenerator[list[bytes]]:
        self.before_watch()
        self.watched_from.append(resource_version)
        fault = self._next_fault()
        start = int(resource_version)
        if fault == "refuse":
            raise ApiFailure("refused", status=0, retryable=True)
        if fault == "gone" or start < self.compacted_to:
            yield [_line("ERROR", {"code": 410, "reason": "Expired", "message": "too old"})]
            return
        lines = [_line(kind, item) for version, kind, item in self.history if version > start]
        if fault == "cut":
            yield lines[: len(lines) // 2]
            raise ApiFailure("connection lost", status=0, retryable=True)
        if fault == "busy":
            yield [*lines[:1], _line("ERROR", {"code": 500, "message": "etcd"})]
            return
        if fault == "garbage":
            yield [*lines, b'{"type": "MODI']
            return
        if lines:
            yield lines
        yield [_line("BOOKMARK", {"metadata": {"resourceVersion": str(self.version)}})]
        if not self.faults and self.is_over():
            raise Done

    def _next_fault(self) -> str:
        return self.faults.pop(0) if self.faults else ""


class Collected:
    """A sink that holds what the changes add up to, and refuses changes that do not follow from what it holds."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[str, str]] = {}
        self.kinds: list[str] = []
        self.is_synced = False

    def apply(self, changes: Any) -> None:
        for change in changes:
            self._one(change)

    def synced(self) -> None:
        self.is_synced = True

    def _one(self, change: Change) -> None:
        self.kinds.append(change.kind)
        known = self.held.get(change.key)
        match change.kind:
            case ChangeKind.ADDED:
                assert known is None, f"{change.key} added twice"
            case ChangeKind.MODIFIED | ChangeKind.DELETED:
                assert known is not None, f"{change.key} {change.kind} but never added"
                assert known[0] == change.uid, f"{change.key} {change.kind} under another uid"
        if change.kind is ChangeKind.DELETED:
            del self.held[change.key]
        else:
            assert change.document is not None
            self.held[change.key] = _identity(change.document)


def _identity(item: Object) -> tuple[str, str]:
    return item["metadata"]["uid"], item["metadata"]["resourceVersion"]


def _line(kind: str, item: Object) -> bytes:
    return orjson.dumps({"type": kind, "object": item})
