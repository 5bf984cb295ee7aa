"""Preference among devices of one node: close together first, then least damage to bigger requests to come.

A cost is a tuple, compared from the left; the smaller is better:

1. NVLink islands, NUMA nodes, PCIe roots that the chosen devices touch;
2. free devices left on the boards they touch (a GPU that is partitioned already is used up first), then in the
   islands, NUMA nodes and PCIe roots (what is nearly full is filled, what is whole stays whole).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
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
_MOST_SEEDS: Final = 40
_MOST_LOOKS: Final = 20_000
"""Next devices that are looked at before the first set found stands."""
_MOST_REMEMBERED: Final = 20_000


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
            if len(self._best) >= _MOST_REMEMBERED:
                self._best.clear()
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

    def places(self, devices: Iterable[Located]) -> list[Spots]:
        """Where each device lies; where two are equal, either costs the same."""
        return [self._spots_of(driver, device) for driver, device in devices]

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
    return min(_grown(pattern, count, counts), key=cost_of)


def _grown(pattern: Pattern, count: int, counts: Sequence[Counter[object]]) -> Iterator[tuple[int, ...]]:
    """From each kind of device on, the cheapest next one until the set is full.

    Devices in one place are alike, so only the first of them is looked at. What adding one costs is told by the places
    that it opens.
    """
    kinds: dict[tuple[int, ...], list[int]] = {}
    for position, spots in enumerate(pattern):
        kinds.setdefault(spots, []).append(position)
    looks = 0
    for first in list(kinds)[:_MOST_SEEDS]:
        used = Counter({first: 1})
        chosen = [kinds[first][0]]
        touched: list[set[int]] = [{spot} for spot in first]
        while len(chosen) < count:
            looks += len(kinds)
            rest = [spots for spots, members in kinds.items() if used[spots] < len(members)]
            best = min(rest, key=lambda spots: (_added(spots, touched, counts), kinds[spots][used[spots]]))
            chosen.append(kinds[best][used[best]])
            used[best] += 1
            for spot, places in zip(best, touched, strict=True):
                places.add(spot)
        yield tuple(sorted(chosen))
        if looks > _MOST_LOOKS:
            return


def _added(
    spots: tuple[int, ...], touched: Sequence[set[int]], counts: Sequence[Counter[object]]
) -> tuple[int, ...]:
    """By how much a device in these places makes a set dearer; see ``_cost``."""
    opened = [spot not in places for spot, places in zip(spots, touched, strict=True)]
    left = (
        counter[spot] if is_new else 0 for spot, is_new, counter in zip(spots, opened, counts, strict=True)
    )
    return (*(int(is_new) for is_new in opened[1:]), *left)


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
        for first in run[: max(0, len(run) - count + 1)]
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
