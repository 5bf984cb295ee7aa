"""Boxes: the hardware behind one counter set, with the devices that it can be cut into.

A device without counters is a box of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kai_sched.devices.capacity import Number
from kai_sched.devices.index import DeviceIndex
from kai_sched.devices.patterns import Layout
from kai_sched.devices.pools import Pool, PooledDevice, PoolKey
from kai_sched.devices.state import DeviceState

ITSELF: Final = ""
"""The counter of a device that has none: it can be had once."""


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """``devices`` in the layout's order."""

    pool_key: PoolKey
    devices: tuple[PooledDevice, ...]
    layout: Layout
    takes: Mapping[str, Sequence[tuple[int, int]]]
    """By name what holding a device takes: (its bit, counters); bit 0: no device of the box, but of its counters."""

    @classmethod
    def of(
        cls,
        pool_key: PoolKey,
        devices: Sequence[PooledDevice],
        layout: Layout,
        odd: Iterable[tuple[str, int]] = (),
    ) -> Box:
        """``odd``: names and amounts of others that take from the same counters."""
        takes: dict[str, list[tuple[int, int]]] = {}
        for position, (entry, amount) in enumerate(zip(devices, layout.uses, strict=True)):
            takes.setdefault(entry.name, []).append((1 << position, amount))
        for name, amount in odd:
            takes.setdefault(name, []).append((0, amount))
        return cls(pool_key, tuple(devices), layout, takes)

    def is_whole(self, state: DeviceState) -> bool:
        """Whether it can be cut and nothing of it is taken. A device without counters is no loss to others."""
        return bool(self.devices[0].uses) and self.left(state)[0] == self.layout.whole

    def left(self, state: DeviceState) -> tuple[int, int]:
        """(counters left, bits of the devices still free); nothing is left of overdrawn counters."""
        use = state.use_of(self.pool_key)
        left, free = self.layout.whole, (1 << len(self.devices)) - 1
        if not use.dedicated and not use.shared:
            return left, free
        names = use.dedicated if not use.shared else {**use.dedicated, **use.shared}
        taken = [part for name in names for part in self.takes.get(name, ())]
        for bit, amount in taken:
            rest = self.layout.without(left, amount)
            if rest is None:
                return 0, 0
            left, free = rest, free & ~bit
        return left, free


class Boxing:
    """Sorts the devices of one fleet's pools into boxes. Boxes that are made alike have one layout."""

    def __init__(self, index: DeviceIndex) -> None:
        self._index = index
        self._layouts: dict[object, Layout] = {}
        self.odd: set[int] = set()
        """Ordinals of devices that fit in no box."""

    def boxes(self, pool: Pool) -> Iterable[Box]:
        """The pool's devices by what they share."""
        sets: dict[str, list[PooledDevice]] = {}
        for entry in pool.devices:
            if not self._is_plain_piece(pool, entry):
                self.odd.add(entry.ordinal)
            elif entry.device.consumes_counters:
                sets.setdefault(entry.device.consumes_counters[0].counter_set, []).append(entry)
            else:
                yield Box.of(pool.key, (entry,), self._layout({ITSELF: 1}, [{ITSELF: 1}]))
        for name, entries in sets.items():
            totals = {counter: amount for (owner, counter), amount in pool.counters.items() if owner == name}
            odd = [
                entry
                for entry in pool.devices
                if entry.ordinal in self.odd and any(owner == name for (owner, _), _ in entry.uses)
            ]
            uses = [
                {counter: amount for (owner, counter), amount in entry.uses if owner == name}
                for entry in (*entries, *odd)
            ]
            layout = self._layout(totals, uses)
            count = len(entries)
            # The odd ones only lower what is left, they are no choice.
            own = layout if not odd else self._shortened(layout, count)
            names = (entry.name for entry in odd)
            yield Box.of(pool.key, entries, own, zip(names, layout.uses[count:], strict=True))

    def _layout(self, totals: dict[str, Number], uses: list[dict[str, Number]]) -> Layout:
        key = (tuple(sorted(totals.items())), tuple(tuple(sorted(use.items())) for use in uses))
        layout = self._layouts.get(key)
        if layout is None:
            layout = self._layouts[key] = Layout.of(totals, uses)
        return layout

    def _shortened(self, layout: Layout, count: int) -> Layout:
        key = (layout, count)
        short = self._layouts.get(key)
        if short is None:
            short = Layout(
                layout.whole, layout.guards, layout.uses[:count], layout.fractions[:count], layout.fields
            )
            self._layouts[key] = short
        return short

    def _is_plain_piece(self, pool: Pool, entry: PooledDevice) -> bool:
        device = entry.device
        return (
            bool(entry.published_in.node_name)
            and not pool.others
            and entry.is_whole
            and not device.unsupported
            and not device.binding_conditions
            and len(device.consumes_counters) <= 1
            and not any(use.compatibility_groups for use in device.consumes_counters)
            and not self._index.aliases_of(entry)
        )
