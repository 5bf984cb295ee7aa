"""DeviceState: what claims hold of every pool. Forks share what neither side changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from kai_sched.devices.capacity import Number, narrowed
from kai_sched.devices.pools import PoolKey
from kai_sched.devices.work import WorkMeter
from kai_sched.model.devices import Claim, ClaimAllocation, DeviceResult

_MERGE_ABOVE: Final = 32
_NO_AMOUNTS: Final[Mapping[str, Number]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Shares:
    """What claims hold of a device that takes many allocations."""

    count: int
    consumed: Mapping[str, Number] = field(default_factory=lambda: _NO_AMOUNTS)


@dataclass(frozen=True, slots=True)
class PoolUse:
    """Allocated devices of one pool by name: whole ones with the number of holders, shared ones with amounts."""

    dedicated: Mapping[str, int] = field(default_factory=dict)
    shared: Mapping[str, Shares] = field(default_factory=dict)

    def is_used(self, name: str) -> bool:
        return name in self.dedicated or name in self.shared


UNUSED: Final = PoolUse()


class DeviceState:
    """Holdings by (driver, pool). ``take`` and ``release`` change this state only, never a fork or its origin."""

    __slots__ = ("_base", "_own", "meter")

    def __init__(self, meter: WorkMeter | None = None) -> None:
        self._base: dict[PoolKey, PoolUse] = {}
        self._own: dict[PoolKey, PoolUse] = {}
        self.meter = meter or WorkMeter()

    @classmethod
    def from_claims(cls, claims: Iterable[Claim], meter: WorkMeter | None = None) -> DeviceState:
        """What the allocations of these claims hold. ``meter``: counts the work of a cycle, also what others do."""
        state = cls(meter)
        for claim in claims:
            if claim.allocation is not None:
                state.take(claim.allocation)
        return state

    def fork(self) -> DeviceState:
        """A state that starts equal and goes its own way."""
        if len(self._own) > _MERGE_ABOVE:
            self._base = {**self._base, **self._own}
            self._own = {}
        child = DeviceState(self.meter)
        child._base = self._base
        child._own = dict(self._own)
        return child

    def use_of(self, key: PoolKey) -> PoolUse:
        """The holdings of one pool."""
        use = self._own.get(key)
        return use if use is not None else self._base.get(key, UNUSED)

    def items(self) -> Iterator[tuple[PoolKey, PoolUse]]:
        """Every pool that is or was held."""
        yield from self._own.items()
        yield from ((key, use) for key, use in self._base.items() if key not in self._own)

    def take(self, allocation: ClaimAllocation) -> None:
        """Add an allocation. Devices held for admin access do not count."""
        for result in allocation.results:
            if not result.admin_access:
                key = (result.driver, result.pool)
                self._own[key] = _with_result(self.use_of(key), result, 1)

    def release(self, allocation: ClaimAllocation) -> None:
        """Remove an allocation that was taken."""
        for result in allocation.results:
            if not result.admin_access:
                key = (result.driver, result.pool)
                self._own[key] = _with_result(self.use_of(key), result, -1)


def _with_result(use: PoolUse, result: DeviceResult, sign: int) -> PoolUse:
    if not result.share_id:
        dedicated = dict(use.dedicated)
        count = dedicated.get(result.device, 0) + sign
        if count > 0:
            dedicated[result.device] = count
        else:
            dedicated.pop(result.device, None)
        return PoolUse(dedicated, use.shared)
    shared = dict(use.shared)
    before = shared.get(result.device, Shares(0))
    count = before.count + sign
    if count <= 0:
        shared.pop(result.device, None)
        return PoolUse(use.dedicated, shared)
    consumed = dict(before.consumed)
    for name, amount in result.consumed_capacity:
        consumed[name] = consumed.get(name, 0) + sign * narrowed(amount)
    shared[result.device] = Shares(count, consumed)
    return PoolUse(use.dedicated, shared)
