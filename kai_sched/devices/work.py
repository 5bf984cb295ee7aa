"""Work: what deciding costs, counted in units of about ten microseconds, so that no decision depends on a clock.

Whoever does something that grows with what users wrote charges it here. Whose turn it is has an allowance; spending more
ends the turn with ``OutOfWork``, wherever it is just then: what was tried is rolled back as a whole. What is remembered
from earlier cycles is charged like new, so that a memory makes a cycle shorter and never another one.
"""

from __future__ import annotations

from math import inf
from typing import Final

UNITS_A_STEP: Final = 2
"""One step of a device search."""
CEL_STEPS_A_UNIT: Final = 10


class OutOfWork(Exception):
    """The allowance of this turn is spent. No error: whoever gave the turn catches it."""


class WorkMeter:
    """Work since the cycle began. Shared by forks of a world: it belongs to the cycle."""

    __slots__ = (
        "_given_up",
        "_half",
        "_limit",
        "_paid",
        "_searched",
        "aside",
        "spent_on_selectors",
        "units",
    )

    def __init__(self) -> None:
        self.units = 0
        self.aside = 0
        """Units of turns inside of turns: they have an allowance of their own."""
        self.spent_on_selectors = 0
        """CEL steps of expensive evaluations."""
        self._limit: float = inf
        self._half: float = inf
        self._searched: set[object] = set()
        self._given_up: dict[object, int] = {}
        self._paid: set[object] = set()

    def turn(self, allowance: int) -> _Turn:
        """What is charged meanwhile is at most the allowance, or ends in ``OutOfWork``."""
        return _Turn(self, allowance)

    def open_turn(self, allowance: int) -> tuple[float, float, int]:
        """What ``close_turn`` is to be told."""
        outer = self._limit, self._half, self.units
        self._limit, self._half = self.units + allowance, self.units + allowance // 2
        return outer

    def close_turn(self, limit: float, half: float, began: int) -> None:
        """Go back to the bounds of the turn around it."""
        used = self.units - began
        self.aside += used if limit < inf else 0
        self._limit, self._half = limit + used, half + used

    def begin(self) -> None:
        """Another run begins: what was paid for in the one before is paid for again."""
        self.spent_on_selectors = 0
        self._searched.clear()
        self._given_up.clear()
        self._paid.clear()

    @property
    def own_units(self) -> int:
        """Units without those of turns inside of turns."""
        return self.units - self.aside

    @property
    def left(self) -> float:
        """What this turn may still spend."""
        return max(0, self._limit - self.units)

    @property
    def is_generous(self) -> bool:
        """Whether there is work left for more than a first answer: half of a turn may go into better ones."""
        return self.units <= self._half

    def charge(self, units: int) -> None:
        """Count work, before or after it is done.

        Raises:
            OutOfWork: it is more than this turn has.
        """
        if self.units + units > self._limit:
            # Whatever was too much: a turn that ends so has cost its allowance, and one unit for trying.
            self.units = int(self._limit) + 1
            raise OutOfWork
        self.units += units

    def charge_once(self, key: object, units: int) -> None:
        """Count what is worked out once in a cycle, however often it is asked for."""
        if key not in self._paid:
            self.charge(units)
            self._paid.add(key)

    def has_paid(self, key: object) -> bool:
        """Whether something is paid for: it may be used as often as one likes."""
        return key in self._paid

    def pay_for_selector(self, key: object, steps: int) -> None:
        """Count an expensive evaluation."""
        self._paid.add(key)
        self.spent_on_selectors += steps
        self.charge(steps // CEL_STEPS_A_UNIT)

    def search_allowance(self, most: int) -> int:
        """Steps that the next search may take: of what is left half, so that its outcome can still be told."""
        return int(min(most, self.left // (2 * UNITS_A_STEP)))

    def has_searched(self, question: object) -> bool:
        """Whether this cycle has paid for the answer already: nodes alike are searched once."""
        return question in self._searched

    def given_up_after(self, question: object) -> int:
        """The steps after which a search for the answer was given up in this cycle; -1: none was."""
        return self._given_up.get(question, -1)

    def count_search(self, steps: int, question: object = None, *, is_given_up: bool = False) -> None:
        """Count what a search has taken."""
        if is_given_up:
            if question is not None:
                self._given_up[question] = max(steps, self._given_up.get(question, 0))
        elif question is not None:
            self._searched.add(question)
        self.charge(UNITS_A_STEP * steps)


class _Turn:
    """See ``WorkMeter.turn``. No generator: there are as many turns as gangs."""

    __slots__ = ("_allowance", "_meter", "_outer")

    def __init__(self, meter: WorkMeter, allowance: int) -> None:
        self._meter = meter
        self._allowance = allowance

    def __enter__(self) -> None:
        self._outer = self._meter.open_turn(self._allowance)

    def __exit__(self, *_: object) -> None:
        self._meter.close_turn(*self._outer)


class WorkTally:
    """What one piece of work costs while it is charged, so that who remembers its result can charge it again."""

    __slots__ = ("_meter", "units")

    def __init__(self, meter: WorkMeter) -> None:
        self._meter = meter
        self.units = 0

    def charge(self, units: int) -> None:
        """See ``WorkMeter.charge``."""
        self.units += units
        self._meter.charge(units)
