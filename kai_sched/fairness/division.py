"""Divide one resource between sibling queues, by the formula of KAI's proportion plugin.

1. Each queue gets its deserved quota as far as it asks for it, whatever its priority; where quotas are oversold
   this gives away more than there is, and nothing is left to divide.
2. What is left goes by priority, highest first, inside one priority by over-quota weight in rounds: a queue that
   wants less than its part gets what it wants and the rest is divided again; the others get whole units.
3. What rounding held back goes out one unit each, largest remainder first, then the older queue.

All amounts are integers (see ``exact``) and remainders are fractions, so equal parts tie exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from math import lcm


@dataclass(slots=True, kw_only=True)
class Claimant:
    """One queue's claim on one resource; ``share`` is the result."""

    wanted: int
    """What it asks for, at most its limit."""
    deserved: int
    """Its quota; an unlimited one is all there is to divide."""
    weight: float = 0.0
    priority: int = 100
    seniority: tuple[float, str] = (0.0, "")
    """(creation, uid): the smaller wins a tie."""
    past_usage: float = 0.0
    """Part of the cluster it used lately, 0..1; lowers its weight."""
    share: int = 0


Remainder = tuple[Fraction, Claimant]


def divide(claimants: Sequence[Claimant], room: int, *, whole: int, k_value: float = 1.0) -> None:
    """Set the share of every claimant."""
    left = room - give_deserved(claimants)
    by_priority = sorted(claimants, key=lambda claimant: (-claimant.priority, claimant.seniority))
    held_back: list[list[Remainder]] = []
    for _, group in groupby(by_priority, key=lambda claimant: claimant.priority):
        left, remainders = share_surplus(list(group), left, whole, k_value)
        held_back.append(remainders)
    for remainders in held_back:
        left = hand_out(remainders, left, whole)


def give_deserved(claimants: Iterable[Claimant]) -> int:
    """Give everyone what it asks for up to its quota; returns the sum."""
    for claimant in claimants:
        claimant.share = min(claimant.deserved, claimant.wanted)
    return sum(claimant.share for claimant in claimants)


def share_surplus(
    group: Sequence[Claimant], left: int, whole: int, k_value: float
) -> tuple[int, list[Remainder]]:
    """Divide among queues of one priority by weight; returns what is left and the parts rounded off."""
    remainders: dict[int, Remainder] = {}
    pull = _Pull(group, k_value)
    goes_on = True
    while goes_on and left > 0:
        hungry = [index for index, claimant in enumerate(group) if claimant.share < claimant.wanted]
        weights = pull.of(hungry)
        total = sum(weights)
        goes_on = False
        at_start = left
        for index, weight in zip(hungry, weights, strict=True):
            claimant = group[index]
            missing = claimant.wanted - claimant.share
            part = at_start * weight  # in units of 1/total
            if weight == 0:
                continue
            if missing * total <= part:
                given = missing
                remainders.pop(index, None)
                goes_on = goes_on or missing * total < part
            else:
                given = part // (total * whole) * whole
                if rest := part - given * total:
                    remainders[index] = (Fraction(rest, total), claimant)
            claimant.share += given
            left -= given
    return left, list(remainders.values())


def hand_out(remainders: Iterable[Remainder], left: int, whole: int) -> int:
    """Give one unit to each in turn, largest remainder first; returns what is left."""
    for _, claimant in sorted(remainders, key=lambda item: (-item[0], item[1].seniority)):
        given = min(whole, max(left, 0))
        claimant.share += given
        left -= given
    return left


class _Pull:
    """Each queue's pull on the surplus: its weight, less what it used lately.

    With nW the weight normalised over the queues still hungry: ``max(0, nW + k * (nW - past usage))``. Kept as
    integers over one denominator: only proportions matter.
    """

    __slots__ = ("_fading", "_growth", "_weights")

    def __init__(self, group: Sequence[Claimant], k_value: float) -> None:
        k = Fraction(max(k_value, 0.0))
        self._weights = _to_integers([Fraction(claimant.weight) for claimant in group])
        factors = _to_integers([1 + k, *(k * Fraction(claimant.past_usage) for claimant in group)])
        self._growth, self._fading = factors[0], factors[1:]

    def of(self, hungry: Sequence[int]) -> list[int]:
        total = sum(self._weights[index] for index in hungry)
        return [max(0, self._weights[index] * self._growth - self._fading[index] * total) for index in hungry]


def _to_integers(fractions: Sequence[Fraction]) -> list[int]:
    common = lcm(*(fraction.denominator for fraction in fractions))
    return [fraction.numerator * (common // fraction.denominator) for fraction in fractions]
