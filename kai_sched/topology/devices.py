"""Preference among devices of one node: close together first, then least damage to bigger requests to come.

A cost is a tuple, compared from the left; the smaller is better:

1. NVLink islands, NUMA nodes, PCIe roots that the chosen devices touch;
2. free devices left on the boards they touch (a GPU that is partitioned already is used up first), then in the
   islands, NUMA nodes and PCIe roots (what is nearly full is filled, what is whole stays whole).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from math import comb
from typing import Final

from kai_sched.model.devices import Device
from kai_sched.topology.places import place_of

Located = tuple[str, Device]
"""(driver, device)."""
Cost = tuple[float, ...]
Spots = tuple[str, str, str, str]
"""Board, island, NUMA node and PCIe root of a device."""
Pattern = tuple[tuple[int, ...], ...]
"""Where devices sit, by position: its spots, numbered as they first appear."""

_KINDS: Final = 4
_MOST_SETS: Final = 3000


class DevicePreference:
    """The cost of taking some devices of a node. Places and best sets are remembered for as long as it lives."""

    def __init__(self, island_attributes: Sequence[str]) -> None:
        self._island_attributes = tuple(island_attributes)
        self._spots: dict[int, tuple[Device, Spots]] = {}
        self._best: dict[tuple[Pattern, int], tuple[int, ...]] = {}

    def __call__(self, free: Sequence[Located]) -> Callable[[Sequence[Located]], Cost]:
        """The cost of devices chosen where these are free, as a function of them; those chosen do not stay free."""
        counts: list[Counter[object]] = [Counter() for _ in range(_KINDS)]
        is_free = {id(device) for _, device in free}
        for driver, device in free:
            for counter, value in zip(counts, self._spots_of(driver, device), strict=True):
                counter[value] += 1

        def cost(chosen: Sequence[Located]) -> Cost:
            spots = [self._spots_of(driver, device) for driver, device in chosen]
            return _cost(counts, spots, sum(id(device) in is_free for _, device in chosen))

        return cost

    def best(self, free: Sequence[Located], count: int) -> tuple[int, ...]:
        """Positions of the ``count`` free devices that cost least; the first in order among equals."""
        pattern = self.pattern(free)
        known = self._best.get((pattern, count))
        if known is None:
            known = self._best[pattern, count] = _best_of(pattern, count)
        return known

    def pattern(self, devices: Iterable[Located]) -> Pattern:
        """How devices lie to each other: nodes alike have equal patterns, whatever their devices are called."""
        boards: dict[str, int] = {}
        islands: dict[str, int] = {}
        numa_nodes: dict[str, int] = {}
        pcie_roots: dict[str, int] = {}
        pattern: list[tuple[int, ...]] = []
        for driver, device in devices:
            board, island, numa, root = self._spots_of(driver, device)
            pattern.append(
                (
                    boards.setdefault(board, len(boards)),
                    islands.setdefault(island, len(islands)),
                    numa_nodes.setdefault(numa, len(numa_nodes)),
                    pcie_roots.setdefault(root, len(pcie_roots)),
                )
            )
        return tuple(pattern)

    def _spots_of(self, driver: str, device: Device) -> Spots:
        known = self._spots.get(id(device))
        if known is None:
            place = place_of(driver, device, self._island_attributes)
            # The device is kept with its spots, so that its id is not given to another.
            known = (device, (place.board, place.island, place.numa, place.pcie_root))
            self._spots[id(device)] = known
        return known[1]


def _cost(counts: Sequence[Counter[object]], spots: Sequence[Sequence[object]], gone: int) -> Cost:
    touched = [set(values) for values in zip(*spots, strict=True)]
    left = (
        sum(counter[value] for value in values) - gone
        for counter, values in zip(counts, touched, strict=True)
    )
    return (*(len(values) for values in touched[1:]), *left)


def _best_of(pattern: Pattern, count: int) -> tuple[int, ...]:
    counts: list[Counter[object]] = [Counter(values) for values in zip(*pattern, strict=True)]

    def cost_of(chosen: Sequence[int]) -> Cost:
        return _cost(counts, [pattern[position] for position in chosen], len(chosen))

    everything = range(len(pattern))
    if comb(len(pattern), count) <= _MOST_SETS:
        return min(combinations(everything, count), key=cost_of)
    return min(_grown(everything, count, cost_of), key=cost_of)


def _grown(
    everything: Sequence[int], count: int, cost_of: Callable[[Sequence[int]], Cost]
) -> Iterable[tuple[int, ...]]:
    """From each device on, the cheapest next one until the set is full."""
    for seed in everything:
        chosen = [seed]
        while len(chosen) < count:
            rest = [position for position in everything if position not in chosen]
            chosen.append(min(rest, key=lambda position: cost_of((*chosen, position))))
        yield tuple(sorted(chosen))


def preferred_ordinals(free: Sequence[int], count: int) -> tuple[int, ...]:
    """Which GPUs of a device plugin to take: neighbours, from the shortest run of free ones that holds them all.

    Without attributes the order of the ordinals is all there is to go by: pairs and fours that start at a multiple of
    their size mostly share a switch. Where no run is long enough, the lowest ones are taken.
    """
    ordinals = sorted(free)
    block = 1 << max(count - 1, 0).bit_length()
    windows = [
        (first % block != 0, len(run), first)
        for run in _runs(ordinals)
        for first in run[: len(run) - count + 1]
    ]
    if not windows:
        return tuple(ordinals[:count])
    first = min(windows)[2]
    return tuple(range(first, first + count))


def _runs(ordinals: Sequence[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for ordinal in ordinals:
        if runs and runs[-1][-1] == ordinal - 1:
            runs[-1].append(ordinal)
        else:
            runs.append([ordinal])
    return runs
