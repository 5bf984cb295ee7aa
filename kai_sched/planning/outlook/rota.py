"""Rota: whose prospects are looked at first, so that all are in time, however often the looking is cut short."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, field
from typing import Final

from kai_sched.model.ids import PodGroupKey

FRESH_SECONDS: Final = 20.0
"""What was found out about the same reason is not found out again for so long."""


def _never() -> bool:
    return False


@dataclass(slots=True)
class Rota:
    """Kept from cycle to cycle; what is decided does not depend on it, only what is told when.

    ``is_over``: whether somebody waits for an answer now. It is asked between two trials.
    """

    is_over: Callable[[], bool] = _never
    _round: int = 0
    _looked_at: dict[PodGroupKey, tuple[int, float, Hashable]] = field(default_factory=dict)
    """The round in which a group was last reached, when that was, and the reason for which it waited."""

    def begin(self, waiting: Collection[PodGroupKey]) -> None:
        """Another cycle with these groups; others are forgotten."""
        self._round += 1
        self._looked_at = {key: at for key, at in self._looked_at.items() if key in waiting}

    def last_of(self, group: PodGroupKey) -> int:
        """Smaller: longer ago, or never."""
        return self._looked_at[group][0] if group in self._looked_at else 0

    def is_fresh(self, group: PodGroupKey, reason: Hashable, now: float) -> bool:
        """Whether it was reached a short while ago, waiting for the same reason. ``now``: of the snapshot, in seconds."""
        _, at, known = self._looked_at.get(group, (0, 0.0, None))
        return known == reason and at <= now < at + FRESH_SECONDS

    def reached(self, group: PodGroupKey, reason: Hashable, now: float) -> None:
        """Its prospects are known now."""
        self._looked_at[group] = self._round, now, reason
