"""Which shared claim a new pod joins: decided from the claims' books and the pods that live, without I/O.

A ticket is booked before its pod exists, because the pod is only being admitted. So a ticket without a pod is dead once
it is older than any admission takes, or at once if its pod was seen alive before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from kai_sched.api.keys import SHARE, SHARE_TICKET
from kai_sched.api.kinds import Raw
from kai_sched.api.share_book import Book, Booking, read_book
from kai_sched.model.devices import MAX_CONSUMERS

WHOLE_MILLIS: Final = 1000
_ENDED: Final = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedClaim:
    """A claim that pods share by parts."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    shape: str
    """Equal for claims that ask for the same."""
    book: Book = field(default_factory=dict)
    consumers: int = 0
    """Pods that it is reserved for."""
    is_deleting: bool = False

    @staticmethod
    def of(document: Raw) -> SharedClaim:
        """The claim as the API server has it."""
        metadata: Raw = document["metadata"]
        return SharedClaim(
            namespace=str(metadata["namespace"]),
            name=str(metadata["name"]),
            uid=str(metadata["uid"]),
            resource_version=str(metadata["resourceVersion"]),
            shape=str((metadata.get("labels") or {}).get(SHARE, "")),
            book=read_book(metadata.get("annotations") or {}),
            consumers=len((document.get("status") or {}).get("reservedFor") or ()),
            is_deleting=bool(metadata.get("deletionTimestamp")),
        )


@dataclass(frozen=True, slots=True)
class Roll:
    """Tickets and claims by the pods that name them."""

    living: Collection[str] = frozenset()
    ended: Collection[str] = frozenset()
    """Tickets of pods that came to their end and are still there."""
    named: Collection[tuple[str, str]] = frozenset()
    """(namespace, claim or template) that a living pod names."""

    @staticmethod
    def of(pods: Iterable[Raw]) -> Roll:
        """What the pods with our label say."""
        living: set[str] = set()
        ended: set[str] = set()
        named: set[tuple[str, str]] = set()
        for pod in pods:
            metadata: Raw = pod["metadata"]
            ticket = str((metadata.get("annotations") or {}).get(SHARE_TICKET, ""))
            if (pod.get("status") or {}).get("phase") in _ENDED:
                ended.add(ticket)
                continue
            living.add(ticket)
            named.add((str(metadata["namespace"]), str((metadata.get("labels") or {}).get(SHARE, ""))))
        return Roll(living, ended - living, named)


@dataclass(frozen=True, slots=True)
class Clerk:
    """Judges books at one moment."""

    roll: Roll
    now: float
    grace_seconds: float
    seen: Collection[str] = frozenset()
    """Tickets whose pods were alive at some time."""

    def current(self, book: Book) -> dict[str, Booking]:
        """The entries that still hold."""
        return {ticket: booking for ticket, booking in book.items() if self._holds(ticket, booking)}

    def choose(self, claims: Iterable[SharedClaim], shape: str, part_millis: int) -> SharedClaim | None:
        """The fullest claim that has room, so that pods lie on few devices; None: there has to be a new one."""
        best: tuple[int, str] | None = None
        chosen: SharedClaim | None = None
        for claim in claims:
            if claim.shape != shape or claim.is_deleting:
                continue
            book = self.current(claim.book)
            used = sum(booking.part_millis for booking in book.values())
            if used + part_millis > WHOLE_MILLIS or max(len(book), claim.consumers) >= MAX_CONSUMERS:
                continue
            rank = (-used, claim.name)
            if best is None or rank < best:
                best, chosen = rank, claim
        return chosen

    def is_unused(self, claim: SharedClaim) -> bool:
        """Nobody has a part of it, nobody names it, nobody holds it."""
        is_named = (claim.namespace, claim.name) in self.roll.named
        return not (claim.is_deleting or claim.consumers or is_named or self.current(claim.book))

    def is_unused_template(self, document: Raw, last_used: float) -> bool:
        """No living pod names it, and none that is being admitted can."""
        metadata: dict[str, Any] = dict(document["metadata"])
        is_named = (str(metadata["namespace"]), str(metadata["name"])) in self.roll.named
        return (
            not (metadata.get("deletionTimestamp") or is_named) and last_used + self.grace_seconds < self.now
        )

    def _holds(self, ticket: str, booking: Booking) -> bool:
        if ticket in self.roll.living:
            return True
        is_young = booking.booked_at + self.grace_seconds >= self.now
        return is_young and ticket not in self.roll.ended and ticket not in self.seen
