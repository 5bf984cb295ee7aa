"""A proxy between one operator and the API server: tests act between any two of its writes.

Everything passes unchanged, watches too. Writes of claims and bindings pass one at a time, are recorded, and may be
preceded, followed or replaced by an action of the test (``before``, ``after``, ``instead``): kill the operator, change a claim, delete a pod.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

from kai_sched.localcluster import LocalCluster

FINALIZER = r"PUT .*/resourceclaims/[^/]+$"
ALLOCATION = r"PUT .*/resourceclaims/[^/]+/status$"
BINDING = r"POST .*/pods/[^/]+/binding$"
DECIDED = rf"{FINALIZER}|{ALLOCATION}|{BINDING}"
"""The writes that carry out decisions."""
HOP_BY_HOP = {"connection", "host", "keep-alive", "transfer-encoding", "content-length", "upgrade"}

_ON_THEIR_WAY_SECONDS = 2.0
Action = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Write:
    """One call that changed something, or was refused to."""

    method: str
    path: str
    status: int
    body: bytes = b""

    @property
    def line(self) -> str:
        """What patterns are matched against."""
        return f"{self.method} {self.path}"


@dataclass(slots=True)
class _Trap:
    pattern: str
    action: Action
    skip: int
    is_after: bool
    is_refusal: bool = False


class Proxy:
    """Use as ``start_operator(through=proxy.kubeconfig)``."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster
        self._loop = asyncio.new_event_loop()
        self._traps: list[_Trap] = []
        self._is_cut = False
        self._port = 0
        self._stop = asyncio.Event()
        self._on_their_way = 0
        self.writes: list[Write] = []
        """Every call that was no read, in the order of the answers."""
        self.failures: list[BaseException] = []
        """What went wrong in actions of the test."""

    def kubeconfig(self, direct: Path) -> Path:
        """The same user on the proxy's address."""
        document = yaml.safe_load(direct.read_text())
        for entry in document["clusters"]:
            entry["cluster"] = {"server": f"http://127.0.0.1:{self._port}"}
        path = direct.with_name(f"{direct.name}.through-{self._port}")
        path.write_text(yaml.safe_dump(document))
        return path

    def before(self, pattern: str, action: Action, *, skip: int = 0) -> None:
        """Once, before a write of claims or a binding that matches passes; ``skip`` lets so many pass first."""
        self._traps.append(_Trap(pattern, action, skip, is_after=False))

    def after(self, pattern: str, action: Action, *, skip: int = 0) -> None:
        """Once, after such a write was answered, and before the operator hears of it."""
        self._traps.append(_Trap(pattern, action, skip, is_after=True))

    def instead(self, pattern: str, action: Action, *, skip: int = 0) -> None:
        """Once, such a write does not pass: the operator hears that the server is not available."""
        self._traps.append(_Trap(pattern, action, skip, is_after=False, is_refusal=True))

    def cut(self) -> None:
        """Nothing passes any more."""
        self._is_cut = True

    def mend(self) -> None:
        """Everything passes again, nothing recorded is kept, no action is pending."""
        self._traps.clear()
        # Another list: what is on its way belongs to what was before.
        self.writes = []
        self._is_cut = False

    def decided(self) -> list[Write]:
        """The recorded writes that carry out decisions, those on their way waited for: the cluster may show them already."""
        deadline = time.monotonic() + _ON_THEIR_WAY_SECONDS
        while self._on_their_way and time.monotonic() < deadline:
            time.sleep(0.005)
        return [write for write in self.writes if re.fullmatch(DECIDED, write.line)]

    def is_armed(self) -> bool:
        """Whether an action still waits for its write."""
        return bool(self._traps)

    def run(self, started: threading.Event) -> None:
        """Serve until ``close``; for a thread of its own."""
        asyncio.set_event_loop(self._loop)
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(started))

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._stop.set)

    async def _serve(self, started: threading.Event) -> None:
        self._lock = asyncio.Lock()
        context = ssl.create_default_context(cafile=str(self._cluster.ca))
        connector = aiohttp.TCPConnector(ssl=context, limit=0)
        application = web.Application(client_max_size=2**26)
        application.router.add_route("*", "/{path:.*}", self._handle)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as self._session:
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self._port = runner.addresses[0][1]
            started.set()
            await self._stop.wait()
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        line = f"{request.method} {request.path}"
        if not re.fullmatch(DECIDED, line):
            return await self._pass_on(request, body)
        async with self._lock:
            if await self._act(line, is_after=False):
                return web.Response(status=503, text="not now")
            self._on_their_way += 1
            try:
                return await self._pass_on(request, body)
            finally:
                self._on_their_way -= 1

    async def _pass_on(self, request: web.Request, body: bytes) -> web.StreamResponse:
        self._check(request)
        headers = passed(request)
        timeout = aiohttp.ClientTimeout(total=None)
        address = f"{self._cluster.url}{request.raw_path}"
        writes = self.writes
        try:
            async with self._session.request(
                request.method, address, data=body or None, headers=headers, timeout=timeout
            ) as answer:
                if request.method != "GET":
                    writes.append(Write(request.method, request.path, answer.status, body))
                    text = await answer.read()
                    await self._act(f"{request.method} {request.path}", is_after=True)
                    self._check(request)
                    return web.Response(status=answer.status, body=text, headers=passed(answer))
                response = web.StreamResponse(status=answer.status, headers=passed(answer))
                await response.prepare(request)
                async for part in answer.content.iter_any():
                    self._check(request)
                    await response.write(part)
                await response.write_eof()
                return response
        except aiohttp.ClientError as error:
            hang_up(request)
            raise ConnectionResetError from error

    def _check(self, request: web.Request) -> None:
        if self._is_cut:
            hang_up(request)
            raise ConnectionResetError

    async def _act(self, line: str, *, is_after: bool) -> bool:
        """What tests want done at this write; whether one of them wants it refused."""
        is_refused = False
        for trap in list(self._traps):
            if trap.is_after is not is_after or not re.fullmatch(trap.pattern, line):
                continue
            if trap.skip:
                trap.skip -= 1
                continue
            self._traps.remove(trap)
            is_refused = is_refused or trap.is_refusal
            try:
                await asyncio.to_thread(trap.action)
            except BaseException as failure:  # noqa: BLE001 — told at the end of the test
                self.failures.append(failure)
        return is_refused


@contextmanager
def proxy_to(cluster: LocalCluster) -> Iterator[Proxy]:
    """A proxy that runs; fails in the end if one of the test's actions did."""
    proxy = Proxy(cluster)
    started = threading.Event()
    thread = threading.Thread(target=proxy.run, args=(started,), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join(10)
    assert proxy.failures == []


def passed(message: aiohttp.ClientResponse | web.Request) -> dict[str, str]:
    """The headers that a proxy hands on."""
    return {key: value for key, value in message.headers.items() if key.lower() not in HOP_BY_HOP}


def hang_up(request: web.Request) -> None:
    """End the connection without a word."""
    if request.transport is not None:
        request.transport.abort()
