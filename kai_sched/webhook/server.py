"""Serves admission reviews over TLS, and lets the reaper go round beside it."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import orjson
import structlog
from aiohttp import web

from kai_sched.errors import InvalidInput
from kai_sched.webhook.reaper import Reaper
from kai_sched.webhook.review import Reviewer

_log = structlog.get_logger(__name__)

PATH: Final = "/mutate-pods"
_CERTIFICATE_SECONDS: Final = 60.0
_LARGEST_REVIEW_BYTES: Final = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Where and as whom."""

    host: str | None
    """None: all addresses."""
    port: int
    certificate: Path
    key: Path


async def serve(reviewer: Reviewer, reaper: Reaper, serving: Serving, stop: asyncio.Event) -> None:
    """Answer reviews until ``stop`` is set. Raises ``InvalidInput`` for a bad certificate or a taken port."""
    runner = web.AppRunner(_application(reviewer), access_log=None)
    await runner.setup()
    try:
        context = _context(serving)
        try:
            await web.TCPSite(runner, serving.host, serving.port, ssl_context=context).start()
        except OSError as failure:
            raise InvalidInput(str(failure), field="--port") from failure
        _log.info("webhook serves", port=serving.port)
        async with asyncio.TaskGroup() as group:
            group.create_task(reaper.run(stop))
            group.create_task(_renew(context, serving, stop))
    finally:
        await runner.cleanup()


async def _renew(context: ssl.SSLContext, serving: Serving, stop: asyncio.Event) -> None:
    """Certificates are renewed in place; connections made from now on show the new one."""
    while not stop.is_set():
        try:
            async with asyncio.timeout(_CERTIFICATE_SECONDS):
                await stop.wait()
        except TimeoutError:
            _load(context, serving)


def _application(reviewer: Reviewer) -> web.Application:
    async def mutate(request: web.Request) -> web.Response:
        try:
            review = orjson.loads(await request.read())
            answer = await reviewer.answer(review)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as problem:
            return web.Response(
                status=HTTPStatus.BAD_REQUEST, text=f"not an AdmissionReview of a pod: {problem!r}"
            )
        return web.Response(body=orjson.dumps(answer), content_type="application/json")

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    application = web.Application(client_max_size=_LARGEST_REVIEW_BYTES)
    application.add_routes([web.post(PATH, mutate), web.get("/healthz", healthz)])
    return application


def _context(serving: Serving) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, serving)
    return context


def _load(context: ssl.SSLContext, serving: Serving) -> None:
    try:
        context.load_cert_chain(serving.certificate, serving.key)
    except (OSError, ssl.SSLError) as failure:
        raise InvalidInput(str(failure), source=str(serving.certificate), field="--certificate") from failure
