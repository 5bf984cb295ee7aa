"""Why claims cannot be allocated: values for callers, exceptions inside the search only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kai_sched.model.devices import Claim
from kai_sched.model.ids import ClaimKey


class RefusalKind(StrEnum):
    """What a refusal means for other nodes."""

    FATAL = "fatal"
    """The claim as it stands cannot be allocated anywhere."""
    NO_FIT = "no_fit"
    """Not on this node, not now."""
    BUDGET = "budget"
    """The search was given up; trying more nodes would only cost more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRefusal:
    """A set of claims was not allocated. ``message`` names claim, request and reason."""

    kind: RefusalKind
    claim: ClaimKey
    request: str
    message: str
    device: str = ""
    next_step: str = ""
    """What would help, in words; "" where nothing better is known than what the message says."""
    asked: int = 0
    """Devices of the request on one node."""
    most: int | None = None
    """The most on one node that match it, free or not; None where that was not counted."""


class Refused(Exception):
    """Ends a search at once; turned into a ``DeviceRefusal`` at its border."""

    def __init__(
        self,
        message: str,
        *,
        kind: RefusalKind = RefusalKind.FATAL,
        request: str = "",
        device: str = "",
        next_step: str = "",
    ) -> None:
        self.kind = kind
        self.next_step = next_step
        self.request = request
        self.device = device
        super().__init__(message)


def claim_text(claim: Claim) -> str:
    """``namespace/name``, without the slash where there is no namespace."""
    return claim.key.lstrip("/")
