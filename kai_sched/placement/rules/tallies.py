"""Tallies: how many pods of a kind sit in each domain. Every dynamic rule reads them.

A tally is counted when it is first read and kept up to date from then on. Books fork cheaply: counts are shared
until one side changes them, and what happened since the snapshot is a linked journal that forks share too.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kai_sched.model.workloads import PodSpec

Codes = NDArray[np.int32]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Pods weighed by ``weigh`` and summed per domain. ``codes``: int32[N], -1: a node that is in no domain.

    ``counts_leaving``: whether pods that are being deleted count.
    """

    codes: Codes
    size: int
    weigh: Callable[[PodSpec], int]
    counts_leaving: bool = True


class Residents(NamedTuple):
    """Pods of one spec that the snapshot has on nodes; a node appears once for each."""

    spec: PodSpec
    nodes: NDArray[np.intp]
    is_leaving: bool


class Catalogue:
    """The tallies known so far and which specs they weigh; one for all books of a cycle."""

    def __init__(self, residents: Iterable[Residents]) -> None:
        self.residents = tuple(residents)
        self._tallies: list[Tally] = []
        self._by_key: dict[Hashable, Tally] = {}
        self._affected: dict[int, tuple[PodSpec, int, list[tuple[Tally, int]]]] = {}

    def tally(self, key: Hashable, make: Callable[[], Tally]) -> Tally:
        """The tally of a key, made on first use."""
        tally = self._by_key.get(key)
        if tally is None:
            tally = make()
            self._by_key[key] = tally
            self._tallies.append(tally)
        return tally

    def affected_by(self, spec: PodSpec) -> list[tuple[Tally, int]]:
        """Tallies that a pod of this spec adds to, with its weight."""
        # The entry holds the spec, so that its id stays its own.
        known = self._affected.get(id(spec))
        found = [] if known is None else known[2]
        start = 0 if known is None else known[1]
        if known is None or start < len(self._tallies):
            for tally in self._tallies[start:]:
                weight = tally.weigh(spec)
                if weight:
                    found.append((tally, weight))
            self._affected[id(spec)] = (spec, len(self._tallies), found)
        return found


class _Event(NamedTuple):
    """One pod that came (+1) or went (-1) after the snapshot, linked to the event before it."""

    before: _Event | None
    spec: PodSpec
    node: int
    is_leaving: bool
    sign: int


class TallyBook:
    """Counts of one view of the world."""

    __slots__ = ("_counts", "_journal", "_owned", "catalogue")

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._counts: dict[Tally, Counts] = {}
        self._owned: set[Tally] = set()
        self._journal: _Event | None = None

    def fork(self) -> TallyBook:
        """A book with the same counts; afterwards the two go their own ways."""
        other = TallyBook(self.catalogue)
        other._counts = dict(self._counts)
        other._journal = self._journal
        self._owned.clear()
        return other

    def counts(self, tally: Tally) -> Counts:
        """int64[size + 1]; the last entry is 0, so that code -1 reads "none". Not to be changed."""
        counts = self._counts.get(tally)
        if counts is None:
            counts = self._count(tally)
            self._counts[tally] = counts
            self._owned.add(tally)
        return counts

    def add(self, spec: PodSpec, node: int, sign: int, *, is_leaving: bool) -> None:
        """A pod comes to a node (+1) or goes from it (-1)."""
        for tally, weight in self.catalogue.affected_by(spec):
            code = int(tally.codes[node])
            if code < 0 or tally not in self._counts or (is_leaving and not tally.counts_leaving):
                continue
            if tally not in self._owned:
                self._counts[tally] = self._counts[tally].copy()
                self._owned.add(tally)
            self._counts[tally][code] += sign * weight
        last = self._journal
        if last is not None and last[1:] == (spec, node, is_leaving, -sign):
            self._journal = last.before
        else:
            self._journal = _Event(last, spec, node, is_leaving, sign)

    def _count(self, tally: Tally) -> Counts:
        counts = np.zeros(tally.size + 1, dtype=np.int64)
        for residents in self.catalogue.residents:
            weight = 0 if residents.is_leaving and not tally.counts_leaving else tally.weigh(residents.spec)
            if weight:
                np.add.at(counts, tally.codes[residents.nodes], weight)
        event = self._journal
        while event is not None:
            if tally.counts_leaving or not event.is_leaving:
                counts[tally.codes[event.node]] += event.sign * tally.weigh(event.spec)
            event = event.before
        counts[-1] = 0
        return counts
