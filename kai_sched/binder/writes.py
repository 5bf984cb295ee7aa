"""Calls behind the fence: every write asks first whether this process may still write."""

from __future__ import annotations

from typing import Final

from kai_sched.binder.ports import ApiCalls, Fence
from kai_sched.cluster.ports import Document
from kai_sched.errors import KaiSchedError

BACKOFF_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)


class FenceClosed(KaiSchedError):
    """The Lease is lost or about to be: nothing may be written."""


class FencedCalls:
    """The API's calls; writes only while the fence is open."""

    __slots__ = ("_api", "_fence")

    def __init__(self, api: ApiCalls, fence: Fence) -> None:
        self._api = api
        self._fence = fence

    async def get(self, path: str) -> Document:
        return await self._api.get(path)

    async def put(self, path: str, body: Document) -> Document:
        self._check()
        return await self._api.put(path, body)

    async def post(self, path: str, body: Document) -> Document:
        self._check()
        return await self._api.post(path, body)

    async def delete(self, path: str, body: Document) -> Document:
        self._check()
        return await self._api.delete(path, body=body)

    async def patch_strategic(self, path: str, body: Document) -> Document:
        self._check()
        return await self._api.patch_strategic(path, body)

    async def add_finalizer(self, path: str, finalizer: str) -> Document:
        self._check()
        return await self._api.add_finalizer(path, finalizer)

    def _check(self) -> None:
        if not self._fence.may_write():
            raise FenceClosed("the lease is not held: nothing is written")


def backoff_seconds(attempt: int) -> float:
    """How long to wait after the n-th failure (from 0) that might pass."""
    return BACKOFF_SECONDS[min(attempt, len(BACKOFF_SECONDS) - 1)]
