"""The exhaustive first-fit search: claims in order, requests in order, alternatives in order, devices in order.

Written as coroutines on an explicit stack, because a pod's claims may go deeper than Python's own. Every candidate
tried is a step, and so are some devices passed over; running out of steps ends the search with a refusal, not with a
hang.
"""

from __future__ import annotations

from collections.abc import Generator
from enum import Enum
from typing import Final

from kai_sched.devices.attempt import Attempt
from kai_sched.devices.outlook import Outlook
from kai_sched.devices.pools import PooledDevice
from kai_sched.devices.refusal import RefusalKind, Refused, claim_text
from kai_sched.devices.requests import MAX_RESULTS, PreparedClaim, PreparedRequest, Selection


class End(Enum):
    """How a part of the search ended."""

    DONE = "done"
    FAILED = "failed"
    TOO_MANY = "too many"
    """Everything tried would pass the limit of devices in one claim: callers need not try other devices."""
    HOPELESS = "hopeless"
    """No choice made so far could be changed for the better."""


_PATIENCE: Final = 200
"""Steps after which it pays to ask whether the claim that comes next can be served at all."""
_LOOKS_A_STEP: Final = 8
"""Devices passed over, in use or not what is asked for, that cost as much as one that is tried."""
Steps = Generator["Steps", End, End]


