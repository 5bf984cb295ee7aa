"""Requests that nothing can satisfy, seen before all combinations of the requests before them are tried.

The search would find out too, but only after exhausting every way to serve the earlier requests. The shortcut is taken
only where the exhaustive search could end in nothing but "no": no expression fails and no amount is unrepresentable on
any device that it might come to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kai_sched.devices.attempt import Attempt
from kai_sched.devices.pools import PooledDevice
from kai_sched.devices.refusal import Refused
from kai_sched.devices.requests import PreparedClaim, PreparedRequest, Selection


class Outlook:
    """Judges requests one device at a time, on attempts that hold nothing else."""

    def __init__(
        self,
        claims: Sequence[PreparedClaim],
        selection: Selection,
        new_attempt: Callable[[], Attempt],
        is_served_alone: Callable[[PreparedClaim], bool],
    ) -> None:
        self._claims = claims
        self._is_served_alone = is_served_alone
        self._selection = selection
        self._new_attempt = new_attempt
        self._probe: Attempt | None = None
        self._is_usable = not any(map(_may_break_a_constraint, claims))

    def is_hopeless(self, claim_index: int, request_index: int) -> bool:
        """Whether no alternative of the request has enough devices that would do by themselves."""
        if not self._is_usable or (claim_index, request_index) == (0, 0):
            return False
        alternatives = self._claims[claim_index].requests[request_index]
        if any(self._may_succeed(claim_index, entry) for entry in alternatives):
            return False
        reached = [
            (claim, entry)
            for number, claim in enumerate(self._claims[: claim_index + 1])
            for group in claim.requests[: request_index + 1 if number == claim_index else None]
            for entry in group
        ]
        return all(self._ends_without_error(claim, entry) for claim, entry in reached)

    def is_claim_hopeless(self, claim_index: int) -> bool:
        """Whether a claim would find no devices even if the claims before it took none.

        A search for it alone comes to every partial choice that a search after others could come to, so where that
        ends in "no" without an error this one cannot end in an error of that claim either.
        """
        earlier = self._claims[:claim_index]
        if not earlier or any(map(_may_break_a_constraint, earlier)):
            return False
        try:
            if self._is_served_alone(self._claims[claim_index]):
                return False
        except Refused:
            return False
        return all(
            self._ends_without_error(claim, entry)
            for claim in earlier
            for group in claim.requests
            for entry in group
        )

    def _may_succeed(self, claim_index: int, prepared: PreparedRequest) -> bool:
        if prepared.all_devices is not None:
            return bool(prepared.all_devices)
        found = 0
        for entry in prepared.positions:
            found += self._would_do(claim_index, prepared, entry)
            if found >= prepared.count:
                return True
        return False

    def _would_do(self, claim_index: int, prepared: PreparedRequest, entry: PooledDevice) -> bool:
        probe = self._probe
        if probe is None:
            probe = self._probe = self._new_attempt()
        claim = self._claims[claim_index]
        if probe.is_in_use(claim_index, prepared, entry):
            return False
        try:
            if not self._selection.matches(claim.claim, prepared.selector_key, entry, prepared.name):
                return False
            mark = probe.mark()
            is_taken = probe.take(claim_index, claim, prepared, entry)
        except Refused:
            # Left to the search, which finds the error if it gets there.
            return True
        probe.rollback(mark)
        return is_taken

    def _ends_without_error(self, claim: PreparedClaim, prepared: PreparedRequest) -> bool:
        probe = self._new_attempt()
        for entry in prepared.positions if prepared.all_devices is None else ():
            verdict = self._selection.index.verdict_on(prepared.selector_key, entry)
            if isinstance(verdict, str):
                return False
            try:
                probe.has_room(claim, prepared, entry)
            except Refused:
                return False
        return True


def _may_break_a_constraint(claim: PreparedClaim) -> bool:
    """A constraint that an All request breaks is an error, which other devices for earlier requests may provoke."""
    return bool(claim.constraints) and any(
        entry.all_devices is not None for group in claim.requests for entry in group
    )
