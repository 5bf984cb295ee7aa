"""The fast path: claims that only ask for N whole devices are decided by counting, the search is never entered.

A claim is plain only if counting is exact for it: every device it could get is whole, local to one node, free of
counters and aliases, and no selector fails on any device of the fleet.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kai_sched.devices.cel.selector import SelectorVerdict
from kai_sched.devices.closures import OPEN
from kai_sched.devices.features import ALL_FEATURES
from kai_sched.devices.index import DeviceIndex, SelectorKey
from kai_sched.devices.memory import Kept
from kai_sched.devices.pools import PooledDevice, PoolKey
from kai_sched.devices.requests import MAX_RESULTS
from kai_sched.devices.state import DeviceState
from kai_sched.devices.taints import blocking_taint
from kai_sched.devices.work import CEL_STEPS_A_UNIT, WorkMeter, WorkTally
from kai_sched.model.devices import AllocationMode, ClaimSpec, DeviceRequest
from kai_sched.model.ids import NodeName
from kai_sched.model.selectors import Toleration


@dataclass(frozen=True, slots=True)
class PlainNeed:
    """``count`` devices of one kind. Needs with equal keys draw from the same devices."""

    key: Hashable
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Supply:
    """All devices of one kind. ``totals``: int64[N] by node of the fleet."""

    totals: NDArray[np.int64]
    names: dict[PoolKey, list[tuple[int, frozenset[str]]]]
    """Pool -> (node, names of its devices of this kind there); nodes may publish under one pool name."""
    pools_of_node: dict[int, tuple[tuple[PoolKey, frozenset[str]], ...]]
    in_order: dict[NodeName, tuple[PooledDevice, ...]]
    """Devices of a node in search order."""


_MOST_SUPPLIED: Final = 800_000
"""Devices and nodes of all supplies together."""


class _Supplies(Kept[Hashable, tuple[Supply | None, int]]):
    """By kind of device, with the work that counting took."""

    def __init__(self) -> None:
        super().__init__(_MOST_SUPPLIED)


_DEVICES_A_UNIT: Final = 64


def plain_requirement(index: DeviceIndex, spec: ClaimSpec, closure: int = OPEN) -> PlainNeed | None:
    """What a claim of a pod with that closure needs if counting decides it, else None."""
    if len(spec.requests) != 1 or spec.constraints or index.features != ALL_FEATURES:
        return None
    request = spec.requests[0]
    device_class = index.classes.get(request.device_class)
    if not _asks_for_whole_devices(request) or device_class is None or device_class.problem:
        return None
    key = ((request.device_class, request.selectors, closure), request.tolerations)
    return PlainNeed(key, request.count) if supply_of(index, key) is not None else None


def _asks_for_whole_devices(request: DeviceRequest) -> bool:
    return (
        not request.first_available
        and request.mode == AllocationMode.EXACT_COUNT
        and 0 < request.count <= MAX_RESULTS
        and request.admin_access is None
        and not request.has_capacity_requests
        and not request.problem
        and not request.unsupported
    )


def matching_free(
    index: DeviceIndex, state: DeviceState, need: PlainNeed, nodes: NDArray[np.intp] | None = None
) -> NDArray[np.int64]:
    """Free devices of a plain need by node: of all nodes of the fleet, or of those at the given positions."""
    supply = supply_of(index, need.key)
    assert supply is not None
    if nodes is None or len(nodes) * 4 > len(index.nodes):
        free = supply.totals.copy()
        for key, use in state.items():
            for node, names in supply.names.get(key, ()):
                free[node] -= _count_used(names, use.dedicated, use.shared)
        return free if nodes is None else free[nodes]
    return np.fromiter(
        (_free_on(supply, state, int(node)) for node in nodes), dtype=np.int64, count=len(nodes)
    )


def _free_on(supply: Supply, state: DeviceState, node: int) -> int:
    free = int(supply.totals[node])
    for key, names in supply.pools_of_node.get(node, ()):
        use = state.use_of(key)
        free -= _count_used(names, use.dedicated, use.shared)
    return free


def _count_used(names: frozenset[str], *used: Iterable[str]) -> int:
    return sum(1 for part in used for name in part if name in names)


def supply_of(index: DeviceIndex, key: Hashable) -> Supply | None:
    supplies = index.memory.part(_Supplies)
    known = supplies.get(key)
    if known is not None:
        index.meter.charge_once(("supply", key), known[1])
        return known[0]
    # Counted again in the same cycle because it was forgotten: that is nobody's work.
    is_paid = index.meter.has_paid(("supply", key))
    tally = WorkTally(WorkMeter() if is_paid else index.meter)
    supply = _count_supply(index, key, tally)  # type: ignore[arg-type]
    weight = 1 if supply is None else len(supply.totals) + sum(map(len, supply.in_order.values()))
    supplies.keep(key, (supply, tally.units), weight)
    index.meter.charge_once(("supply", key), 0)
    return supply


def _count_supply(
    index: DeviceIndex, key: tuple[SelectorKey, tuple[Toleration, ...]], tally: WorkTally
) -> Supply | None:
    selector_key, tolerations = key
    matching: set[int] = set()
    evaluated: dict[int, SelectorVerdict] = {}
    for number, entry in enumerate(index.current_devices):
        verdict = index.verdict_on(selector_key, entry)
        tally.charge(number % _DEVICES_A_UNIT == 0)
        if isinstance(verdict, str):
            return None
        if id(verdict) not in evaluated:
            # Devices alike in what is read are evaluated once.
            evaluated[id(verdict)] = verdict
            tally.charge(verdict.steps // CEL_STEPS_A_UNIT)
        if verdict.is_match:
            if not _is_countable(index, entry):
                return None
            if blocking_taint(entry.taints, tolerations) is None:
                matching.add(entry.ordinal)
    return _by_node(index, matching)


def _is_countable(index: DeviceIndex, entry: PooledDevice) -> bool:
    device = entry.device
    return (
        bool(entry.published_in.node_name)
        and entry.is_whole
        and not device.consumes_counters
        and not device.unsupported
        and not index.aliases_of(entry)
    )


def _by_node(index: DeviceIndex, matching: set[int]) -> Supply | None:
    """None where nodes have devices of one name in one pool: taking one takes the other too."""
    totals = np.zeros(len(index.nodes), dtype=np.int64)
    names: dict[PoolKey, list[tuple[int, frozenset[str]]]] = {}
    pools_of_node: dict[int, tuple[tuple[PoolKey, frozenset[str]], ...]] = {}
    in_order: dict[NodeName, tuple[PooledDevice, ...]] = {}
    for position, node in enumerate(index.nodes):
        pools: list[tuple[PoolKey, frozenset[str]]] = []
        here: list[PooledDevice] = []
        for pool in index.pools_of(node):
            found = [entry for entry in pool.devices if entry.ordinal in matching]
            if found:
                own = frozenset(entry.name for entry in found)
                names.setdefault(pool.key, []).append((position, own))
                pools.append((pool.key, own))
                here += found
        if pools:
            pools_of_node[position] = tuple(pools)
            in_order[node.name] = tuple(here)
            totals[position] = len(here)
    if any(_overlap([own for _, own in parts]) for parts in names.values()):
        return None
    return Supply(totals, names, pools_of_node, in_order)


def _overlap(parts: Sequence[frozenset[str]]) -> bool:
    return len(parts) > 1 and len(frozenset[str]().union(*parts)) < sum(map(len, parts))
