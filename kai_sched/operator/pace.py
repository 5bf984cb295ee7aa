"""Pace: when cycles begin, and how long a decision may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """When cycles begin."""

    batch_seconds: float = 0.05
    """Events that come together are decided together."""
    min_interval_seconds: float = 0.1
    """Between the begins of two cycles."""
    settle_seconds: float = 1.5
    """After a cycle that started commands: their end is told in the status of queues."""
    idle_seconds: float = 10.0
    """A cycle without any event: time itself changes some decisions."""
    decide_seconds: float = 5.0
    """Wall limit of one decision, the safety net of the policy's own budget. Where it was too short for any plan at
    all, the next decision gets twice the time."""
    longest_decide_seconds: float = 120.0
    self_check_seconds: float = 60.0
    """Between two judgements of the whole cluster."""
    busy_backlog: int = 64
    """With more commands in flight the next cycle waits a while: deciding would slow the binding down."""
    busy_seconds: float = 2.0
