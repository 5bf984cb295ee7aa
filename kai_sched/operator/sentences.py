"""What each waiting gang is told now: one sentence, the same at the same time in its status, its conditions and events.

A new reason is told at once. Other figures of the same reason wait their turn, here and not where they are written,
so that all places change together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kai_sched.model.ids import PodGroupKey
from kai_sched.model.plan import Outcome, Verdict
from kai_sched.model.texts import EVENT_BYTES, shown_bytes
from kai_sched.planning.outlook.judging import JUDGED

CALM_SECONDS: Final = 60.0
"""Between two sentences of one reason."""
NOT_READY_PATIENCE_SECONDS: Final = 2.0
"""A gang whose pods and claims are just being made is nobody's problem yet."""
PROSPECTS_PATIENCE_SECONDS: Final = 2.0
"""What a gang may hope for is found out after the decision; its bare reason is told if that takes longer."""


def is_waiting(verdict: Verdict | None) -> bool:
    """Whether a verdict is one that pods and groups are told about as a reason to wait."""
    return verdict is not None and verdict.outcome in {Outcome.UNPLACED, Outcome.NOT_READY}


def sentence_of(verdict: Verdict) -> str:
    """The verdict for a person: blocker, missing amount, next step; short enough for an event.

    Where it is too long the message is cut, never the advice.
    """
    blocker = f"{verdict.blocker.value}: " if verdict.blocker is not None else ""
    step = f". Next: {verdict.next_step}" if verdict.next_step else ""
    step = shown_bytes(step, EVENT_BYTES // 2)
    room = EVENT_BYTES - len(blocker) - len(step.encode())
    return f"{blocker}{shown_bytes(verdict.message, room)}{step}"


def patience_for(verdict: Verdict | None) -> float:
    """How long a verdict must hold before it is told: what passes by itself is not, nor what is half of the answer."""
    if verdict is None:
        return 0.0
    if verdict.outcome is Outcome.NOT_READY:
        return NOT_READY_PATIENCE_SECONDS
    is_half = verdict.outcome is Outcome.UNPLACED and verdict.outlook is None and verdict.blocker in JUDGED
    return PROSPECTS_PATIENCE_SECONDS if is_half else 0.0


@dataclass(frozen=True, slots=True)
class Told:
    """What a gang is told, which may be older than its verdict of this cycle."""

    verdict: Verdict
    since: float
    """When its reason began."""
    at: float
    """When this sentence was taken up."""

    @property
    def sentence(self) -> str:
        """The words."""
        return sentence_of(self.verdict)


class Sentences:
    """Keeps what every waiting gang is told."""

    def __init__(self) -> None:
        self._told: dict[PodGroupKey, Told] = {}

    def of_cycle(self, verdicts: Mapping[PodGroupKey, Verdict], now: float) -> Mapping[PodGroupKey, Told]:
        """What the gangs that wait are told from now on. ``now``: seconds of a clock that never goes back."""
        before = self._told
        self._told = {
            key: _next(before.get(key), verdict, now)
            for key, verdict in verdicts.items()
            if is_waiting(verdict)
        }
        return self._told


def _next(known: Told | None, verdict: Verdict, now: float) -> Told:
    if known is None or _reason(known.verdict) != _reason(verdict):
        return Told(verdict, now, now)
    if known.verdict == verdict:
        return known
    if sentence_of(known.verdict) == sentence_of(verdict):
        return Told(verdict, known.since, known.at)
    # Nobody has read it yet: what will be read first is to be true.
    is_unread = now - known.since < patience_for(verdict)
    is_whole_now = known.verdict.outlook is None and verdict.outlook is not None
    is_due = is_unread or is_whole_now or now - known.at >= CALM_SECONDS
    return Told(verdict, known.since, now) if is_due else known


def _reason(verdict: Verdict) -> object:
    return verdict.outcome, verdict.blocker
