"""The operator's web server: /healthz, /readyz and /metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from kai_sched.errors import InvalidInput

Check = Callable[[], str]
"""Returns what is wrong, "" if nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where to listen; a port 0 turns that part off, equal ports share one server."""

    host: str = "0.0.0.0"  # noqa: S104 — probes come from the kubelet
    metrics_port: int = 8080
    health_port: int = 8081


@asynccontextmanager
async def serve_probes(
    listening: Listening, *, health: Check, readiness: Check, metrics: Callable[[], bytes]
) -> AsyncIterator[None]:
    """Serve until the block ends. Raises ``InvalidInput`` where a port is taken."""

    async def healthz(_: web.Request) -> web.Response:
        return _answer(health)

    async def readyz(_: web.Request) -> web.Response:
        return _answer(readiness)

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": "text/plain; version=0.0.4"})

    routes: dict[int, list[web.RouteDef]] = {}
    routes.setdefault(listening.metrics_port, []).append(web.get("/metrics", show_metrics))
    routes.setdefault(listening.health_port, []).extend(
        (web.get("/healthz", healthz), web.get("/readyz", readyz))
    )
    async with AsyncExitStack() as stack:
        for port, parts in sorted(routes.items()):
            if port:
                field = "ports.metrics" if port == listening.metrics_port else "ports.health"
                await stack.enter_async_context(_served(listening.host, port, parts, field))
        yield


@asynccontextmanager
async def _served(host: str, port: int, routes: list[web.RouteDef], field: str) -> AsyncIterator[None]:
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as failure:
            raise InvalidInput(f"cannot listen on {host}:{port}: {failure}", field=field) from failure
        yield
    finally:
        await runner.cleanup()


def _answer(check: Check) -> web.Response:
    problem = check()
    return web.Response(text=(problem or "ok") + "\n", status=503 if problem else 200)
