"""kopf, watching our own low-volume kinds (Queue, PodGroup, Topology, SchedulingShard), and its supervisor.

Every kind has a run of kopf of its own (``kopf_run``), so that an answer that ends one of them costs the others
nothing. A run that ended, or whose heartbeat stopped, is left behind and another is started within a second.
Whoever compares the kinds with lists hears when a kind goes blind and when it is watched again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from kai_sched.api import kinds
from kai_sched.api.kinds import Kind
from kai_sched.cluster.kube import resources
from kai_sched.cluster.kube.resources import Resource
from kai_sched.cluster.ports import Document
from kai_sched.operator.kopf_run import KopfRun

_log = structlog.get_logger(__name__)

WATCHED: Final[Mapping[Kind, Resource]] = {
    kinds.QUEUE: resources.QUEUES,
    kinds.POD_GROUP: resources.POD_GROUPS,
    kinds.TOPOLOGY: resources.TOPOLOGIES,
    kinds.SHARD: resources.SHARDS,
}
LOOK_SECONDS: Final = 0.2
FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 2.0
STOP_SECONDS: Final = 5.0

EventSink = Callable[[Kind, str | None, Document], None]
Notice = Callable[[Kind, bool], None]
"""Kind, and whether its events are being told from now on."""


@dataclass(slots=True)
class _Post:
    """What the supervisor knows of one kind."""

    run: KopfRun | None = None
    is_watching: bool = False
    pause_seconds: float = FIRST_PAUSE_SECONDS
    due_at: float = 0.0
    left_behind: list[KopfRun] = field(default_factory=list)


class KopfWatch:
    """Watches until stopped; every event goes to ``sink`` on the loop that called ``start``.

    ``is_served`` says whether the API server knows a kind: kopf is not started on one that it does not know.
    """

    def __init__(
        self,
        sink: EventSink,
        kubeconfig: Path | None = None,
        context: str | None = None,
        *,
        notice: Notice | None = None,
        is_served: Callable[[Kind], bool] = lambda _kind: True,
    ) -> None:
        self._sink = sink
        self._kubeconfig = kubeconfig
        self._context = context
        self._notice = notice
        self._is_served = is_served
        self._posts = {kind: _Post() for kind in WATCHED}
        self._home: asyncio.AbstractEventLoop | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self.starts = 0
        """Runs of kopf so far, of all kinds."""

    @property
    def blind(self) -> tuple[Kind, ...]:
        """The kinds that are served and not watched at the moment."""
        return tuple(
            kind for kind, post in self._posts.items() if not post.is_watching and self._is_served(kind)
        )

    def start(self) -> None:
        """Begin to watch."""
        self._home = asyncio.get_running_loop()
        self._supervisor = asyncio.create_task(self._supervise(), name="supervise kopf")

    async def stop(self) -> None:
        """End the watches and their threads."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
        runs = [
            run for post in self._posts.values() for run in (post.run, *post.left_behind) if run is not None
        ]
        for run in runs:
            run.end()
        until = time.monotonic() + STOP_SECONDS
        for run in runs:
            await asyncio.to_thread(run.join, max(0.0, until - time.monotonic()))

    async def _supervise(self) -> None:
        while True:
            for kind, post in self._posts.items():
                try:
                    self._look_after(kind, post, time.monotonic())
                except Exception:  # noqa: BLE001 — one kind's trouble must not end the supervision of all
                    _log.exception("the supervision of a watch failed", kind=str(kind))
            await asyncio.sleep(LOOK_SECONDS)

    def _look_after(self, kind: Kind, post: _Post, now: float) -> None:
        if post.run is None:
            if now >= post.due_at and self._is_served(kind):
                self._begin(kind, post)
            return
        if problem := _problem(post.run, now):
            _log.warning("a watch ended and is started again", kind=str(kind), failure=problem)
            self._leave_behind(post, now)
            self._note(kind, post, is_watching=False)
        elif post.run.heartbeat.beat_at is not None and not post.is_watching:
            post.pause_seconds = FIRST_PAUSE_SECONDS
            self._note(kind, post, is_watching=True)

    def _begin(self, kind: Kind, post: _Post) -> None:
        self.starts += 1
        run = KopfRun(
            WATCHED[kind], lambda *event: self._tell(run, kind, *event), self._kubeconfig, self._context
        )
        post.run = run
        run.start()

    def _leave_behind(self, post: _Post, now: float) -> None:
        assert post.run is not None
        post.run.end()
        post.left_behind = [run for run in post.left_behind if run.is_alive] + [post.run]
        post.run = None
        post.due_at = now + post.pause_seconds
        post.pause_seconds = min(2 * post.pause_seconds, LONGEST_PAUSE_SECONDS)

    def _note(self, kind: Kind, post: _Post, *, is_watching: bool) -> None:
        post.is_watching = is_watching
        if self._notice is not None:
            self._notice(kind, is_watching)

    def _tell(self, run: KopfRun, kind: Kind, event_type: str | None, document: Document) -> None:
        """In the thread of a run: hand over to the home loop, which may be closed by now."""
        home = self._home
        if home is None:
            return
        try:
            home.call_soon_threadsafe(self._hear, run, kind, event_type, document)
        except RuntimeError:
            run.end()

    def _hear(self, run: KopfRun, kind: Kind, event_type: str | None, document: Document) -> None:
        if self._posts[kind].run is run:
            self._sink(kind, event_type, document)


def _problem(run: KopfRun, now: float) -> str:
    if run.has_ended:
        return run.failure or "kopf ended without a word"
    return run.heartbeat.problem(now)
