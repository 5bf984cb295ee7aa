"""The two ways to realise a part of a GPU: a claim of its own from a template, or one that pods name together.

A shared claim's book says who has which part. A part is taken by writing the book onto the very version of the claim
that it was read from: whoever else wrote meanwhile, another replica too, makes the write fail and the choice be made
again. So parts are never booked twice, and nothing needs to be remembered over a restart.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from kai_sched.api.kinds import Raw
from kai_sched.api.share_book import Book, Booking
from kai_sched.devices.index import DeviceIndex
from kai_sched.errors import KaiSchedError
from kai_sched.model.workloads import GpuShare
from kai_sched.webhook.book import WHOLE_MILLIS, Clerk, Roll, SharedClaim
from kai_sched.webhook.share import Given, Sharing, part_of, shared_claim_of, template_of
from kai_sched.webhook.survey import Survey, survey

_LOOKUP_SECONDS: Final = 10.0
_ATTEMPTS: Final = 8
"""Lost races for one part until the pod is left as it is."""

Clock = Callable[[], float]


class Shelf(Protocol):
    """What realising takes of the API server (``store``)."""

    async def devices(self) -> DeviceIndex: ...

    async def claims(self, namespace: str = "") -> list[SharedClaim]: ...

    async def roll(self, namespace: str = "") -> Roll: ...

    async def add_claim(self, claim: Raw, book: Book) -> SharedClaim: ...

    async def rebook(self, claim: SharedClaim, book: Book) -> SharedClaim | None: ...

    async def put_template(self, template: Raw, now: float) -> None: ...


class Surveyor:
    """The devices of the class, not older than a few seconds."""

    def __init__(self, shelf: Shelf, sharing: Sharing, clock: Clock) -> None:
        self._shelf = shelf
        self._sharing = sharing
        self._clock = clock
        self._known: tuple[float, Survey] | None = None
        self._lock = asyncio.Lock()

    async def look(self) -> Survey:
        """What there is."""
        async with self._lock:
            now = self._clock()
            if self._known is None or now - self._known[0] > _LOOKUP_SECONDS:
                self._known = (now, survey(await self._shelf.devices(), self._sharing))
            return self._known[1]


class Templates:
    """Consumable capacity: equal parts share a template."""

    def __init__(self, shelf: Shelf, sharing: Sharing, grace_seconds: float, clock: Clock) -> None:
        self._shelf = shelf
        self._sharing = sharing
        self._surveyor = Surveyor(shelf, sharing, clock)
        # Marked as used well before the reaper would think that it is not.
        self._fresh_seconds = grace_seconds / 4
        self._clock = clock
        self._used: dict[tuple[str, str], float] = {}

    async def give(self, share: GpuShare, namespace: str, *, is_dry_run: bool) -> Given:
        """A template that the pod's claim is made from."""
        largest = (await self._surveyor.look()).largest_shareable_bytes
        if not largest:
            name = self._sharing.device_class
            raise KaiSchedError(f"no device of class {name} can be shared: a part of a GPU cannot be had")
        template = template_of(share, namespace, largest, self._sharing)
        name = template["metadata"]["name"]
        if not is_dry_run:
            await self._put(template, (namespace, name))
        return Given("resourceClaimTemplateName", name)

    async def _put(self, template: Raw, key: tuple[str, str]) -> None:
        now = self._clock()
        self._used = {other: at for other, at in self._used.items() if now - at < self._fresh_seconds}
        if key not in self._used:
            await self._shelf.put_template(template, now)
            self._used[key] = now


@dataclass(frozen=True, slots=True)
class _Reading:
    """A namespace as it was read, with what was written since."""

    claims: dict[str, SharedClaim]
    clerk: Clerk
    covers: int
    """The last pod that had come when it was read: for those after it, it may be out of date."""


class SharedClaims:
    """A claim named by several pods of a namespace."""

    def __init__(self, shelf: Shelf, sharing: Sharing, grace_seconds: float, clock: Clock) -> None:
        self._shelf = shelf
        self._sharing = sharing
        self._surveyor = Surveyor(shelf, sharing, clock)
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """One pod of a namespace at a time: it saves lost races, it is not what keeps the books right."""
        self._seen: dict[str, set[str]] = {}
        """Tickets by namespace whose pods were alive when we looked."""
        self._readings: dict[str, _Reading] = {}
        self._arrivals = 0

    async def give(self, share: GpuShare, namespace: str, *, is_dry_run: bool) -> Given:
        """A claim with room for the part, an old one if there is any."""
        part = self._part_of(share, await self._surveyor.look())
        ticket = secrets.token_hex(8)
        claim = shared_claim_of(share, namespace, f"gpu-share-{secrets.token_hex(5)}", self._sharing)
        shape = next(iter(claim["metadata"]["labels"].values()))
        self._arrivals += 1
        arrival = self._arrivals
        async with self._locks[namespace]:
            for _ in range(_ATTEMPTS):
                reading = await self._read(namespace, arrival)
                clerk = reading.clerk
                chosen = clerk.choose(reading.claims.values(), shape, part)
                booking = Booking(part, clerk.now)
                if is_dry_run:
                    name = chosen.name if chosen is not None else claim["metadata"]["name"]
                    return Given("resourceClaimName", name, ticket)
                written = (
                    await self._shelf.add_claim(claim, {ticket: booking})
                    if chosen is None
                    else await self._shelf.rebook(chosen, {**clerk.current(chosen.book), ticket: booking})
                )
                if written is not None:
                    reading.claims[written.name] = written
                    return Given("resourceClaimName", written.name, ticket)
                del self._readings[namespace]
        raise KaiSchedError(f"the shared claims of namespace {namespace} kept changing")

    def _part_of(self, share: GpuShare, found: Survey) -> int:
        """Thousandths of each device. Raises ``KaiSchedError`` where no claim can be shared for it."""
        name = self._sharing.device_class
        if found.shareable:
            raise KaiSchedError(f"class {name} has devices for several claims: they need consumable capacity")
        if not found.exclusive:
            raise KaiSchedError(f"there is no device of class {name}: a part of a GPU cannot be had")
        part = part_of(share, found.smallest_exclusive_bytes)
        if not part:
            raise KaiSchedError(f"no device of class {name} says how much {self._sharing.capacity} it has")
        if part > WHOLE_MILLIS:
            raise KaiSchedError(
                f"{share.memory_mib} MiB are more than the smallest device of class {name} has"
            )
        return part

    async def _read(self, namespace: str, arrival: int) -> _Reading:
        """Pods that wait for one another use one reading, if it was made after they came."""
        known = self._readings.get(namespace)
        if known is None or known.covers < arrival:
            covers = self._arrivals
            claims = await self._shelf.claims(namespace)
            clerk = await self._clerk(namespace, claims)
            known = _Reading({claim.name: claim for claim in claims}, clerk, covers)
            self._readings[namespace] = known
        return known

    async def _clerk(self, namespace: str, claims: list[SharedClaim]) -> Clerk:
        roll = await self._shelf.roll(namespace)
        booked = {ticket for claim in claims for ticket in claim.book}
        seen = self._seen.get(namespace, set()) | set(roll.living)
        self._seen[namespace] = seen & booked
        return Clerk(roll, self._clock(), self._grace_seconds, frozenset(seen))
