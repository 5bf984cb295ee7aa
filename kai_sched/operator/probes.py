"""The operator's web server: /healthz, /readyz and /metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from kai_sched.errors import InvalidInput

Check = Callable[[], str]
"""Returns what is wrong, "" if nothing."""


@asynccontextmanager
async def serve_probes(
    host: str, port: int, *, health: Check, readiness: Check, metrics: Callable[[], bytes]
) -> AsyncIterator[int]:
    """Serve until the block ends; yields the port (a free one where ``port`` is 0)."""

    async def answer(check: Check) -> web.Response:
        problem = check()
        return web.Response(text=(problem or "ok") + "\n", status=503 if problem else 200)

    async def healthz(_: web.Request) -> web.Response:
        return await answer(health)

    async def readyz(_: web.Request) -> web.Response:
        return await answer(readiness)

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": "text/plain; version=0.0.4"})

    app = web.Application()
    app.add_routes(
        [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", show_metrics)]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as failure:
            raise InvalidInput(f"cannot listen on {host}:{port}: {failure}", field="metricsPort") from failure
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
