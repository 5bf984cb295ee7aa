"""Damage: what taking parts of shared hardware (MIG) takes away from others, beyond the parts themselves.

A one-slot partition in the middle of a GPU forbids more of the large ones than one at its end. Each other device that
could be had before and cannot after counts by the part of the hardware that it is.
"""

from __future__ import annotations

from collections.abc import Iterable

from kai_sched.devices.boxes import Box
from kai_sched.devices.index import DeviceIndex
from kai_sched.devices.partitions import partitions_of
from kai_sched.devices.pools import PooledDevice
from kai_sched.devices.state import DeviceState


class Damage:
    """Seen from one state of the devices. Hardware that is no box is never damaged."""

    def __init__(self, index: DeviceIndex, state: DeviceState) -> None:
        self._partitions = partitions_of(index)
        self._state = state
        self._left: dict[Box, tuple[int, int]] = {}

    def can_be_had(self, entry: PooledDevice) -> bool:
        """Whether the counters that a free device needs are left."""
        home = self._partitions.home_of.get(entry.ordinal)
        if home is None:
            return True
        box, position = home
        left, free = self._now(box)
        return bool(free >> position & 1) and box.layout.without(left, box.layout.uses[position]) is not None

    def lost(self, chosen: Iterable[PooledDevice]) -> float:
        """The devices that nobody could have any more, by size: 1 is a whole piece of hardware."""
        bits: dict[Box, int] = {}
        for entry in chosen:
            home = self._partitions.home_of.get(entry.ordinal)
            if home is not None and len(home[0].devices) > 1:
                bits[home[0]] = bits.get(home[0], 0) | 1 << home[1]
        return sum(self._partitions.lost(box.layout, *self._now(box), mask) for box, mask in bits.items())

    def _now(self, box: Box) -> tuple[int, int]:
        known = self._left.get(box)
        if known is None:
            known = self._left[box] = box.left(self._state)
        return known
