"""The step budget of one evaluation: what keeps a hostile expression from holding a cycle."""

from __future__ import annotations

from typing import Final

from kai_sched.devices.cel.values import CostExceeded

STEP_LIMIT: Final = 60_000
"""Steps of one evaluation. A step is about one unit of the reference's cost, whose limit is a million: selectors
seen in practice take fewer than 200, and a million steps would hold a cycle for longer than a tenth of a second."""

_CHARACTERS_PER_STEP: Final = 10


class Budget:
    """Counts down; negative means used up."""

    __slots__ = ("left", "limit")

    def __init__(self, limit: int = STEP_LIMIT) -> None:
        self.limit = limit
        self.left = limit

    def take(self, steps: int) -> None:
        """Use some steps.

        Raises:
            CostExceeded: there are none left.
        """
        self.left -= steps
        if self.left < 0:
            raise CostExceeded("actual cost limit exceeded")

    def take_text(self, *texts: str | bytes) -> None:
        """Use the steps that walking these texts takes."""
        self.take(1 + sum(map(len, texts)) // _CHARACTERS_PER_STEP)

    @property
    def used(self) -> int:
        return self.limit - self.left
