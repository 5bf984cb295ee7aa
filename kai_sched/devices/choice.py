"""Device choice ``topology``: among the sets of devices that serve a request, the one that lies best together.

The verdict is the reference's, found first; then each request in turn may trade its devices for a better set that
passes the same checks. Ties stay with the reference's order.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import comb
from typing import Final, Protocol

from kai_sched.devices.attempt import Attempt, Taken
from kai_sched.devices.damage import Damage
from kai_sched.devices.index import DeviceIndex
from kai_sched.devices.pools import Pool, PooledDevice, PoolKey
from kai_sched.devices.refusal import Refused
from kai_sched.devices.requests import PreparedClaim, PreparedRequest, Selection
from kai_sched.devices.state import DeviceState
from kai_sched.model.devices import Device

Located = tuple[str, Device]
"""(driver, device)."""
Cost = tuple[float, ...]


class DevicePreference(Protocol):
    """What makes one set of devices better than another."""

    def __call__(self, free: Sequence[Located], /) -> Callable[[Sequence[Located]], Cost]:
        """Devices free on the node -> devices chosen for one pod -> cost, less is better.

        NVLink islands, NUMA nodes and PCIe roots touched, then whatever else. Whole devices broken into, and what
        others lose of those broken into, come after the first three.
        """

    def best(self, free: Sequence[Located], count: int, /) -> Sequence[int]:
        """Positions of the free devices to take where nothing but cost tells them apart."""

    def pattern(self, devices: Sequence[Located], /) -> Hashable:
        """How devices lie to each other, which is all that costs depend on."""

    def places(self, devices: Sequence[Located], /) -> Sequence[Hashable]:
        """Where each device lies; where two are equal, either costs the same."""


_SPANS: Final = 3
MAX_SETS: Final = 300
_MAX_CHECKS: Final = 40
MOST_UNITS: Final = 1_000
"""Work of choosing for one pod; the devices found so far stand when it is spent."""
_DEVICES_A_UNIT: Final = 4
"""Of a set whose cost is worked out."""
_UNITS_A_CHECK: Final = 5

Assignment = list[list[Taken]]


@dataclass(slots=True)
class Improver:
    """What trading devices needs to know. The state must not change meanwhile."""

    index: DeviceIndex
    state: DeviceState
    pools: tuple[Pool, ...]
    claims: Sequence[PreparedClaim]
    selection: Selection
    preference: DevicePreference
    units: int = 0
    """Work done so far."""
    _damage: Damage = field(init=False)
    _free: frozenset[int] = field(init=False)
    """Ordinals of the node's devices that nobody holds and whose counters are left."""

    def __post_init__(self) -> None:
        self._damage = Damage(self.index, self.state)
        self._free = frozenset(
            entry.ordinal
            for pool in self.pools
            for use in (self.state.use_of(pool.key),)
            for entry in pool.devices
            if not use.is_used(entry.name) and self._damage.can_be_had(entry)
        )

    def improved(self, taken: Assignment) -> Assignment:
        """The assignment after every request had its turn."""
        current = [list(entries) for entries in taken]
        for claim_index, entries in enumerate(current):
            for prepared in dict.fromkeys(entry.prepared for entry in entries):
                if prepared.all_devices is None and not prepared.is_admin:
                    current = self._with_better_set(current, claim_index, prepared)
        return current

    def _with_better_set(
        self, current: Assignment, claim_index: int, prepared: PreparedRequest
    ) -> Assignment:
        slots = [number for number, entry in enumerate(current[claim_index]) if entry.prepared is prepared]
        others = [
            entry.entry
            for number, entries in enumerate(current)
            for position, entry in enumerate(entries)
            if number != claim_index or position not in slots
        ]
        present = tuple(current[claim_index][slot].entry for slot in slots)
        candidates = self._candidates(claim_index, prepared, others, present)
        cost_of = self._cost_beside(others)
        best = cost_of(present)
        ranked: list[tuple[Cost, int, tuple[PooledDevice, ...]]] = []
        for number, chosen in enumerate(self._sets(candidates, len(slots), cost_of)):
            if self._is_spent:
                break
            cost = cost_of(chosen)
            if cost < best:
                ranked.append((cost, number, chosen))
        ranked.sort(key=lambda item: (item[0], item[1]))
        for _, _, chosen in ranked[:_MAX_CHECKS]:
            if self._is_spent:
                break
            self.units += _UNITS_A_CHECK + sum(map(len, current))
            trial = self._checked(current, claim_index, slots, chosen)
            if trial is not None:
                return trial
        return current

    def _candidates(
        self,
        claim_index: int,
        prepared: PreparedRequest,
        others: Iterable[PooledDevice],
        present: Iterable[PooledDevice],
    ) -> list[PooledDevice]:
        whole = {entry.ordinal for entry in others if not entry.device.allow_multiple_allocations}
        kept = {entry.ordinal for entry in present}
        found: list[PooledDevice] = []
        for entry in prepared.positions:
            if entry.ordinal in kept:
                found.append(entry)
                continue
            # Counters of a device that serves others already are paid for.
            is_open = entry.ordinal in self._free or self._is_shared(entry)
            if not is_open or entry.ordinal in whole:
                continue
            try:
                matches = self.selection.matches(
                    self.claims[claim_index].claim, prepared.selector_key, entry, prepared.name
                )
            except Refused:
                # The search never came here, so its error must not count; the device is just no choice.
                continue
            if matches:
                found.append(entry)
        return found

    def _cost_beside(self, others: Sequence[PooledDevice]) -> Callable[[Sequence[PooledDevice]], Cost]:
        """The cost of devices for one request, where ``others`` are given to the pod too."""
        taken = {entry.ordinal for entry in others}
        used_sets: set[tuple[PoolKey, str]] = set()
        free: list[Located] = []
        for pool in self.pools:
            use = self.state.use_of(pool.key)
            for entry in (*pool.devices, *pool.others):
                if use.is_used(entry.name):
                    used_sets.update((pool.key, part.counter_set) for part in entry.device.consumes_counters)
            free += [
                (entry.driver, entry.device)
                for entry in pool.devices
                if entry.ordinal in self._free and entry.ordinal not in taken
            ]
        preference = self.preference(free)

        def cost_of(chosen: Sequence[PooledDevice]) -> Cost:
            mine = (*others, *chosen)
            self.units += 1 + len(mine) // _DEVICES_A_UNIT
            cost = preference([(entry.driver, entry.device) for entry in mine])
            return (*cost[:_SPANS], *self._broken(mine, used_sets), self._damage.lost(mine), *cost[_SPANS:])

        return cost_of

    @property
    def _is_spent(self) -> bool:
        return self.units > MOST_UNITS

    def _sets(
        self,
        candidates: list[PooledDevice],
        count: int,
        cost_of: Callable[[Sequence[PooledDevice]], Cost],
    ) -> Iterable[tuple[PooledDevice, ...]]:
        """All sets where they are few, else one grown greedily from each device."""
        if comb(len(candidates), count) <= MAX_SETS:
            return combinations(candidates, count)
        return self._grown(candidates, count, cost_of)

    def _grown(
        self,
        candidates: list[PooledDevice],
        count: int,
        cost_of: Callable[[Sequence[PooledDevice]], Cost],
    ) -> Iterator[tuple[PooledDevice, ...]]:
        """Of devices alike only the first is looked at: the others would cost the same."""
        kinds = self._kinds(candidates)
        for seed in [members[0] for members in kinds.values()][:_MAX_CHECKS]:
            chosen = [seed]
            taken = {seed}
            while len(chosen) < count and not self._is_spent:
                rest = [
                    found
                    for members in kinds.values()
                    if (found := next((one for one in members if one not in taken), None)) is not None
                ]
                best = min(
                    rest, key=lambda number: (cost_of([candidates[one] for one in (*chosen, number)]), number)
                )
                chosen.append(best)
                taken.add(best)
            if len(chosen) < count:
                return
            yield tuple(candidates[number] for number in sorted(chosen))

    def _kinds(self, candidates: list[PooledDevice]) -> dict[Hashable, list[int]]:
        """Positions of the candidates by kind: alike are those in one place that no counter and no share tells apart."""
        kinds: dict[Hashable, list[int]] = {}
        places = self.preference.places([(entry.driver, entry.device) for entry in candidates])
        for number, (entry, place) in enumerate(zip(candidates, places, strict=True)):
            is_plain = not entry.device.consumes_counters and not entry.device.allow_multiple_allocations
            kinds.setdefault((place, None if is_plain else number), []).append(number)
        return kinds

    def _broken(
        self, chosen: Sequence[PooledDevice], used_sets: set[tuple[PoolKey, str]]
    ) -> tuple[float, float]:
        """(counter sets, shared devices) that nobody used so far and that these devices would open."""
        sets = {
            (entry.pool_key, use.counter_set) for entry in chosen for use in entry.device.consumes_counters
        }
        fresh = {
            entry.ordinal
            for entry in chosen
            if entry.device.allow_multiple_allocations and not self._is_shared(entry)
        }
        return float(len(sets - used_sets)), float(len(fresh))

    def _is_shared(self, entry: PooledDevice) -> bool:
        use = self.state.use_of(entry.pool_key)
        return entry.name in use.shared and entry.name not in use.dedicated

    def _checked(
        self, current: Assignment, claim_index: int, slots: list[int], chosen: tuple[PooledDevice, ...]
    ) -> Assignment | None:
        """The assignment with that set, if all checks pass for all claims together."""
        place = dict(zip(slots, chosen, strict=True))
        attempt = Attempt(self.index, self.state, self.pools, tuple(self.claims), bug_compatible=False)
        for number, entries in enumerate(current):
            for position, entry in enumerate(entries):
                device = place[position] if number == claim_index and position in place else entry.entry
                try:
                    is_taken = attempt.take(number, self.claims[number], entry.prepared, device)
                except Refused:
                    return None
                if not is_taken:
                    return None
        return attempt.results
