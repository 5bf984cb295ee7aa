"""kopf, watching our own low-volume kinds: Queue, PodGroup, Topology, SchedulingShard.

It has a thread and an event loop of its own: when it ends, kopf cancels every task of its loop, and some answers of
a restarting API server end it. Here that costs a new start of kopf and nothing else. Handlers are ``on.event``
only, so kopf writes neither annotations nor finalizers on anybody's objects.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import kopf
import structlog

from kai_sched.api import kinds
from kai_sched.api.kinds import Kind
from kai_sched.cluster.kube import resources
from kai_sched.cluster.kube.connection import Connection
from kai_sched.cluster.kube.resources import Resource
from kai_sched.cluster.ports import Document

_log = structlog.get_logger(__name__)

WATCHED: Final[Mapping[Kind, Resource]] = {
    kinds.QUEUE: resources.QUEUES,
    kinds.POD_GROUP: resources.POD_GROUPS,
    kinds.TOPOLOGY: resources.TOPOLOGIES,
    kinds.SHARD: resources.SHARDS,
}
RESTART_SECONDS: Final = 2.0
STOP_SECONDS: Final = 5.0
_IDENTITY: Final[Any] = "kai-sched"
"""For peering, which is off."""

EventSink = Callable[[Kind, str | None, Document], None]


class KopfWatch:
    """Runs kopf until stopped; every event goes to ``sink`` on the loop that called ``start``."""

    def __init__(self, sink: EventSink, kubeconfig: Path | None = None, context: str | None = None) -> None:
        self._sink = sink
        self._kubeconfig = kubeconfig
        self._context = context
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._home: asyncio.AbstractEventLoop | None = None
        self.starts = 0

    def start(self) -> None:
        """Begin to watch."""
        self._home = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """End the watches and the thread."""
        self._stop.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, STOP_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.starts += 1
            try:
                asyncio.run(self._watch_once())
            except Exception as failure:  # noqa: BLE001 - whatever ends kopf, it is started again
                _log.warning("kopf ended and is started again", failure=repr(failure))
            self._stop.wait(RESTART_SECONDS)

    async def _watch_once(self) -> None:
        await kopf.operator(
            registry=self._registry(),
            standalone=True,
            clusterwide=True,
            stop_flag=self._stop,
            # Else kopf asks for the name of the user, and an image's user need not have one.
            identity=_IDENTITY,
        )

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        sessions: list[aiohttp.ClientSession] = []
        kopf.on.startup(registry=registry)(_configure)

        @kopf.on.login(registry=registry)  # type: ignore[untyped-decorator]
        async def login(**_: Any) -> kopf.AiohttpSession:
            connection = await Connection.open(self._kubeconfig, self._context)
            session = await _session(connection)
            sessions.append(session)
            return kopf.AiohttpSession(server=connection.base_url, aiohttp_session=session)

        @kopf.on.cleanup(registry=registry)  # type: ignore[untyped-decorator]
        async def close_sessions(**_: Any) -> None:
            for session in sessions:
                await session.close()

        for kind, resource in WATCHED.items():
            self._follow(registry, kind, resource)
        return registry

    def _follow(self, registry: kopf.OperatorRegistry, kind: Kind, resource: Resource) -> None:
        @kopf.on.event(
            resource.group,
            resource.version,
            resource.plural,
            id=f"see-{resource.plural}",
            registry=registry,
        )  # type: ignore[untyped-decorator]
        async def see(event: Mapping[str, Any], **_: Any) -> None:
            self._hand_over(kind, event["type"], dict(event["object"]))

    def _hand_over(self, kind: Kind, event_type: str | None, document: Document) -> None:
        # A copy as deep as its readers change it: kopf keeps the original.
        document["metadata"] = dict(document["metadata"])
        home = self._home
        if home is None or self._stop.is_set():
            return
        try:
            home.call_soon_threadsafe(self._sink, kind, event_type, document)
        except RuntimeError:
            # The home loop is closed: the operator is ending.
            self._stop.set()


def _configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.process.ultimate_exiting_timeout = None
    settings.watching.server_timeout = 300
    settings.networking.connect_timeout = 10
    settings.networking.error_backoffs = (0.2, 0.5, 1, 2, 5)


async def _session(connection: Connection) -> aiohttp.ClientSession:
    authorization = await connection.authorization()
    context = connection.ssl_context
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=context if context is not None else True),
        headers={"Authorization": authorization} if authorization is not None else {},
        cookie_jar=aiohttp.DummyCookieJar(),
    )
