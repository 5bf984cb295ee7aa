"""Serves admission reviews over TLS; what devices there are is looked up at most every few seconds."""

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

from kai_sched.api.dra import translate_class, translate_slice
from kai_sched.api.kinds import Raw
from kai_sched.api.translate.fields import readable
from kai_sched.cluster.kube.client import KubeClient
from kai_sched.cluster.kube.resources import (
    CLAIM_TEMPLATES,
    DEVICE_CLASSES,
    RESOURCE_SLICES,
    Resource,
)
from kai_sched.cluster.ports import Document
from kai_sched.devices.index import DeviceIndex
from kai_sched.errors import ApiFailure, InvalidInput
from kai_sched.model.snapshot import Fleet, Unreadable
from kai_sched.webhook.review import Reviewer
from kai_sched.webhook.share import Sharing, largest_shareable

_log = structlog.get_logger(__name__)

PATH: Final = "/mutate-pods"
_LOOKUP_SECONDS: Final = 10.0
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


class Lookups:
    """What the reviewer asks of the API server."""

    def __init__(self, client: KubeClient, sharing: Sharing) -> None:
        self._client = client
        self._sharing = sharing
        self._known: tuple[float, int] | None = None
        self._lock = asyncio.Lock()

    async def largest(self) -> int:
        """Bytes of the largest shareable device, not older than a few seconds."""
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if self._known is None or now - self._known[0] > _LOOKUP_SECONDS:
                self._known = (now, await self._look())
            return self._known[1]

    async def make_template(self, template: Raw) -> None:
        """Create the template; one that is there already is the same."""
        path = CLAIM_TEMPLATES.collection(str(template["metadata"]["namespace"]))
        try:
            await self._client.post(path, dict(template))
        except ApiFailure as failure:
            if failure.status != HTTPStatus.CONFLICT:
                raise

    async def _look(self) -> int:
        slices = [readable("ResourceSlice", translate_slice, raw) for raw in await self._all(RESOURCE_SLICES)]
        classes = [readable("DeviceClass", translate_class, raw) for raw in await self._all(DEVICE_CLASSES)]
        fleet = Fleet(
            slices=tuple(one for one in slices if not isinstance(one, Unreadable)),
            device_classes=tuple(one for one in classes if not isinstance(one, Unreadable)),
        )
        return largest_shareable(DeviceIndex.of(fleet), self._sharing)

    async def _all(self, resource: Resource) -> list[Document]:
        pages = self._client.list_pages(resource.collection())
        return [item async for page in pages for item in page.items]


async def serve(
    client: KubeClient, scheduler_name: str, sharing: Sharing, serving: Serving, stop: asyncio.Event
) -> None:
    """Answer reviews until ``stop`` is set. Raises ``InvalidInput`` for a bad certificate or a taken port."""
    lookups = Lookups(client, sharing)
    reviewer = Reviewer(scheduler_name, sharing, lookups.largest, lookups.make_template)
    runner = web.AppRunner(_application(reviewer), access_log=None)
    await runner.setup()
    try:
        context = _context(serving)
        try:
            await web.TCPSite(runner, serving.host, serving.port, ssl_context=context).start()
        except OSError as failure:
            raise InvalidInput(str(failure), field="--port") from failure
        _log.info("webhook serves", port=serving.port, device_class=sharing.device_class)
        while not stop.is_set():
            try:
                async with asyncio.timeout(_CERTIFICATE_SECONDS):
                    await stop.wait()
            except TimeoutError:
                # Certificates are renewed in place; connections made from now on show the new one.
                _load(context, serving)
    finally:
        await runner.cleanup()


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
