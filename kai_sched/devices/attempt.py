"""What one search has taken so far, with an undo trail: rolling back restores exactly what was there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kai_sched.devices.capacity import Amounts, NotRepresentable, consumed_amounts, fits_beside
from kai_sched.devices.constraints import ConstraintState, constraint_state
from kai_sched.devices.counters import CounterLedger
from kai_sched.devices.index import DeviceIndex
from kai_sched.devices.pools import Pool, PooledDevice, PoolKey
from kai_sched.devices.refusal import Refused, claim_text
from kai_sched.devices.requests import PreparedClaim, PreparedRequest
from kai_sched.devices.state import DeviceState
from kai_sched.devices.taints import blocking_taint


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """One device given to a request by the search."""

    entry: PooledDevice
    prepared: PreparedRequest
    amounts: Amounts | None
    """What it takes of a device that serves many; None for a whole device."""


@dataclass(slots=True)
class _Sharing:
    """What this attempt holds of a device that serves many."""

    count: int = 0
    consumed: Amounts = field(default_factory=dict)


class Attempt:
    """The mutable side of a search."""

    def __init__(
        self,
        index: DeviceIndex,
        state: DeviceState,
        pools: tuple[Pool, ...],
        claims: tuple[PreparedClaim, ...],
        *,
        bug_compatible: bool,
    ) -> None:
        self._index = index
        self._state = state
        self._bug_compatible = bug_compatible
        self._holders: dict[int, set[int]] = {}
        self._sharing: dict[int, _Sharing] = {}
        self._names_taken: dict[PoolKey, dict[str, int]] = {}
        self._counters = CounterLedger(pools, state, by_pool_name=bug_compatible)
        self._amounts_of: dict[tuple[int, int], Amounts | None] = {}
        self._trail: list[Callable[[], None]] = []
        self.results: list[list[Taken]] = [[] for _ in claims]
        features = index.features
        self._constraints: list[list[ConstraintState]] = [
            [
                constraint_state(
                    entry, has_lists=features.list_type_attributes, bug_compatible=bug_compatible
                )
                for entry in claim.constraints
            ]
            for claim in claims
        ]

    def mark(self) -> int:
        """A point to roll back to."""
        return len(self._trail)

    def rollback(self, mark: int) -> None:
        """Undo everything since the mark, last thing first."""
        while len(self._trail) > mark:
            self._trail.pop()()

    def is_in_use(self, claim: int, prepared: PreparedRequest, entry: PooledDevice) -> bool:
        """Whether the device is out of the question without looking at selectors."""
        if prepared.is_admin:
            return claim in self._holders.get(entry.ordinal, ())
        if self._holders.get(entry.ordinal):
            return True
        use = self._state.use_of(entry.pool_key)
        if entry.name in use.dedicated:
            return True
        if use.shared and not self._bug_compatible and entry.name in use.shared:
            # The driver stopped sharing the device while shares of it are still held: the reference would give it out.
            return not entry.device.allow_multiple_allocations or self._is_alias_used(entry)
        return self._is_alias_used(entry)

    def _is_alias_used(self, entry: PooledDevice) -> bool:
        aliases = () if self._bug_compatible else self._index.aliases_of(entry)
        if not aliases:
            return False
        use = self._state.use_of(entry.pool_key)
        taken = self._names_taken.get(entry.pool_key, {})
        return any(use.is_used(name) or taken.get(name, 0) for name in aliases)

    def has_room(self, claim: PreparedClaim, prepared: PreparedRequest, entry: PooledDevice) -> bool:
        """Whether the device's capacity suffices beside what is held of it.

        Raises:
            Refused: the request cannot be expressed in the device's range.
        """
        if not self._index.features.consumable_capacity:
            return True
        return self._amounts(claim, prepared, entry) is not None

    def _amounts(
        self, claim: PreparedClaim, prepared: PreparedRequest, entry: PooledDevice
    ) -> Amounts | None:
        shares = self._state.use_of(entry.pool_key).shared.get(entry.name)
        if not prepared.request.capacity and (not entry.capacity or (entry.is_whole and shares is None)):
            # All of it, and nobody else has any.
            return {}
        key = (id(prepared), entry.ordinal)
        if key not in self._amounts_of:
            self._amounts_of[key] = self._consumed(claim, prepared, entry)
        amounts = self._amounts_of[key]
        if amounts is None:
            return None
        taken = self._sharing.get(entry.ordinal)
        used = shares.consumed if shares is not None else {}
        return (
            amounts if fits_beside(amounts, entry.capacity, used, taken.consumed if taken else {}) else None
        )

    def _consumed(
        self, claim: PreparedClaim, prepared: PreparedRequest, entry: PooledDevice
    ) -> Amounts | None:
        try:
            return consumed_amounts(
                prepared.request.capacity,
                entry.device.capacity,
                is_fractional=self._index.features.fractional_capacity_range,
            )
        except NotRepresentable as error:
            raise Refused(
                f"claim {claim_text(claim.claim)}, request {prepared.request.name}: checking capacity for device"
                f" {entry.device_id}: {error}",
                request=prepared.name,
                device=entry.device_id,
            ) from None

    def take(
        self, claim_index: int, claim: PreparedClaim, prepared: PreparedRequest, entry: PooledDevice
    ) -> bool:
        """Give the device to the request if counters, taints, constraints and capacity allow; in that order.

        Raises:
            Refused: a constraint forbids a device of an ``All`` request: then no node can satisfy it.
        """
        features = self._index.features
        serves_many = features.consumable_capacity and entry.device.allow_multiple_allocations
        if not (serves_many and prepared.is_admin) and self.is_in_use(claim_index, prepared, entry):
            return False
        if entry.device.unsupported or (
            entry.device.consumes_counters and not features.partitionable_devices
        ):
            return False
        mark = self.mark()
        if not self._take_counters(entry, serves_many=serves_many):
            return False
        if features.device_taints and blocking_taint(entry.taints, prepared.request.tolerations) is not None:
            return self._rejected(mark)
        if not self._add_to_constraints(claim_index, prepared, entry):
            self._rejected(mark)
            if prepared.all_devices is not None:
                raise Refused(
                    f"claim {claim_text(claim.claim)}, request {prepared.request.name}: cannot add device"
                    f" {entry.device_id} because a claim constraint would not be satisfied",
                    request=prepared.name,
                    device=entry.device_id,
                )
            return False
        amounts = self._amounts(claim, prepared, entry) if features.consumable_capacity else {}
        if amounts is None:
            return self._rejected(mark)
        self._record(claim_index, Taken(entry, prepared, amounts if serves_many else None))
        return True

    def _rejected(self, mark: int) -> bool:
        self.rollback(mark)
        return False

    def _take_counters(self, entry: PooledDevice, *, serves_many: bool) -> bool:
        if not entry.device.consumes_counters:
            return True
        # A device that serves many pays its counters once, when it is first used.
        if serves_many and (
            entry.name in self._state.use_of(entry.pool_key).shared or entry.ordinal in self._sharing
        ):
            return True
        if not self._counters.charge(entry):
            return False
        # The table's commit forgets to refund on a rejection, and for devices that serve many.
        if not self._bug_compatible:
            self._trail.append(lambda: self._counters.refund(entry))
        return True

    def _add_to_constraints(self, claim_index: int, prepared: PreparedRequest, entry: PooledDevice) -> bool:
        for constraint in self._constraints[claim_index]:
            if not constraint.add(prepared.name, entry):
                return False
            self._trail.append(lambda constraint=constraint: constraint.remove(prepared.name))  # type: ignore[misc]
        return True

    def _record(self, claim_index: int, taken: Taken) -> None:
        entry = taken.entry
        if taken.amounts is None:
            holders = self._holders.setdefault(entry.ordinal, set())
            holders.add(claim_index)
            self._trail.append(lambda: holders.discard(claim_index))
            if self._bug_compatible and entry.device.consumes_counters:
                self._trail.append(lambda: self._counters.refund(entry))
        else:
            self._share(entry, taken.amounts)
        if self._index.aliases_of(entry):
            names = self._names_taken.setdefault(entry.pool_key, {})
            names[entry.name] = names.get(entry.name, 0) + 1
            self._trail.append(lambda: names.__setitem__(entry.name, names[entry.name] - 1))
        self.results[claim_index].append(taken)
        self._trail.append(lambda: self._drop_result(claim_index))

    def _drop_result(self, claim_index: int) -> None:
        self.results[claim_index].pop()

    def _share(self, entry: PooledDevice, amounts: Amounts) -> None:
        before = self._sharing.get(entry.ordinal)
        consumed = dict(before.consumed) if before is not None else {}
        for name, amount in amounts.items():
            consumed[name] = consumed.get(name, 0) + amount
        self._sharing[entry.ordinal] = _Sharing((before.count if before else 0) + 1, consumed)

        def undo() -> None:
            if before is None:
                del self._sharing[entry.ordinal]
            else:
                self._sharing[entry.ordinal] = before

        self._trail.append(undo)
