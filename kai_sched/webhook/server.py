"""Serves admission reviews over TLS, and lets the reaper go round beside it.

Who posts a review has claims and templates made in any namespace: only the API server may. It shows a client
certificate (``--admission-control-config-file`` of kube-apiserver gives it one for webhooks); the health check of a
kubelet shows none and needs none.
"""

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
    client_ca: Path | None
    """Whose certificates callers must show; None: anybody may call."""
    client_names: tuple[str, ...] = ()
    """Common names that callers may have; none named: any that the authority signed."""


async def serve(reviewer: Reviewer, reaper: Reaper, serving: Serving, stop: asyncio.Event) -> None:
    """Answer reviews until ``stop`` is set. Raises ``InvalidInput`` for a bad certificate or a taken port."""
    runner = web.AppRunner(_application(reviewer, serving), access_log=None)
    await runner.setup()
    try:
        pair = Pair(serving)
        try:
            await web.TCPSite(runner, serving.host, serving.port, ssl_context=pair.context).start()
        except OSError as failure:
            raise InvalidInput(str(failure), field="--port") from failure
        _log.info("webhook serves", port=serving.port)
        async with asyncio.TaskGroup() as group:
            group.create_task(reaper.run(stop))
            group.create_task(_renew(pair, stop))
    finally:
        await runner.cleanup()


class Pair:
    """The certificate and key in use. ``renew`` reads them again; a pair that does not fit leaves the old one in use."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._current = _context(serving)
        self.context = _context(serving)
        """What the server listens with: every handshake goes on with the current pair."""
        self.context.sni_callback = self._switch

    def renew(self) -> str:
        """Why the files cannot be used now; "" where they are."""
        try:
            self._current = _context(self._serving)
        except InvalidInput as problem:
            return str(problem)
        return ""

    def _switch(self, handshake: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        handshake.context = self._current


async def _renew(pair: Pair, stop: asyncio.Event) -> None:
    """Certificates are renewed in place, the certificate and its key one after the other."""
    while not stop.is_set():
        try:
            async with asyncio.timeout(_CERTIFICATE_SECONDS):
                await stop.wait()
        except TimeoutError:
            problem = pair.renew()
            if problem:
                _log.warning("the certificate was not renewed, the old one stays", failure=problem)


def _application(reviewer: Reviewer, serving: Serving) -> web.Application:
    async def mutate(request: web.Request) -> web.Response:
        stranger = _stranger(request, serving)
        if stranger:
            _log.warning("a review was not answered", caller=request.remote, reason=stranger)
            return web.Response(status=HTTPStatus.FORBIDDEN, text=stranger)
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


def _stranger(request: web.Request, serving: Serving) -> str:
    """Why the caller is not answered; "" where it is the API server."""
    if serving.client_ca is None:
        return ""
    shown = request.transport.get_extra_info("peercert") if request.transport is not None else None
    if not shown:
        return "only the API server is answered: show its client certificate"
    names = {value for part in shown["subject"] for field, value in part if field == "commonName"}
    if serving.client_names and names.isdisjoint(serving.client_names):
        return f"only the API server is answered, not {', '.join(sorted(names))}"
    return ""


def _context(serving: Serving) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(serving.certificate, serving.key)
    except (OSError, ssl.SSLError) as failure:
        raise InvalidInput(str(failure), source=str(serving.certificate), field="--certificate") from failure
    if serving.client_ca is not None:
        try:
            context.load_verify_locations(serving.client_ca)
        except (OSError, ssl.SSLError) as failure:
            raise InvalidInput(str(failure), source=str(serving.client_ca), field="--client-ca") from failure
        # Optional: a health check shows none. Reviews are answered only to who did.
        context.verify_mode = ssl.CERT_OPTIONAL
    return context
