"""Shared counters of partitionable devices (KEP-4815): what a pool has left, and compatibility groups (KEP-5963)."""

from __future__ import annotations

from collections.abc import Iterable

from kai_sched.devices.capacity import Number
from kai_sched.devices.pools import Counter, Pool, PooledDevice, PoolKey
from kai_sched.devices.state import DeviceState


def available_counters(pool: Pool, state: DeviceState) -> dict[Counter, Number]:
    """What the pool's counters have left beside allocated devices, those of other nodes included. May be negative."""
    left = dict(pool.counters)
    for entry in allocated_devices(pool, state):
        for counter, amount in entry.uses:
            left[counter] -= amount
    return left


def allocated_devices(pool: Pool, state: DeviceState) -> Iterable[PooledDevice]:
    """Devices of the pool that some claim holds, wholly or in part."""
    use = state.use_of(pool.key)
    if not use.dedicated and not use.shared:
        return ()
    places, here = pool.places, len(pool.devices)
    held = (places[name] for name in dict.fromkeys((*use.dedicated, *use.shared)) if name in places)
    return [pool.devices[place] if place < here else pool.others[place - here] for place in held]


class CounterLedger:
    """Counters of a node's pools during one search. ``by_pool_name`` mixes up drivers, as the table's commit does."""

    def __init__(self, pools: Iterable[Pool], state: DeviceState, *, by_pool_name: bool) -> None:
        self._pools = {pool.key: pool for pool in pools}
        self._state = state
        self._by_pool_name = by_pool_name
        self._left: dict[PoolKey, dict[Counter, Number]] = {}
        self._groups: dict[PoolKey, dict[str, list[frozenset[str]]]] = {}

    def charge(self, entry: PooledDevice) -> bool:
        """Take the device's counters; False and nothing taken where they do not suffice."""
        left = self._left_of(entry)
        if not self._is_compatible(entry):
            return False
        for counter, amount in entry.uses:
            left[counter] = left.get(counter, 0) - amount
        # Any counter below zero counts, also one that other devices have overdrawn.
        if min(left.values(), default=0) < 0:
            self._give_back(entry, left)
            return False
        for use in entry.device.consumes_counters:
            self._groups_of(entry).setdefault(use.counter_set, []).append(frozenset(use.compatibility_groups))
        return True

    def refund(self, entry: PooledDevice) -> None:
        """Undo a charge; charges are undone in reverse order."""
        self._give_back(entry, self._left_of(entry))
        for use in entry.device.consumes_counters:
            self._groups_of(entry)[use.counter_set].pop()

    def _key(self, entry: PooledDevice) -> PoolKey:
        return ("", entry.pool) if self._by_pool_name else entry.pool_key

    def _left_of(self, entry: PooledDevice) -> dict[Counter, Number]:
        key = self._key(entry)
        left = self._left.get(key)
        if left is None:
            left = self._left[key] = available_counters(self._pools[entry.pool_key], self._state)
        return left

    def _groups_of(self, entry: PooledDevice) -> dict[str, list[frozenset[str]]]:
        key = self._key(entry)
        groups = self._groups.get(key)
        if groups is None:
            groups = self._groups[key] = {}
            for other in allocated_devices(self._pools[entry.pool_key], self._state):
                for use in other.device.consumes_counters:
                    groups.setdefault(use.counter_set, []).append(frozenset(use.compatibility_groups))
        return groups

    def _give_back(self, entry: PooledDevice, left: dict[Counter, Number]) -> None:
        for counter, amount in entry.uses:
            left[counter] += amount

    def _is_compatible(self, entry: PooledDevice) -> bool:
        """Devices of one counter set must have a group in common, or all have none."""
        groups = self._groups_of(entry)
        for use in entry.device.consumes_counters:
            present = groups.get(use.counter_set)
            if not present:
                continue
            own = frozenset(use.compatibility_groups)
            if not own:
                if any(present):
                    return False
            elif not own.intersection(*present):
                return False
        return True
