"""Closures: what a pod may not have whatever its selectors say, and what it gets all together or not at all.

The allocator knows no reason for either: placement says which devices are closed to a kind of pod, and why. A closure
is known by its number, so that it can be part of the key under which matching devices are remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kai_sched.model.ids import NodeName

OPEN: Final = 0
"""The closure of pods to which nothing is closed."""
_NO_DEVICES: Final[frozenset[int]] = frozenset()


@dataclass(frozen=True, slots=True)
class Closure:
    """``reasons``: device (ordinal) -> why it is closed. ``bundles``: node -> devices that go to one pod together."""

    reasons: Mapping[int, str] = field(default_factory=dict)
    bundles: Mapping[NodeName, frozenset[int]] = field(default_factory=dict)


class ClosureBook:
    """The closures of one fleet; equal ones have one number."""

    def __init__(self) -> None:
        self._closures: list[Closure] = [Closure()]
        self._numbers: dict[
            tuple[frozenset[tuple[int, str]], frozenset[tuple[NodeName, frozenset[int]]]], int
        ]
        self._numbers = {(frozenset(), frozenset()): OPEN}

    def number_of(self, closure: Closure) -> int:
        """The number under which the closure is known from now on."""
        key = (frozenset(closure.reasons.items()), frozenset(closure.bundles.items()))
        number = self._numbers.setdefault(key, len(self._closures))
        if number == len(self._closures):
            self._closures.append(closure)
        return number

    def reason(self, number: int, ordinal: int) -> str:
        """Why a device is closed; "" if it is open."""
        return self._closures[number].reasons.get(ordinal, "")

    def bundle(self, number: int, node: NodeName) -> frozenset[int]:
        """Devices of a node that a pod gets all together, whichever it asks for; empty where there is no such rule."""
        return self._closures[number].bundles.get(node, _NO_DEVICES)
