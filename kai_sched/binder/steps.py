"""The next calls of a gang, decided from what is known of its claims and pods: a state machine without I/O.

Order (KEP-4381, and the promise that a gang is never half bound by a failure of ours):
read unknown claims, write every claim of the gang, wait for devices that need preparing, then all binds at once.
Before the first bind a failure takes everything back; after it the gang is only completed. The machine keeps no
memory that the API server does not have, so a new one started after a crash continues where the old one ended.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from kai_sched.binder.claims import (
    AwaitDevices,
    ClaimStep,
    ClaimWrite,
    intents_of,
    next_claim_step,
    next_removal,
)
from kai_sched.binder.outcomes import CommandOutcome, Result, Setback
from kai_sched.cluster.ports import Document
from kai_sched.model.commands import BindGang
from kai_sched.model.ids import ClaimKey, PodKey
from kai_sched.model.plan import Placement

MAX_CONFLICTS: Final = 5
"""Lost races on one claim before the gang gives up for this cycle."""
MAX_RELEASES: Final = 50
"""Attempts to take one claim back; what is left then is found again from the API's state."""


@dataclass(frozen=True, slots=True)
class CallClaims:
    """Read these claims and write those, in any order."""

    reads: tuple[ClaimKey, ...]
    writes: tuple[tuple[ClaimKey, ClaimWrite], ...]


@dataclass(frozen=True, slots=True)
class PauseForDevices:
    """Look at these claims again a little later: their drivers are preparing devices."""

    claims: tuple[ClaimKey, ...]
    allocated_at: float | None
    """When the first of them was allocated, epoch seconds; None where none of them says."""


