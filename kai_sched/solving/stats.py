"""SolvingStats and Decision: what the parent knows about a decision besides its plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from kai_sched.model.plan import Plan


class Ending(StrEnum):
    """How a decision ended. Everything but FINISHED costs improvements only, if the first plan was there."""

    FINISHED = "finished"
    DEADLINE = "deadline"
    """The child was still working, or hung, when the time was up."""
    DIED = "died"
    NONSENSE = "nonsense"
    """The child sent something that is no reply."""
    FAILED = "failed"
    """Deciding raised an error."""


@dataclass(slots=True)
class SolvingStats:
    """Counters over the life of a SolverProcess, for metrics."""

    decisions: int = 0
    without_plan: int = 0
    """Decisions that ended without any plan (SolverFailed)."""
    plans: int = 0
    refused_plans: int = 0
    """Plans that the checker refused."""
    endings: dict[Ending, int] = field(default_factory=lambda: dict.fromkeys(Ending, 0))
    starts: int = 0
    """Child processes started."""
    sent_bytes: int = 0
    fleets_sent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """``plan``: the last one that the checker passed; None if there was none, then ``reason`` says why."""

    plan: Plan | None
    ending: Ending
    number: int = 0
    """By which a solver knows it."""
    reason: str = ""
    plans: int = 0
    refusals: tuple[str, ...] = ()
    """Violations of refused plans, in words."""
    sent_bytes: int = 0
    encoding_seconds: float = 0.0
    first_plan_seconds: float | None = None
    seconds: float = 0.0
    child_memory_bytes: int = 0

    @property
    def was_asked(self) -> bool:
        """Whether a child had the request at all."""
        return self.sent_bytes > 0
