"""Sends calls over pooled connections: credentials, optional rate limit, waiting where the server asks for it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from yarl import URL

from kai_sched import __version__
from kai_sched.cluster.kube.connection import Connection
from kai_sched.cluster.kube.failures import failure_of, no_answer
from kai_sched.cluster.kube.limits import RequestLimit
from kai_sched.errors import ApiFailure

_TRIES_WHEN_BUSY: Final = 6
_LONGEST_WAIT_SECONDS: Final = 5.0
_READ_BUFFER_BYTES: Final = 1 << 21
_KEPT_OPEN_SECONDS: Final = 60.0
_WARM_PATH: Final = "/version"
"""Small, and every account may read it."""
_NO_ANSWER: Final = (aiohttp.ClientError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """How much the client may ask of the server. ``requests_per_second`` None: as much as the server admits."""

    pool_size: int = 128
    requests_per_second: float | None = None
    burst: int = 100
    timeout_seconds: float = 25.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One HTTP call on the API server."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    data: bytes | None = None
    timeout_seconds: float
    silence_seconds: float
    """Longest wait for the next byte."""
    most_bytes: int = 0
    """A longer answer is not read to its end: ``TooLong``. 0: any length."""


class TooLong(ApiFailure):
    """An answer was longer than the call allows."""


class Transport:
    """The connections to one API server."""

    def __init__(self, connection: Connection, options: ClientOptions) -> None:
        self._connection = connection
        # Watches live for minutes: in a pool of their own they never take the place of a call.
        self._calls = self._session(limit=options.pool_size)
        self._retired: dict[aiohttp.ClientSession, asyncio.Task[None]] = {}
        self._streams = self._session(limit=0)
        self._pool_size = options.pool_size
        rate = options.requests_per_second
        self._clock = asyncio.get_running_loop().time
        self._limit = None if rate is None else RequestLimit(rate, options.burst, self._clock)
        self._in_flight = 0
        self._peak = 0
        """Most calls at once lately; so many connections are open."""
        self._peak_until = 0.0

    async def close(self) -> None:
        """Close all connections; streams that are open end."""
        for session, closing in self._retired.items():
            closing.cancel()
            await session.close()
        await self._calls.close()
        await self._streams.close()

    async def open_ahead(self, count: int, timeout_seconds: float) -> None:
        """Have ``count`` connections open, as far as the pool allows, before so many calls come at once.

        A burst that had to begin with the TLS handshakes of its connections would be slower by all of them.
        """
        count = min(count, self._pool_size)
        if self._limit is not None or (count <= self._peak and self._clock() < self._peak_until):
            return
        call = Call(
            method="GET", path=_WARM_PATH, timeout_seconds=timeout_seconds, silence_seconds=timeout_seconds
        )
        # Side by side: one after the other they would share one connection. What they answer matters to nobody.
        await asyncio.gather(*(self.answer(call) for _ in range(count)), return_exceptions=True)

    async def answer(self, call: Call) -> bytes:
        """The body of a good answer. Raises ``ApiFailure``.

        Asks again only where the server says that it did not look at the request (429 with Retry-After), and
        once with renewed credentials after a 401.
        """
        refused: str | None = None
        for attempt in range(_TRIES_WHEN_BUSY):
            if self._limit is not None:
                await self._limit.wait()
            authorization = await self._connection.authorization()
            try:
                return await self._once(call, authorization)
            except ApiFailure as failure:
                if failure.status == 401 and refused is None and authorization is not None:
                    refused = authorization
                    if await self._connection.renew_after(refused):
                        continue
                wait = failure.retry_after_seconds if failure.status == 429 else None
                if wait is None or wait > _LONGEST_WAIT_SECONDS or attempt == _TRIES_WHEN_BUSY - 1:
                    raise
                await asyncio.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    async def stream(self, call: Call) -> AsyncGenerator[bytes]:
        """The chunks of a good answer as they arrive, after an empty one when it begins; ends when the server closes it.

        Raises ``ApiFailure``.
        """
        authorization = await self._connection.authorization()
        try:
            async with await self._send(self._streams, call, authorization) as answer:
                if answer.status >= 400:
                    raise failure_of(
                        call.method, call.path, answer.status, await answer.read(), answer.headers
                    )
                yield b""
                while chunk := await _next_chunk(answer):
                    yield chunk
        except _NO_ANSWER as cause:
            raise no_answer(call.method, call.path, cause) from cause
        except ApiFailure as failure:
            if failure.status == 401:
                await self._connection.renew_after(authorization)
            raise

    async def _once(self, call: Call, authorization: str | None) -> bytes:
        self._count_in()
        session = self._calls
        try:
            async with await self._send(session, call, authorization) as answer:
                content = await _content(answer, call)
        except _NO_ANSWER as cause:
            if isinstance(cause, TimeoutError):
                self._retire(session, call.timeout_seconds)
            raise no_answer(call.method, call.path, cause) from cause
        finally:
            self._in_flight -= 1
        if answer.status >= 400:
            raise failure_of(call.method, call.path, answer.status, content, answer.headers)
        return content

    def _retire(self, session: aiohttp.ClientSession, seconds: float) -> None:
        """A call heard nothing: what cut it off holds the other open connections too, and each would cost as much."""
        if session is self._calls:
            self._calls = self._session(limit=self._pool_size)
            self._retired[session] = asyncio.create_task(self._close_later(session, seconds))

    async def _close_later(self, session: aiohttp.ClientSession, seconds: float) -> None:
        """Calls that were sent over it before may still be answered."""
        await asyncio.sleep(seconds)
        del self._retired[session]
        await session.close()

    def _count_in(self) -> None:
        self._in_flight += 1
        now = self._clock()
        if self._in_flight >= self._peak or now >= self._peak_until:
            self._peak, self._peak_until = self._in_flight, now + _KEPT_OPEN_SECONDS

    async def _send(
        self, session: aiohttp.ClientSession, call: Call, authorization: str | None
    ) -> aiohttp.ClientResponse:
        url = URL(self._connection.base_url + call.path, encoded=True)
        headers = dict(call.headers)
        if authorization is not None:
            headers["Authorization"] = authorization
        return await session.request(
            call.method,
            url.extend_query(call.params) if call.params else url,
            data=call.data,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=call.timeout_seconds, sock_read=call.silence_seconds),
            proxy=self._connection.proxy,
            server_hostname=self._connection.server_hostname,
            allow_redirects=False,
        )

    def _session(self, *, limit: int) -> aiohttp.ClientSession:
        context = self._connection.ssl_context
        connector = aiohttp.TCPConnector(
            limit=limit,
            ssl=context if context is not None else True,
            keepalive_timeout=_KEPT_OPEN_SECONDS,
            socket_factory=_socket_with_keepalive,
        )
        return aiohttp.ClientSession(
            connector=connector,
            read_bufsize=_READ_BUFFER_BYTES,
            headers={"User-Agent": f"kai-sched/{__version__}"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )


async def _content(answer: aiohttp.ClientResponse, call: Call) -> bytes:
    if not call.most_bytes or answer.status >= 400:
        return await answer.read()
    parts, size = [], 0
    while part := await answer.content.readany():
        parts.append(part)
        size += len(part)
        if size > call.most_bytes:
            answer.close()
            text = f"{call.method} {call.path}: the answer is longer than {call.most_bytes} bytes"
            raise TooLong(text, status=0, reason="TooLong", retryable=True)
    return b"".join(parts)


async def _next_chunk(answer: aiohttp.ClientResponse) -> bytes:
    """What has arrived; b"" at the end."""
    try:
        return await answer.content.readany()
    except RuntimeError as cause:
        # How the library tells that the connection was closed under a reader.
        raise aiohttp.ClientConnectionError(str(cause)) from cause


def _socket_with_keepalive(address: Any) -> socket.socket:
    """A silent peer (a firewall that forgot us, a machine that lost power) is noticed within a minute."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family=family, type=kind, proto=protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        option = getattr(socket, name, None)
        if option is not None:
            made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made
