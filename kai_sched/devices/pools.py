"""Pools as one node sees them: newest generation only, complete or not, valid or not, in the reference's order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kai_sched.devices.capacity import Number, narrowed
from kai_sched.devices.cel.device_view import DeviceFacts
from kai_sched.devices.features import AllocatorFeatures
from kai_sched.devices.node_selection import device_reaches, slice_reaches
from kai_sched.model.devices import Device, ResourceSlice
from kai_sched.model.nodes import Node
from kai_sched.model.selectors import Taint

PoolKey = tuple[str, str]
"""(driver, pool name)."""
Counter = tuple[str, str]
"""(counter set, counter)."""


@dataclass(frozen=True, slots=True, eq=False)
class PooledDevice:
    """A device with its place; one object for each published device, so that identity is equality."""

    ordinal: int
    driver: str
    pool: str
    device: Device
    published_in: ResourceSlice
    facts: DeviceFacts
    taints: tuple[Taint, ...]
    """Of the slice and of the admins' rules."""
    pool_key: PoolKey
    is_whole: bool
    """Given to one claim at a time, and no policy rounds what a request takes of it."""
    capacity: tuple[tuple[str, Number], ...]
    uses: tuple[tuple[Counter, Number], ...]
    """Counters that the device consumes."""

    @property
    def name(self) -> str:
        return self.device.name

    @property
    def device_id(self) -> str:
        """``driver/pool/device``."""
        return f"{self.driver}/{self.pool}/{self.device.name}"


@dataclass(frozen=True, slots=True, eq=False)
class PooledSlice:
    """A slice with its devices prepared."""

    published: ResourceSlice
    devices: tuple[PooledDevice, ...]

    @property
    def key(self) -> PoolKey:
        return (self.published.driver, self.published.pool)


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """A pool as seen from one node. Incomplete and invalid pools have no devices."""

    key: PoolKey
    devices: tuple[PooledDevice, ...] = ()
    others: tuple[PooledDevice, ...] = ()
    """Devices of the pool that this node cannot reach; allocated ones still consume counters."""
    unreachable: frozenset[int] = frozenset()
    """Ordinals among ``devices`` that per-device selection keeps off this node."""
    counters: dict[Counter, Number] = field(default_factory=dict)
    """(counter set, counter) -> what the pool has."""
    is_incomplete: bool = False
    invalid_reason: str = ""
    places: dict[str, int] = field(init=False)
    """Name -> position among ``devices`` and then ``others``."""

    def __post_init__(self) -> None:
        names = (entry.name for entry in (*self.devices, *self.others))
        object.__setattr__(self, "places", {name: place for place, name in enumerate(names)})

    @property
    def text(self) -> str:
        return f"{self.key[0]}/{self.key[1]}"


def gather_pools(
    node: Node,
    candidates: Iterable[PooledSlice],
    whole_pool: dict[PoolKey, tuple[PooledSlice, ...]],
    features: AllocatorFeatures,
) -> tuple[Pool, ...]:
    """The pools of a node, by (driver, name), those with binding conditions last."""
    labels = dict(node.labels)
    newest: dict[PoolKey, list[PooledSlice]] = {}
    for entry in candidates:
        if not _is_considered(entry.published, features) or not slice_reaches(entry.published, node, labels):
            continue
        group = newest.setdefault(entry.key, [])
        if group and entry.published.generation > group[0].published.generation:
            group.clear()
        if not group or entry.published.generation == group[0].published.generation:
            group.append(entry)
    pools: list[Pool] = []
    with_conditions: list[Pool] = []
    for key in sorted(newest):
        pool = _pool_for(key, newest[key], whole_pool[key], node, features)
        if pool is not None:
            conditional = any(entry.device.binding_conditions for entry in pool.devices)
            (with_conditions if conditional else pools).append(pool)
    return (*pools, *with_conditions)


def _is_considered(published: ResourceSlice, features: AllocatorFeatures) -> bool:
    if not features.partitionable_devices and (
        published.per_device_node_selection or published.shared_counters
    ):
        return False
    return features.compatibility_groups or not _uses_groups(published)


def _uses_groups(published: ResourceSlice) -> bool:
    return any(use.compatibility_groups for device in published.devices for use in device.consumes_counters)


def _pool_for(
    key: PoolKey,
    group: list[PooledSlice],
    whole: tuple[PooledSlice, ...],
    node: Node,
    features: AllocatorFeatures,
) -> Pool | None:
    """None: a newer generation exists that has nothing for this node, so the driver is replacing the pool."""
    first = group[0].published
    rest: list[PooledSlice] = []
    if len(group) != first.slice_count:
        if any(entry.published.generation > first.generation for entry in whole):
            return None
        current = [
            entry
            for entry in whole
            if entry.published.generation == first.generation
            and (features.compatibility_groups or not _uses_groups(entry.published))
        ]
        if len(current) != first.slice_count:
            return Pool(key, is_incomplete=True)
        names = {entry.published.name for entry in group}
        rest = [entry for entry in current if entry.published.name not in names]
    return _built(key, sorted(group, key=lambda entry: entry.published.name), rest, node, features)


def _built(
    key: PoolKey, group: list[PooledSlice], rest: list[PooledSlice], node: Node, features: AllocatorFeatures
) -> Pool:
    partitioned = features.partitionable_devices
    holders = [entry for entry in (*group, *rest) if partitioned and entry.published.shared_counters]
    # A slice of 1.34 may hold counters and devices together; then its devices count too.
    with_devices = [entry for entry in group if entry not in holders or entry.devices]
    devices = tuple(device for entry in with_devices for device in entry.devices)
    others = tuple(device for entry in rest for device in entry.devices)
    counters, problem = _counters(holders)
    problem = _duplicate_name(devices) or problem
    if not problem and partitioned:
        problem = _unknown_counter(devices, counters) or _unknown_counter(others, counters)
    if problem:
        return Pool(key, invalid_reason=problem)
    labels = dict(node.labels)
    unreachable = frozenset(
        device.ordinal
        for device in devices
        if device.published_in.per_device_node_selection and not device_reaches(device.device, node, labels)
    )
    return Pool(key, devices, others, unreachable, counters)


def _duplicate_name(devices: Sequence[PooledDevice]) -> str:
    seen: set[str] = set()
    for entry in devices:
        if entry.name in seen:
            return f"duplicate device name {entry.name}"
        seen.add(entry.name)
    return ""


def _counters(holders: Iterable[PooledSlice]) -> tuple[dict[Counter, Number], str]:
    """Counters by (set, name), and what is wrong. A set is listed under the name "" too, so that it is known."""
    counters: dict[Counter, Number] = {}
    for entry in holders:
        for counter_set in entry.published.shared_counters:
            if (counter_set.name, "") in counters:
                return {}, f"duplicate counter set name {counter_set.name}"
            counters[counter_set.name, ""] = 0
            counters |= {(counter_set.name, name): narrowed(value) for name, value in counter_set.counters}
    return counters, ""


def _unknown_counter(devices: Iterable[PooledDevice], counters: dict[Counter, Number]) -> str:
    for entry in devices:
        for use in entry.device.consumes_counters:
            if (use.counter_set, "") not in counters:
                return f"counter set {use.counter_set} not found"
            for name, _ in use.counters:
                if (use.counter_set, name) not in counters:
                    return f"counter {name} not found in counter set {use.counter_set}"
    return ""
