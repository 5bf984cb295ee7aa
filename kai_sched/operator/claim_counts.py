"""What claims count as GPUs by device class, without an index of the whole fleet.

The rule is that of quotas (``planning.gpu_counting``); here it is asked of the few pools that the claims of one group
have devices in.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Final

from kai_sched.devices.index import DeviceIndex
from kai_sched.model.devices import (
    AllocationMode,
    Claim,
    ClaimAllocation,
    ClaimSpec,
    DeviceRequest,
    DeviceResult,
    ResourceSlice,
)
from kai_sched.model.ids import ClaimKey, Uid
from kai_sched.model.policy import GpuClassRule
from kai_sched.model.snapshot import Fleet
from kai_sched.planning.gpu_counting import GpuCounting

Sums = dict[str, Fraction]
"""Amounts by resource."""
_Pool = tuple[str, str]
"""(driver, pool)."""
_Sight = tuple[Uid, str, tuple[DeviceResult, ...]]
"""uid, resourceVersion and devices of a claim; the claim itself, with its texts, is not kept when it is gone."""
_THOUSANDTHS: Final = 1000
_MOST_CLAIMS: Final = 20_000
_MOST_POOLS: Final = 1000
"""Kept at a time, that memory stays bounded."""


class ClassCounts:
    """What claims count by device class. Kept from cycle to cycle: only pools that changed are read again.

    A waiting claim counts by its requests alone, without a look at the fleet: a partition 1, mode ``All`` one device.
    """

    def __init__(self, rules: tuple[GpuClassRule, ...]) -> None:
        self._rules = rules
        self._unseen = GpuCounting(DeviceIndex((), ()), rules)
        self._slices: tuple[ResourceSlice, ...] = ()
        self._pools: dict[_Pool, list[ResourceSlice]] = {}
        self._by_pool: dict[_Pool, GpuCounting] = {}
        self._by_claim: dict[ClaimKey, tuple[_Sight, Sums]] = {}

    def use(self, fleet: Fleet) -> None:
        """Count by this fleet from now on."""
        if fleet.slices is self._slices:
            return
        before, self._pools = self._pools, {}
        for published in fleet.slices:
            self._pools.setdefault((published.driver, published.pool), []).append(published)
        self._by_pool = {
            pool: known for pool, known in self._by_pool.items() if before.get(pool) == self._pools.get(pool)
        }
        self._slices = fleet.slices
        self._by_claim.clear()

    def of_claim(self, claim: Claim) -> Sums:
        """GPUs by device class: of its devices once it has them, until then of what it asks for."""
        known, sight = self._by_claim.get(claim.key), _sight_of(claim)
        if known is not None and known[0] == sight:
            return known[1]
        sums = self._asked(claim.spec) if claim.allocation is None else self._held(claim, claim.allocation)
        if len(self._by_claim) >= _MOST_CLAIMS:
            self._by_claim.clear()
        self._by_claim[claim.key] = (sight, sums)
        return sums

    def _asked(self, spec: ClaimSpec) -> Sums:
        sums: Sums = {}
        for request in spec.requests:
            options = [(self._of_request(one), one) for one in request.first_available or (request,)]
            count, chosen = max(options, key=lambda option: option[0])
            add(sums, chosen.device_class, count)
        return sums

    def _of_request(self, request: DeviceRequest) -> Fraction:
        count = 1 if request.mode == AllocationMode.ALL else request.count
        plain = DeviceRequest(
            name="", device_class=request.device_class, count=count, admin_access=request.admin_access
        )
        return _exact(self._unseen.of_spec(ClaimSpec(requests=(plain,))))

    def _held(self, claim: Claim, allocation: ClaimAllocation) -> Sums:
        classes = _class_by_request(claim.spec)
        alike: dict[tuple[_Pool, str], list[DeviceResult]] = {}
        for result in allocation.results:
            place = ((result.driver, result.pool), classes.get(result.request, ""))
            alike.setdefault(place, []).append(result)
        sums: Sums = {}
        for (pool, name), results in alike.items():
            part = replace(claim, allocation=ClaimAllocation(results=tuple(results)))
            add(sums, name, _exact(self._counting_of(pool).of_claim(part)))
        return sums

    def _counting_of(self, pool: _Pool) -> GpuCounting:
        known = self._by_pool.get(pool)
        if known is None:
            if len(self._by_pool) >= _MOST_POOLS:
                self._by_pool.clear()
            index = DeviceIndex(self._pools.get(pool, ()), ())
            known = self._by_pool[pool] = GpuCounting(index, self._rules)
        return known


def _sight_of(claim: Claim) -> _Sight:
    return claim.uid, claim.resource_version, claim.allocation.results if claim.allocation is not None else ()


def add(sums: Sums, name: str, amount: Fraction) -> None:
    """Count an amount; zeros are not listed."""
    if amount:
        sums[name] = sums.get(name, Fraction(0)) + amount


def _exact(count: float) -> Fraction:
    """Parts of devices must not look like a change by the noise of floats."""
    return Fraction(round(count * _THOUSANDTHS), _THOUSANDTHS)


def _class_by_request(spec: ClaimSpec) -> dict[str, str]:
    """Device class by the name that results have for a request."""
    found: dict[str, str] = {}
    for request in spec.requests:
        found[request.name] = request.device_class
        for entry in request.first_available:
            found[f"{request.name}/{entry.name}"] = entry.device_class
    return found