@dataclass(frozen=True, slots=True)
class BindPods:
    """Bind these pods, all at once."""

    placements: tuple[Placement, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing is left to do."""

    outcome: CommandOutcome


GangStep = CallClaims | PauseForDevices | BindPods | Finished


class GangProgress:
    """One gang on its way: ask ``next_step``, do it, tell what came of it, ask again."""

    __slots__ = (
        "_bound",
        "_command",
        "_conflicts",
        "_documents",
        "_failure",
        "_intents",
        "_lost",
        "_releases",
        "_skipped",
    )

    def __init__(self, command: BindGang) -> None:
        self._command = command
        self._intents = {intent.claim: intent for intent in intents_of(command.placements)}
        # What we make ourselves is made without asking first: if it is there already, the server says so.
        self._documents: dict[ClaimKey, Document | None] = {
            claim: None for claim, intent in self._intents.items() if intent.creation is not None
        }
        self._conflicts: Counter[ClaimKey] = Counter()
        self._releases: Counter[ClaimKey] = Counter()
        self._skipped: set[ClaimKey] = set()
        self._bound: list[PodKey] = []
        self._lost: dict[PodKey, Setback] = {}
        self._failure: Setback | None = None

    @property
    def is_undoing(self) -> bool:
        """Whether the gang failed and is being taken back."""
        return self._failure is not None

    @property
    def has_begun(self) -> bool:
        """Whether some pod of the gang has its node: then there is only forward."""
        return bool(self._bound) or self._command.already_bound > 0

    def next_step(self) -> GangStep:
        """What to do now."""
        if self._failure is not None:
            return self._next_undo(self._failure)
        unknown = tuple(claim for claim in self._intents if claim not in self._documents)
        if unknown:
            return CallClaims(unknown, ())
        steps = {
            claim: next_claim_step(intent, self._documents[claim]) for claim, intent in self._intents.items()
        }
        if self._drop_refused(steps):
            return self.next_step()
        writes = tuple((claim, step) for claim, step in steps.items() if isinstance(step, ClaimWrite))
        if writes:
            return CallClaims((), writes)
        waiting = {claim: step for claim, step in steps.items() if isinstance(step, AwaitDevices)}
        if not waiting:
            return self._next_bind()
        stamps = [step.allocated_at for step in waiting.values() if step.allocated_at is not None]
        return PauseForDevices(tuple(waiting), min(stamps, default=None))

    def saw_claim(self, claim: ClaimKey, document: Document | None) -> None:
        """A claim as the server has it now (None: it has none)."""
        self._documents[claim] = document

    def lost_race(self, claim: ClaimKey) -> None:
        """A write was refused because the claim had changed: it must be read again."""
        self._documents.pop(claim, None)
        self._conflicts[claim] += 1
        if self._conflicts[claim] > MAX_CONFLICTS and not self._bound:
            self.fail(Setback(Result.RETRY, f"claim {claim} kept changing under {MAX_CONFLICTS} attempts"))

    def must_reread(self, claim: ClaimKey) -> None:
        """It is not known whether a write arrived."""
        self._documents.pop(claim, None)

    def cannot_release(self, claim: ClaimKey) -> None:
        """The server refuses for good to take this claim back; the others still are."""
        self._skipped.add(claim)

    def saw_bound(self, pod: PodKey) -> None:
        """This pod has the node that we chose."""
        self._bound.append(pod)

    def lost_pod(self, pod: PodKey, refusal: Setback) -> None:
        """This pod will never get the node that we chose."""
        self._lost[pod] = refusal

    def refuse_pod(self, pod: PodKey, refusal: Setback) -> None:
        """This pod must not be bound: the gang fails as one, or, if it runs already, goes on without it."""
        self._lost.setdefault(pod, refusal)
        if self._command.already_bound == 0:
            self.fail(refusal)
        else:
            left = [placement for placement in self._command.placements if placement.pod not in self._lost]
            self._intents = {intent.claim: intent for intent in intents_of(left)}

    def fail(self, refusal: Setback) -> None:
        """Give up; the first reason stands. Ignored once a pod is bound: then there is only forward."""
        if self._failure is None and not self._bound:
            self._failure = refusal

    def _drop_refused(self, steps: dict[ClaimKey, ClaimStep]) -> bool:
        """Whether a refused claim changed the gang: it fails as one, or, if it runs already, loses a pod."""
        refused = {claim: step for claim, step in steps.items() if isinstance(step, Setback)}
        if not refused:
            return False
        for placement in self._command.placements:
            reason = next((refused[part.claim] for part in placement.claims if part.claim in refused), None)
            if reason is not None:
                self.refuse_pod(placement.pod, reason)
        return True

    def _next_bind(self) -> GangStep:
        done = {*self._bound, *self._lost}
        left = tuple(placement for placement in self._command.placements if placement.pod not in done)
        if left:
            return BindPods(left)
        reason = next(iter(self._lost.values()), None)
        if reason is not None and not self._bound and self._command.already_bound == 0:
            self.fail(reason)
            return self._next_undo(reason)
        return self._finished(reason)

    def _next_undo(self, failure: Setback) -> GangStep:
        if self._command.already_bound > 0:
            return self._finished(failure)
        open_claims = [
            claim
            for claim in self._intents
            if claim not in self._skipped and self._releases[claim] < MAX_RELEASES
        ]
        unknown = tuple(claim for claim in open_claims if claim not in self._documents)
        uids = {placement.uid for placement in self._command.placements}
        writes: list[tuple[ClaimKey, ClaimWrite]] = []
        for claim in open_claims:
            document = self._documents.get(claim)
            removal = None if document is None else next_removal(document, uids)
            if removal is not None:
                self._releases[claim] += 1
                writes.append((claim, removal))
        return CallClaims(unknown, tuple(writes)) if unknown or writes else self._finished(failure)

    def _finished(self, reason: Setback | None) -> Finished:
        outcome = CommandOutcome(
            command=self._command,
            result=Result.DONE if reason is None else reason.result,
            reason="" if reason is None else reason.reason,
            bound=tuple(self._bound),
        )
        return Finished(outcome)
