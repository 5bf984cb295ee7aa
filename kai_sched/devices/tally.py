"""Tally: the devices of some nodes counted for one request, so that a refusal can say what left how many of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from kai_sched.devices.capacity import NotRepresentable, consumed_amounts, fits_beside
from kai_sched.devices.closures import OPEN
from kai_sched.devices.damage import Damage
from kai_sched.devices.index import EXPENSIVE, DeviceIndex
from kai_sched.devices.pools import Pool, PooledDevice, PoolKey
from kai_sched.devices.state import DeviceState
from kai_sched.devices.taints import blocking_taint
from kai_sched.model.devices import DeviceRequest
from kai_sched.model.nodes import Node


@dataclass(slots=True)
class DeviceCounts:
    """Devices of some nodes for one request, each counted once however many nodes reach it."""

    total: int = 0
    of_class: int = 0
    matching: int = 0
    closed: Counter[str] = field(default_factory=Counter)
    """Matching ones that are closed to the pod, by reason."""
    tainted: int = 0
    """Matching ones that the request does not tolerate."""
    short: int = 0
    """Matching ones that have not the capacity asked for left."""
    free: int = 0
    """Matching ones that the request could have."""
    unusable: dict[PoolKey, Pool] = field(default_factory=dict)
    """Pools that are being updated or invalid."""
    unsupported: set[str] = field(default_factory=set)
    """Fields of matching devices that nobody here can honour: such devices are left alone."""
    matching_on: list[int] = field(default_factory=list)
    """By node: matching ones."""
    free_on: list[list[PooledDevice]] = field(default_factory=list)
    """By node: free ones."""

    @property
    def best(self) -> int:
        """The most free ones on one node."""
        return max(map(len, self.free_on), default=0)


def count_devices(
    index: DeviceIndex, state: DeviceState, nodes: Sequence[Node], request: DeviceRequest, closure: int = OPEN
) -> DeviceCounts:
    """Count the devices of these nodes for one request of a pod with that closure."""
    tally = _Tally(index, state, request, closure)
    for node in nodes:
        tally.add(index.pools_of(node))
    return tally.counts


class _Tally:
    def __init__(self, index: DeviceIndex, state: DeviceState, request: DeviceRequest, closure: int) -> None:
        self._index = index
        self._state = state
        self._request = request
        self._closure = closure
        self._damage = Damage(index, state)
        self._seen: set[int] = set()
        self._expensive: set[tuple[str, ...]] = set()
        self.counts = DeviceCounts()

    def add(self, pools: Sequence[Pool]) -> None:
        """One node more."""
        free: list[PooledDevice] = []
        matching = 0
        for pool in pools:
            if pool.is_incomplete or pool.invalid_reason:
                self.counts.unusable.setdefault(pool.key, pool)
            for entry in pool.devices:
                is_new = entry.ordinal not in self._seen
                self._seen.add(entry.ordinal)
                self.counts.total += is_new
                if entry.ordinal in pool.unreachable or not self._matches(entry, is_new=is_new):
                    continue
                matching += 1
                if self._is_free(entry, is_new=is_new):
                    free.append(entry)
        self.counts.matching_on.append(matching)
        self.counts.free_on.append(free)

    def _matches(self, entry: PooledDevice, *, is_new: bool) -> bool:
        request, counts = self._request, self.counts
        if request.device_class not in self._index.classes:
            return False
        # Selectors are asked together with the class's: where all are met, that is one question.
        verdict = self._verdict(entry, request.selectors)
        is_of_class = verdict is True or self._verdict(entry, ()) is not False
        counts.of_class += is_new and is_of_class
        if not is_of_class or verdict is False:
            return False
        counts.matching += is_new
        reason = self._index.closures.reason(self._closure, entry.ordinal)
        if reason:
            counts.closed[reason] += is_new
        return not reason

    def _verdict(self, entry: PooledDevice, selectors: tuple[str, ...]) -> bool | None:
        """Whether the device passes the class's selectors and these; None where telling is expensive."""
        if selectors in self._expensive:
            return None
        verdict = self._index.verdict_on((self._request.device_class, selectors, OPEN), entry)
        if verdict is EXPENSIVE:
            # Telling for every device would hold the cycle, so it is not held against them.
            self._expensive.add(selectors)
            return None
        return not isinstance(verdict, str) and verdict.is_match

    def _is_free(self, entry: PooledDevice, *, is_new: bool) -> bool:
        counts = self.counts
        if entry.device.unsupported:
            counts.unsupported.update(entry.device.unsupported)
            return False
        if blocking_taint(entry.taints, self._request.tolerations) is not None:
            counts.tainted += is_new
            return False
        use = self._state.use_of(entry.pool_key)
        if entry.name in use.dedicated or not self._damage.can_be_had(entry):
            return False
        if not self._has_capacity(entry):
            counts.short += is_new
            return False
        counts.free += is_new
        return True

    def _has_capacity(self, entry: PooledDevice) -> bool:
        shares = self._state.use_of(entry.pool_key).shared.get(entry.name)
        if not self._request.capacity and (not entry.capacity or (entry.is_whole and shares is None)):
            return True
        try:
            amounts = consumed_amounts(
                self._request.capacity,
                entry.device.capacity,
                is_fractional=self._index.features.fractional_capacity_range,
            )
        except NotRepresentable:
            return False
        used = shares.consumed if shares is not None else {}
        return amounts is not None and fits_beside(amounts, entry.capacity, used, {})
