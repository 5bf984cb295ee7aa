"""Patterns: which mixtures of partitions one piece of hardware can hold, with a choice of devices for each.

A layout says what each device takes of the hardware's counters. Amounts are packed into one integer with a guard bit
above each field, so that "does it still fit" is one subtraction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm
from typing import Final

from kai_sched.devices.capacity import Number

MAX_SETS: Final = 60_000
"""Sets of devices looked at for one state of one layout; more are not listed at all."""

Choice = tuple[tuple[int, int], ...]
"""(kind, position of the device in the layout) pairs."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """``counts``: partitions of each kind. ``devices``: one way to have them at once."""

    counts: tuple[int, ...]
    devices: Choice


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Hardware whose devices exclude one another through counters; one object for all hardware alike."""

    whole: int
    """All counters full, packed."""
    guards: int
    uses: tuple[int, ...]
    """What each device takes, packed."""
    fractions: tuple[float, ...]
    """The mean part of the counters that each device takes."""
    fields: tuple[tuple[str, int, int], ...]
    """(counter, offset, total) of the counters that there is something of."""
    known: dict[tuple[int, tuple[int, ...]], tuple[Pattern, ...] | None] = field(default_factory=dict)

    @classmethod
    def of(cls, totals: Mapping[str, Number], uses: Sequence[Mapping[str, Number]]) -> Layout:
        """From plain amounts; counters that nobody uses are left out."""
        names = sorted({name for use in uses for name, amount in use.items() if amount})
        scale = lcm(
            *(
                Fraction(amount).denominator
                for name in names
                for amount in (totals.get(name, 0), *(use.get(name, 0) for use in uses))
            )
        )
        offsets: dict[str, int] = {}
        guards = offset = 0
        for name in names:
            largest = max(totals.get(name, 0), *(use.get(name, 0) for use in uses))
            offsets[name] = offset
            offset += int(largest * scale).bit_length() + 1
            guards |= 1 << (offset - 1)

        def packed(amounts: Mapping[str, Number]) -> int:
            return sum(int(amounts.get(name, 0) * scale) << offsets[name] for name in names)

        counted = [name for name in names if totals.get(name, 0)]
        return cls(
            whole=packed(totals),
            guards=guards,
            uses=tuple(packed(use) for use in uses),
            fractions=tuple(
                sum(float(use.get(name, 0) / totals[name]) for name in counted) / max(1, len(counted))
                for use in uses
            ),
            fields=tuple((name, offsets[name], int(totals[name] * scale)) for name in counted),
        )

    def parts(self, amounts: int) -> dict[str, Fraction]:
        """Packed amounts as parts of what the hardware has of each counter."""
        found: dict[str, Fraction] = {}
        for name, offset, total in self.fields:
            guard = self.guards >> offset
            width = (guard & -guard).bit_length() - 1
            found[name] = Fraction(amounts >> offset & ((1 << width) - 1), total)
        return found

    def without(self, left: int, used: int) -> int | None:
        """What remains of ``left`` without an amount; None where there is not so much."""
        rest = (left | self.guards) - used
        return rest & ~self.guards if rest & self.guards == self.guards else None

    def lost(self, left: int, free: int, taken: int) -> float:
        """The summed parts of the free devices that fit before ``taken`` (bits) are taken and not after."""
        after = left
        for position, use in enumerate(self.uses):
            if taken >> position & 1:
                rest = self.without(after, use)
                after = 0 if rest is None else rest
        return sum(
            self.fractions[position]
            for position, use in enumerate(self.uses)
            if (free & ~taken) >> position & 1
            and self.without(left, use) is not None
            and self.without(after, use) is None
        )

    def patterns(self, left: int, masks: tuple[int, ...]) -> tuple[Pattern, ...] | None:
        """Mixtures that no other one contains. ``masks``: bits of the free devices of each kind.

        None where there are too many sets of devices to list.
        """
        key = (left, masks)
        if key not in self.known:
            self.known[key] = self._listed(left, masks)
        return self.known[key]

    def _listed(self, left: int, masks: tuple[int, ...]) -> tuple[Pattern, ...] | None:
        devices = [
            (position, use, tuple(kind for kind, mask in enumerate(masks) if mask >> position & 1))
            for position, use in enumerate(self.uses)
            if any(mask >> position & 1 for mask in masks)
        ]
        found: dict[tuple[int, ...], Choice] = {}
        sets = 0
        stack: list[tuple[int, int, tuple[int, ...], Choice]] = [(0, left, (0,) * len(masks), ())]
        while stack:
            start, rest, counts, chosen = stack.pop()
            found.setdefault(counts, chosen)
            sets += 1
            if sets > MAX_SETS:
                return None
            for number in range(start, len(devices)):
                position, use, kinds = devices[number]
                after = self.without(rest, use)
                if after is None:
                    continue
                for kind in kinds:
                    more = (*counts[:kind], counts[kind] + 1, *counts[kind + 1 :])
                    stack.append((number + 1, after, more, (*chosen, (kind, position))))
        return tuple(_maximal(found))


def _maximal(found: Mapping[tuple[int, ...], Choice]) -> Iterator[Pattern]:
    kept: list[tuple[int, ...]] = []
    for counts in sorted(found, key=lambda one: (-sum(one), one)):
        if not any(all(a <= b for a, b in zip(counts, other, strict=True)) for other in kept):
            kept.append(counts)
            yield Pattern(counts, found[counts])
