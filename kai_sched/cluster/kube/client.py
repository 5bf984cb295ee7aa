"""KubeClient: requests, paged lists and watches of one API server, as raw documents.

No typed models: those drop fields that they do not know, and a document that is written back must be whole.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson

from kai_sched.cluster.decoding import decode
from kai_sched.cluster.kube.connection import Connection
from kai_sched.cluster.kube.failures import failure_in_stream
from kai_sched.cluster.kube.lines import LineCutter
from kai_sched.cluster.kube.protobuf import PROTOBUF, with_finalizer
from kai_sched.cluster.kube.transport import Call, ClientOptions, TooLong, Transport
from kai_sched.cluster.ports import JSON, Document, ListPage
from kai_sched.errors import ApiFailure

FIELD_MANAGER: Final = "kai-sched"

_MERGE: Final = "application/merge-patch+json"
_STRATEGIC: Final = "application/strategic-merge-patch+json"
_APPLY: Final = "application/apply-patch+yaml"
_SILENCE_MARGIN_SECONDS: Final = 4.0
"""A watch that the server should have ended so long ago is dead."""
_PAGE_BYTES: Final = 16 << 20
_SMALLER: Final = 8
_LIST_SECONDS: Final = 120.0
"""For a page in all; between two bytes of it no more than for any call."""


class KubeClient:
    """One API server. Use as ``async with await KubeClient.connect(...) as client``."""

    def __init__(self, connection: Connection, options: ClientOptions) -> None:
        self._connection = connection
        self._timeout_seconds = options.timeout_seconds
        self._transport = Transport(connection, options)

    @classmethod
    async def connect(
        cls,
        kubeconfig: Path | None = None,
        context: str | None = None,
        options: ClientOptions | None = None,
    ) -> KubeClient:
        """A client by a kubeconfig (default: as kubectl finds it), else as a pod of the cluster."""
        connection = await Connection.open(kubeconfig, context)
        return cls(connection, options or ClientOptions())

    @property
    def base_url(self) -> str:
        """Where the API server is."""
        return self._connection.base_url

    async def close(self) -> None:
        """Close all connections; watches that are open end."""
        await self._transport.close()

    async def open_ahead(self, count: int) -> None:
        """Have connections open for so many calls at once; what cannot be opened is not missed."""
        await self._transport.open_ahead(count, self._timeout_seconds)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def get(
        self, path: str, *, params: Mapping[str, str] | None = None, accept: str = JSON
    ) -> Document:
        """One object, or a small collection at once."""
        return await self.request("GET", path, params=params, accept=accept)

    async def post(self, path: str, body: Document, *, params: Mapping[str, str] | None = None) -> Document:
        """Create an object, or call a subresource (binding, eviction)."""
        return await self.request("POST", path, body=body, params=_managed(params))

    async def put(self, path: str, body: Document, *, params: Mapping[str, str] | None = None) -> Document:
        """Replace an object; its resourceVersion is the precondition."""
        return await self.request("PUT", path, body=body, params=_managed(params))

    async def add_finalizer(self, path: str, finalizer: str) -> Document:
        """The object with one more finalizer, every other byte as it is stored (``protobuf`` says when that matters)."""
        stored = await self._transport.answer(self._call("GET", path, {"Accept": PROTOBUF}))
        try:
            changed = with_finalizer(stored, finalizer)
        except ValueError as cause:
            raise ApiFailure(
                f"GET {path}: {cause}", status=0, reason="Undecodable", retryable=False
            ) from cause
        headers = {"Accept": JSON, "Content-Type": PROTOBUF}
        written = await self._transport.answer(self._call("PUT", path, headers, _managed(None), changed))
        return _document("PUT", path, written, orjson.loads)

    async def patch_merge(self, path: str, body: Document) -> Document:
        """JSON merge patch (RFC 7386): the only one that custom resources know besides apply."""
        return await self.request("PATCH", path, body=body, params=_managed(None), content_type=_MERGE)

    async def patch_strategic(self, path: str, body: Document) -> Document:
        """Strategic merge patch: lists of built-in kinds merge by their keys."""
        return await self.request("PATCH", path, body=body, params=_managed(None), content_type=_STRATEGIC)

    async def apply(self, path: str, body: Document, *, force: bool = True) -> Document:
        """Server-side apply as field manager ``kai-sched``."""
        params = {**_managed(None), "force": "true" if force else "false"}
        return await self.request("PATCH", path, body=body, params=params, content_type=_APPLY)

    async def delete(
        self, path: str, *, body: Document | None = None, params: Mapping[str, str] | None = None
    ) -> Document:
        """Delete an object; ``body`` is a DeleteOptions document (preconditions, grace period)."""
        return await self.request("DELETE", path, body=body, params=params)

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Document | None = None,
        params: Mapping[str, str] | None = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> Document:
        """One call, answered by a document. Raises ``ApiFailure``."""
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = content_type
        data = None if body is None else orjson.dumps(body)
        content = await self._transport.answer(self._call(method, path, headers, params, data))
        return _document(method, path, content, orjson.loads)

    def _call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        data: bytes | None = None,
        seconds: float | None = None,
        most_bytes: int = 0,
    ) -> Call:
        return Call(
            method=method,
            path=path,
            params=params or {},
            headers=headers,
            data=data,
            timeout_seconds=seconds or self._timeout_seconds,
            silence_seconds=self._timeout_seconds,
            most_bytes=most_bytes,
        )

    async def list_pages(
        self, path: str, *, limit: int = 500, params: Mapping[str, str] | None = None, accept: str = JSON
    ) -> AsyncGenerator[ListPage]:
        """The pages of a consistent list. A 410 in the middle means: begin again.

        A page that is long (objects of a megabyte each) is asked for again in smaller parts, so that no list takes
        much memory at once; ``limit`` 0 asks for all in one, however long.
        """
        asked = dict(params or {})
        while True:
            if limit:
                asked["limit"] = str(limit)
            most_bytes = _PAGE_BYTES if limit > 1 else 0
            call = self._call(
                "GET", path, {"Accept": accept}, asked, seconds=_LIST_SECONDS, most_bytes=most_bytes
            )
            try:
                content = await self._transport.answer(call)
            except TooLong:
                limit = max(1, limit // _SMALLER)
                continue
            document = _document("LIST", path, content, decode)
            metadata = document.get("metadata") or {}
            token = metadata.get("continue") or ""
            yield ListPage(document.get("items") or [], str(metadata.get("resourceVersion") or ""), not token)
            if not token:
                return
            asked["continue"] = token

    async def watch(
        self, path: str, *, resource_version: str, timeout_seconds: int = 25, accept: str = JSON
    ) -> AsyncGenerator[tuple[str, Document]]:
        """The events of a watch one by one, as (type, object); bookmarks included. ERROR events are raised."""
        batches = self.watch_lines(
            path, resource_version=resource_version, timeout_seconds=timeout_seconds, accept=accept
        )
        async with aclosing(batches):
            async for lines in batches:
                for line in lines:
                    event = orjson.loads(line)
                    if event["type"] == "ERROR":
                        raise failure_in_stream(path, event["object"])
                    yield event["type"], event["object"]

    async def watch_lines(
        self,
        path: str,
        *,
        resource_version: str,
        timeout_seconds: int,
        params: Mapping[str, str] | None = None,
        accept: str = JSON,
    ) -> AsyncGenerator[list[bytes]]:
        """Batches of whole lines, as many as have arrived; ends when the server closes the stream.

        The first batch is empty: the server has taken the watch. Raises ``ApiFailure``, also where the server has
        been silent for longer than it was asked to keep the watch.
        """
        asked = {
            **(params or {}),
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(timeout_seconds),
        }
        call = Call(
            method="GET",
            path=path,
            params=asked,
            headers={"Accept": accept},
            timeout_seconds=2.0 * timeout_seconds + _LIST_SECONDS,
            silence_seconds=timeout_seconds + _SILENCE_MARGIN_SECONDS,
        )
        cutter = LineCutter()
        async with aclosing(self._transport.stream(call)) as chunks:
            async for chunk in chunks:
                if not chunk:
                    yield []
                elif lines := cutter.feed(chunk):
                    yield lines


def _document(method: str, path: str, content: bytes, parse: Callable[[bytes], Any]) -> Document:
    try:
        document = parse(content) if content else {}
    except orjson.JSONDecodeError as cause:
        raise ApiFailure(
            f"{method} {path}: the answer is not readable JSON: {cause}",
            status=0,
            reason="Undecodable",
            retryable=True,
        ) from cause
    return document if isinstance(document, dict) else {"value": document}


def _managed(params: Mapping[str, str] | None) -> dict[str, str]:
    return {**(params or {}), "fieldManager": FIELD_MANAGER}
