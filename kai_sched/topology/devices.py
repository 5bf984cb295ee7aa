"""Preference among devices of one node: close together first, then least damage to bigger requests to come.

A cost is a tuple, compared from the left; the smaller is better:

1. NVLink islands, NUMA nodes, PCIe roots that the chosen devices touch;
2. free devices left on the boards they touch (a GPU that is partitioned already is used up first), then in the
   islands, NUMA nodes and PCIe roots (what is nearly full is filled, what is whole stays whole).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from kai_sched.model.devices import Device
from kai_sched.topology.places import DevicePlace, place_of

Located = tuple[str, Device]
"""(driver, device)."""


class DevicePreference:
    """The cost of taking some devices of a node; pure, places are remembered by device."""

    def __init__(self, island_attributes: Sequence[str]) -> None:
        self._island_attributes = tuple(island_attributes)
        self._places: dict[int, tuple[Device, DevicePlace]] = {}

    def __call__(self, free: Sequence[Located]) -> Callable[[Sequence[Located]], tuple[float, ...]]:
        """The cost of devices chosen where these are free, as a function of them; those chosen do not stay free."""
        counts: list[Counter[object]] = [Counter() for _ in range(4)]
        is_free = {id(device) for _, device in free}
        for driver, device in free:
            for counter, value in zip(counts, _spots(self._place(driver, device)), strict=True):
                counter[value] += 1

        def cost(chosen: Sequence[Located]) -> tuple[float, ...]:
            touched: list[set[object]] = [set() for _ in counts]
            gone = 0
            for driver, device in chosen:
                gone += id(device) in is_free
                for spots, value in zip(touched, _spots(self._place(driver, device)), strict=True):
                    spots.add(value)
            left = (
                sum(counter[value] for value in spots) - gone
                for counter, spots in zip(counts, touched, strict=True)
            )
            return (*(len(spots) for spots in touched[1:]), *left)

        return cost

    def _place(self, driver: str, device: Device) -> DevicePlace:
        known = self._places.get(id(device))
        if known is None:
            # The device is kept with its place, so that its id is not given to another.
            known = (device, place_of(driver, device, self._island_attributes))
            self._places[id(device)] = known
        return known[1]


def _spots(place: DevicePlace) -> tuple[object, ...]:
    return place.board, place.island, place.numa, place.pcie_root


def preferred_ordinals(free: Sequence[int], count: int) -> tuple[int, ...]:
    """Which GPUs of a device plugin to take: neighbours, from the shortest run of free ones that holds them all.

    Without attributes the order of the ordinals is all there is to go by. Where no run is long enough, the lowest
    ones are taken.
    """
    runs: list[list[int]] = []
    for ordinal in sorted(free):
        if runs and runs[-1][-1] == ordinal - 1:
            runs[-1].append(ordinal)
        else:
            runs.append([ordinal])
    long_enough = [run for run in runs if len(run) >= count]
    if not long_enough:
        return tuple(sorted(free)[:count])
    return tuple(min(long_enough, key=len)[:count])
