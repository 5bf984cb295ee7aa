"""An API server that fails in every way that one can be read of: a proxy whose reads are refused, cut, frozen or slow."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

from kai_sched.localcluster import LocalCluster
from tests.cluster.proxy import hang_up, passed


@dataclass
class FaultyServer:
    """Passes everything on until told otherwise; belongs to one event loop."""

    cluster: LocalCluster
    status: int = 0
    """Every read is refused with it; 0 not."""
    delay_seconds: float = 0.0
    """Every read begins so late."""
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Reads that begin hear nothing until it is set."""
    port: int = 0
    reads: int = 0
    _open: dict[int, web.Request] = field(default_factory=dict)
    _frozen: dict[int, web.Request] = field(default_factory=dict)

    def kubeconfig(self) -> Path:
        """The admin on the proxy's address."""
        document = yaml.safe_load(self.cluster.kubeconfig.read_text())
        for entry in document["clusters"]:
            entry["cluster"] = {"server": f"http://127.0.0.1:{self.port}"}
        path = self.cluster.folder / f"through-{self.port}.kubeconfig"
        path.write_text(yaml.safe_dump(document))
        return path

    def refuse(self, status: int) -> None:
        """Reads are refused from now on, and open watches are cut."""
        self.status = status
        self.cut()

    def cut(self) -> None:
        """Every open connection ends without a word."""
        for request in self._open.values():
            hang_up(request)

    def freeze(self) -> None:
        """Nothing that is open is ever heard of again, and it does not end either."""
        self._frozen.update(self._open)

    def mend(self) -> None:
        """What is opened from now on passes; what was frozen stays so."""
        self.status, self.delay_seconds = 0, 0.0
        self.released.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One call."""
        body = await request.read()
        if request.method == "GET":
            self.reads += 1
            await self.released.wait()
            if self.status:
                answer = {"kind": "Status", "code": self.status, "message": "not now", "reason": "Fault"}
                return web.json_response(answer, status=self.status)
            await asyncio.sleep(self.delay_seconds)
        self._open[id(request)] = request
        try:
            return await self._pass_on(request, body)
        finally:
            del self._open[id(request)]

    async def _pass_on(self, request: web.Request, body: bytes) -> web.StreamResponse:
        headers = passed(request)
        address = f"{self.cluster.url}{request.raw_path}"
        try:
            async with self.session.request(
                request.method, address, data=body or None, headers=headers
            ) as answer:
                response = web.StreamResponse(status=answer.status, headers=passed(answer))
                await response.prepare(request)
                async for part in answer.content.iter_any():
                    if id(request) in self._frozen:
                        await asyncio.Event().wait()
                    await response.write(part)
                if id(request) in self._frozen:
                    await asyncio.Event().wait()
                await response.write_eof()
                return response
        except aiohttp.ClientError:
            hang_up(request)
            return web.Response(status=502)

    async def run(self) -> web.AppRunner:
        """Listen."""
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(self.cluster.ca)), limit=0)
        self.session = aiohttp.ClientSession(
            connector=connector, auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None)
        )
        application = web.Application(client_max_size=2**26)
        application.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        return runner


@asynccontextmanager
async def faulty(cluster: LocalCluster) -> AsyncIterator[FaultyServer]:
    """One that listens until the block ends."""
    server = FaultyServer(cluster)
    server.mend()
    runner = await server.run()
    try:
        yield server
    finally:
        server.cut()
        await runner.cleanup()
        await server.session.close()
