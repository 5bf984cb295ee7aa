"""Whom the webhook answers, over real TLS: the API server by its certificate; and with which certificate it answers."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from kai_sched.errors import InvalidInput
from kai_sched.localcluster.pki import WEBHOOK_CLIENT, make_credentials
from kai_sched.localcluster.recipe import Layout
from kai_sched.webhook.reaper import Reaper
from kai_sched.webhook.review import Reviewer
from kai_sched.webhook.server import PATH, Pair, Serving, serve


class NothingShared:
    """No claims, no templates; whoever gives is an error."""

    async def claims(self, namespace: str = "") -> list[object]:
        return []

    async def templates(self) -> list[object]:
        return []

    async def give(self, *_: object, **__: object) -> object:
        raise AssertionError("a stranger was answered")


def files(folder: Path) -> Layout:
    layout = Layout(folder)
    make_credentials(layout)
    return layout


def a_serving(layout: Layout, **changes: object) -> Serving:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
    serving = Serving(
        host="127.0.0.1",
        port=port,
        certificate=layout.server_certificate,
        key=layout.server_key,
        client_ca=layout.ca,
        client_names=(WEBHOOK_CLIENT,),
    )
    return replace(serving, **changes)  # type: ignore[arg-type]


@asynccontextmanager
async def served(serving: Serving) -> AsyncIterator[None]:
    stop = asyncio.Event()
    shared = NothingShared()
    task = asyncio.create_task(
        serve(Reviewer("kai-scheduler", shared), Reaper(shared, 60.0, lambda: 0.0), serving, stop)  # type: ignore[arg-type]
    )
    await asyncio.sleep(0.2)
    try:
        yield
    finally:
        stop.set()
        await task


async def status_of(
    layout: Layout, serving: Serving, certificate: tuple[Path, Path] | None, path: str = PATH
) -> int:
    context = ssl.create_default_context(cafile=str(layout.ca))
    if certificate is not None:
        context.load_cert_chain(*certificate)
    async with aiohttp.ClientSession() as session:
        call = session.post if path == PATH else session.get
        async with call(f"https://127.0.0.1:{serving.port}{path}", data=b"{}", ssl=context) as answer:
            return answer.status


async def test_only_the_api_server_is_answered(tmp_path: Path):
    layout = files(tmp_path)
    serving = a_serving(layout)
    as_api_server = (layout.webhook_certificate, layout.webhook_key)
    as_another = (layout.server_certificate, layout.server_key)
    async with served(serving):
        assert await status_of(layout, serving, None) == 403
        assert await status_of(layout, serving, as_another) == 403
        # An empty review is no review, which is said to who may hear it.
        assert await status_of(layout, serving, as_api_server) == 400
        assert await status_of(layout, serving, None, "/healthz") == 200


async def test_a_certificate_of_another_authority_ends_the_handshake(tmp_path: Path):
    layout, others = files(tmp_path / "ours"), files(tmp_path / "others")
    serving = a_serving(layout)
    async with served(serving):
        with pytest.raises(aiohttp.ClientError):
            await status_of(layout, serving, (others.webhook_certificate, others.webhook_key))


def test_a_certificate_whose_key_is_not_written_yet_leaves_the_old_pair_in_use(tmp_path: Path):
    layout, newer = files(tmp_path / "ours"), files(tmp_path / "newer")
    pair = Pair(a_serving(layout))
    first = pair._current

    shutil.copy(newer.server_certificate, layout.server_certificate)
    assert "KEY_VALUES_MISMATCH" in pair.renew()
    assert pair._current is first

    shutil.copy(newer.server_key, layout.server_key)
    assert pair.renew() == ""
    assert pair._current is not first


async def test_connections_made_after_a_renewal_are_shown_the_new_certificate(tmp_path: Path):
    layout, newer = files(tmp_path / "ours"), files(tmp_path / "newer")
    serving = a_serving(layout)
    pair = Pair(serving)

    async def shown() -> bytes:
        server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=pair.context)
        port = server.sockets[0].getsockname()[1]
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
        found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        server.close()
        return found

    before = await shown()
    shutil.copy(newer.server_certificate, layout.server_certificate)
    shutil.copy(newer.server_key, layout.server_key)
    assert pair.renew() == ""

    assert await shown() != before


def test_files_that_cannot_be_read_are_named(tmp_path: Path):
    layout = files(tmp_path)

    with pytest.raises(InvalidInput, match="--client-ca"):
        Pair(a_serving(layout, client_ca=tmp_path / "none.crt"))
