"""What the binder needs from outside, said by itself, so that tests give it less than a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from kai_sched.cluster.ports import Document
from kai_sched.model.ids import ClaimKey, PodKey
from kai_sched.model.plan import Placement


class ApiCalls(Protocol):
    """Calls on the API server by path; a refusal or no answer is ``errors.ApiFailure``."""

    async def get(self, path: str) -> Document: ...

    async def put(self, path: str, body: Document) -> Document: ...

    async def post(self, path: str, body: Document) -> Document: ...

    async def delete(self, path: str, *, body: Document | None = None) -> Document: ...

    async def patch_strategic(self, path: str, body: Document) -> Document: ...

    async def add_finalizer(self, path: str, finalizer: str) -> Document: ...

    async def open_ahead(self, count: int) -> None:
        """Be ready for so many calls at once. Never fails."""


class KnownObjects(Protocol):
    """What the watches say, as of now."""

    def claim_document(self, claim: ClaimKey) -> Document | None:
        """The claim as last seen, None if it is not known (it is read from the server then)."""

    def broken_preconditions(self, placements: Iterable[Placement]) -> Mapping[PodKey, str]:
        """The pods that must not be bound, with the reason: gone or replaced, or their node went away."""

    def broken_devices(self, placements: Iterable[Placement]) -> Mapping[PodKey, str]:
        """The pods to which a device would be given that went away or was tainted, with the reason.

        Devices that a claim had before are its pods' to keep.
        """

    def others_take_devices(self) -> bool:
        """Whether another scheduler may be giving devices at this moment."""

    def shows_claims(self, placements: Iterable[Placement]) -> bool:
        """Whether every claim is seen as it was written: with its devices, reserved for its pod."""

    def doubly_given(self, placements: Iterable[Placement]) -> Mapping[PodKey, str]:
        """The pods that would be given a device that another claim holds too, with which."""


class Fence(Protocol):
    """Whether this process may write at all (it holds the Lease, with time to spare)."""

    def may_write(self) -> bool: ...
