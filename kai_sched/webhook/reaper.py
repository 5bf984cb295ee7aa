"""Deletes what no pod uses any more: entries of books, shared claims without any, templates that nobody names.

Each is deleted in the version that it was judged in: one that is used again meanwhile stays. Several replicas may do this at
once.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import structlog

from kai_sched.api.kinds import Raw
from kai_sched.api.share_book import Book
from kai_sched.cluster.ports import Document
from kai_sched.errors import ApiFailure
from kai_sched.webhook.book import Clerk, Roll, SharedClaim
from kai_sched.webhook.realise import Clock
from kai_sched.webhook.store import last_used

_log = structlog.get_logger(__name__)
_SHORTEST_SECONDS: Final = 1.0


class Remains(Protocol):
    """What the reaper takes of the API server (``store``)."""

    async def claims(self, namespace: str = "") -> list[SharedClaim]: ...

    async def roll(self, namespace: str = "") -> Roll: ...

    async def templates(self) -> list[Document]: ...

    async def rebook(self, claim: SharedClaim, book: Book) -> SharedClaim | None: ...

    async def remove_claim(self, claim: SharedClaim) -> bool: ...

    async def remove_template(self, template: Raw) -> bool: ...


class Reaper:
    """One round after the other."""

    def __init__(self, remains: Remains, grace_seconds: float, clock: Clock) -> None:
        self._remains = remains
        self._grace_seconds = grace_seconds
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Twice in each grace period, until ``stop`` is set."""
        while not stop.is_set():
            try:
                await self.reap()
            except ApiFailure as failure:
                _log.warning("unused claims could not be deleted", failure=str(failure))
            try:
                async with asyncio.timeout(max(self._grace_seconds / 2, _SHORTEST_SECONDS)):
                    await stop.wait()
            except TimeoutError:
                continue

    async def reap(self) -> None:
        """One round. What is judged is read before the pods: who uses it is on the list or was booked a moment ago."""
        claims = await self._remains.claims()
        templates = await self._remains.templates()
        if not claims and not templates:
            return
        clerk = Clerk(await self._remains.roll(), self._clock(), self._grace_seconds)
        for claim in claims:
            await self._review(claim, clerk)
        for template in templates:
            unused = clerk.is_unused_template(template, last_used(template))
            if unused and await self._remains.remove_template(template):
                _log.info("unused template deleted", **_name_of(template))

    async def _review(self, claim: SharedClaim, clerk: Clerk) -> None:
        if clerk.is_unused(claim):
            if await self._remains.remove_claim(claim):
                _log.info("unused claim deleted", claim=claim.name, namespace=claim.namespace)
            return
        current = clerk.current(claim.book)
        if current.keys() != claim.book.keys() and not claim.is_deleting:
            await self._remains.rebook(claim, current)


def _name_of(template: Raw) -> dict[str, str]:
    metadata: Raw = template["metadata"]
    return {"template": str(metadata["name"]), "namespace": str(metadata["namespace"])}
