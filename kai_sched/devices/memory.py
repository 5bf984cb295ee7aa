"""Memory: what is remembered of one fleet from one search, cycle and snapshot to the next, in one place and within bounds.

Everything here is a function of the fleet and of what was asked, so it never changes an answer: forgetting it costs time
only. What users write is part of the questions (selectors, claims), and users come and go: each part says how much it may
hold, and begins anew when that is full.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")


class DeviceMemory:
    """The parts, each made when it is first asked for. One for each fleet."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: dict[Callable[..., Any], Any] = {}

    def part(self, kind: Callable[..., T], *arguments: object) -> T:
        """The part of a kind; ``arguments``: what it is made of."""
        found = self._parts.get(kind)
        if found is None:
            found = self._parts[kind] = kind(*arguments)
        part: T = found
        return part


class Kept(Generic[K, V]):
    """Answers by question, at most so many (or of so much weight): then all are forgotten."""

    __slots__ = ("_answers", "_most", "_weight")

    def __init__(self, most: int) -> None:
        self._most = most
        self._weight = 0
        self._answers: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, question: K) -> V | None:
        """The answer; None where it is not known."""
        return self._answers.get(question)

    def keep(self, question: K, answer: V, weight: int = 1) -> V:
        """Remember an answer, which is handed back."""
        if self._weight + weight > self._most:
            self._answers.clear()
            self._weight = 0
        self._weight += weight
        self._answers[question] = answer
        return answer
