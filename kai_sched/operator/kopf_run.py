"""One run of kopf on one of our kinds, in a thread and an event loop of its own.

kopf ends for good on many answers of a restarting API server, and not always visibly: its tasks may go while
``kopf.operator`` waits for others of them. So a run says by its heartbeat whether it watches, and is left behind
when it does not: its thread is asked to end, whatever it still says is not heard. Handlers are ``on.event`` only, so
kopf writes neither annotations nor finalizers on anybody's objects.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import kopf

from kai_sched.cluster.kube.connection import Connection
from kai_sched.cluster.kube.resources import Resource
from kai_sched.cluster.ports import Document
from kai_sched.operator.heartbeat import WATCH_SECONDS, Heartbeat

_POLL_SECONDS: Final = 0.2
_FAREWELL_SECONDS: Final = 3.0
"""For kopf to end by itself once it was asked to."""
_IDENTITY: Final[Any] = "kai-sched"
"""For peering, which is off."""
_REFUSALS: Final = 400

Told = Callable[[str | None, Document], None]


class KopfRun:
    """Begins with ``start``; ``tell`` is called in the run's thread with type and object of every event."""

    def __init__(self, resource: Resource, tell: Told, kubeconfig: Path | None, context: str | None) -> None:
        self._resource = resource
        self._tell = tell
        self._kubeconfig = kubeconfig
        self._context = context
        self._stop = threading.Event()
        self._sessions: list[aiohttp.ClientSession] = []
        self._thread = threading.Thread(target=self._run, name=f"kopf {resource.plural}", daemon=True)
        self.heartbeat = Heartbeat(time.monotonic())
        self.failure = ""

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        """Whether kopf ended, for whatever reason."""
        return self._stop.is_set()

    @property
    def is_alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def end(self) -> None:
        """Ask the thread to end; nothing is told from now on."""
        self._stop.set()

    def join(self, seconds: float) -> None:
        """Wait for the thread."""
        self._thread.join(seconds)

    def _run(self) -> None:
        loop = asyncio.new_event_loop()
        # What kopf leaves behind when it fails is destroyed with its loop, and that is no news.
        loop.set_exception_handler(lambda *_: None)
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._watch())
        except Exception as failure:  # noqa: BLE001 - whatever ends kopf, it is started again
            self.failure = repr(failure)
        finally:
            self._stop.set()
            loop.run_until_complete(self._clear_up())
            loop.close()

    async def _watch(self) -> None:
        operator = asyncio.ensure_future(
            kopf.operator(
                registry=self._registry(),
                standalone=True,
                clusterwide=True,
                stop_flag=self._stop,
                # Else kopf asks for the name of the user, and an image's user need not have one.
                identity=_IDENTITY,
            )
        )
        while not operator.done() and not self._stop.is_set():
            await asyncio.wait({operator}, timeout=_POLL_SECONDS)
        await asyncio.wait({operator}, timeout=_FAREWELL_SECONDS)
        if operator.done():
            operator.result()

    async def _clear_up(self) -> None:
        mine = asyncio.current_task()
        left = {task for task in asyncio.all_tasks() if task is not mine}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=1.0)
        for session in self._sessions:
            await session.close()

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        resource = self._resource
        kopf.on.startup(registry=registry)(_configure)

        @kopf.on.login(registry=registry)  # type: ignore[untyped-decorator]
        async def login(**_: Any) -> kopf.AiohttpSession:
            connection = await Connection.open(self._kubeconfig, self._context)
            session = await self._session(connection)
            self._sessions.append(session)
            return kopf.AiohttpSession(server=connection.base_url, aiohttp_session=session)

        @kopf.on.event(
            resource.group,
            resource.version,
            resource.plural,
            id=f"see-{resource.plural}",
            registry=registry,
        )  # type: ignore[untyped-decorator]
        async def see(event: Mapping[str, Any], **_: Any) -> None:
            self.heartbeat.beat(time.monotonic())
            if not self._stop.is_set():
                # A copy as deep as its readers change it: kopf keeps the original.
                document = dict(event["object"])
                document["metadata"] = dict(document["metadata"])
                self._tell(event["type"], document)

        return registry

    async def _session(self, connection: Connection) -> aiohttp.ClientSession:
        authorization = await connection.authorization()
        context = connection.ssl_context
        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(self._answered)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=context if context is not None else True),
            headers={"Authorization": authorization} if authorization is not None else {},
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[trace],
        )

    async def _answered(self, _session: Any, _context: Any, answer: aiohttp.TraceRequestEndParams) -> None:
        status = answer.response.status
        if status >= _REFUSALS:
            self.heartbeat.refused(time.monotonic(), status)
        elif "watch" in answer.url.query:
            self.heartbeat.beat(time.monotonic())


def _configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.process.ultimate_exiting_timeout = None
    # The supervisor starts a run when its kind is served; a watch of all CRDs is not needed for that.
    settings.scanning.disabled = True
    # kopf writes it into the request as it is, and the API server reads whole seconds only.
    settings.watching.server_timeout = int(WATCH_SECONDS)
    settings.watching.inactivity_timeout = WATCH_SECONDS + 4.0
    settings.watching.reconnect_backoff = 0.5
    settings.networking.connect_timeout = 5.0
    settings.networking.request_timeout = 15.0
    # Refusals end the run at once: the supervisor's pauses are shorter than kopf's.
    settings.networking.error_backoffs = ()
    settings.queueing.exit_timeout = 0.5