class Search:
    """One search over one node."""

    def __init__(
        self,
        claims: tuple[PreparedClaim, ...],
        attempt: Attempt,
        selection: Selection,
        outlook: Outlook,
        max_steps: int,
        bundle: frozenset[int] = frozenset(),
    ) -> None:
        self._claims = claims
        self.attempt = attempt
        self._selection = selection
        self._max_steps = max_steps
        self._outlook = outlook
        self._bundle = bundle
        self._judged: set[tuple[int, int]] = set()
        self._judged_claims: set[int] = set()
        self.steps = 0
        self._looks = 0
        self.current = 0
        """The claim that was worked on last."""
        self.chosen: dict[tuple[int, int], int] = {}
        """(claim, request) -> index of the alternative that was taken."""

    def run(self) -> bool:
        """Whether everything was allocated; the attempt then holds the results.

        Raises:
            Refused: an error for the claims as they stand, or no steps left.
        """
        stack = [self._requests(0, 0)]
        outcome: End | None = None
        while stack:
            if outcome is End.HOPELESS:
                return False
            try:
                stack.append(next(stack[-1]) if outcome is None else stack[-1].send(outcome))
                outcome = None
            except StopIteration as end:
                stack.pop()
                outcome = end.value
        return outcome is End.DONE

    def _requests(self, claim_index: int, request_index: int) -> Steps:
        if claim_index == len(self._claims):
            return End.DONE if self._bundle <= self._given() else End.FAILED
        claim = self._claims[claim_index]
        if request_index == len(claim.requests):
            outcome = yield self._requests(claim_index + 1, 0)
            # A limit passed in a later claim may yet be kept if this claim chooses otherwise.
            return End.FAILED if outcome is End.TOO_MANY else outcome
        if (claim_index, request_index) not in self._judged:
            self._judged.add((claim_index, request_index))
            if self._outlook.is_hopeless(claim_index, request_index):
                return End.HOPELESS
        if request_index == 0 and self.steps > _PATIENCE and claim_index not in self._judged_claims:
            self._judged_claims.add(claim_index)
            if self._outlook.is_claim_hopeless(claim_index):
                return End.HOPELESS
        alternatives = claim.requests[request_index]
        if not claim.is_listed(request_index):
            outcome = yield self._devices((claim_index, request_index), alternatives[0], 0, 0)
            return outcome
        all_too_many = True
        for number, alternative in enumerate(alternatives):
            outcome = yield self._devices((claim_index, request_index), alternative, 0, 0)
            if outcome is End.DONE:
                self.chosen[claim_index, request_index] = number
                return outcome
            all_too_many = all_too_many and outcome is End.TOO_MANY
        return End.TOO_MANY if all_too_many else End.FAILED

    def _given(self) -> set[int]:
        """Devices given so far, but for those that are only looked into."""
        if not self._bundle:
            return set()
        return {
            one.entry.ordinal for part in self.attempt.results for one in part if not one.prepared.is_admin
        }

    def _devices(self, where: tuple[int, int], prepared: PreparedRequest, done: int, start: int) -> Steps:
        """Find the devices of one request from the ``done``-th on, looking from position ``start``."""
        claim_index, request_index = where
        self.current = claim_index
        if prepared.all_devices is not None and not prepared.all_devices:
            return End.FAILED
        if done >= prepared.count:
            outcome = yield self._requests(claim_index, request_index + 1)
            return outcome
        if prepared.count - done > MAX_RESULTS - len(self.attempt.results[claim_index]):
            return End.TOO_MANY
        self._count_step(claim_index, prepared)
        if prepared.all_devices is not None:
            outcome = yield self._next_of_all(where, prepared, done)
            return outcome
        if not self._are_enough_left(claim_index, prepared, prepared.count - done, start):
            return End.FAILED
        outcome = yield self._one_of(where, prepared, done, start)
        return outcome

    def _one_of(self, where: tuple[int, int], prepared: PreparedRequest, done: int, start: int) -> Steps:
        """Try device after device as the ``done``-th of the request."""
        claim_index, _ = where
        claim, attempt = self._claims[claim_index], self.attempt
        for position in range(start, len(prepared.positions)):
            entry = prepared.positions[position]
            if not self._is_candidate(claim_index, prepared, entry):
                continue
            if not attempt.has_room(claim, prepared, entry):
                continue
            self._count_step(claim_index, prepared)
            mark = attempt.mark()
            if not attempt.take(claim_index, claim, prepared, entry):
                continue
            outcome = yield self._devices(where, prepared, done + 1, position + 1)
            if outcome is End.DONE:
                return outcome
            attempt.rollback(mark)
            if outcome is End.TOO_MANY:
                return outcome
        return End.FAILED

    def _next_of_all(self, where: tuple[int, int], prepared: PreparedRequest, done: int) -> Steps:
        assert prepared.all_devices is not None
        claim_index, _ = where
        mark = self.attempt.mark()
        entry = prepared.all_devices[done]
        if not self.attempt.take(claim_index, self._claims[claim_index], prepared, entry):
            return End.FAILED
        outcome = yield self._devices(where, prepared, done + 1, 0)
        if outcome is not End.DONE:
            self.attempt.rollback(mark)
        return outcome

    def _is_candidate(self, claim_index: int, prepared: PreparedRequest, entry: PooledDevice) -> bool:
        self._looks += 1
        if self.attempt.is_in_use(claim_index, prepared, entry):
            return False
        claim = self._claims[claim_index].claim
        return self._selection.matches(claim, prepared.selector_key, entry, prepared.name)

    def _are_enough_left(self, claim_index: int, prepared: PreparedRequest, needed: int, start: int) -> bool:
        """Whether enough candidates follow, whatever else they must satisfy.

        Looks at devices in the order in which the search itself would have to, and no further, so an expression that
        fails does so here exactly if it would there. Saves trying all combinations of too few devices.
        """
        if needed == 1:
            return True
        for position in range(start, len(prepared.positions)):
            if self._is_candidate(claim_index, prepared, prepared.positions[position]):
                needed -= 1
                if needed == 0:
                    return True
        return False

    def _count_step(self, claim_index: int, prepared: PreparedRequest) -> None:
        looks, self._looks = divmod(self._looks, _LOOKS_A_STEP)
        self.steps += 1 + looks
        if self.steps > self._max_steps:
            claim = self._claims[claim_index].claim
            raise Refused(
                f"claim {claim_text(claim)}, request {prepared.name}: the device search was given up after"
                f" {self._max_steps} steps",
                kind=RefusalKind.BUDGET,
                request=prepared.name,
            )
