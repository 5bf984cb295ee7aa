"""Pools as one node sees them: complete or not, valid or not, in the reference's order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kai_sched.devices.capacity import Number, narrowed
from kai_sched.devices.cel.device_view import DeviceFacts
from kai_sched.devices.features import AllocatorFeatures
from kai_sched.devices.generations import (
    Completeness,
    PoolKey,
    Sight,
    WholePool,
    newest_that_reach,
    sight_of,
)
from kai_sched.devices.node_selection import device_reaches
from kai_sched.model.devices import Device, ResourceSlice
from kai_sched.model.ids import NodeName
from kai_sched.model.nodes import Node
from kai_sched.model.selectors import Taint

__all__ = ["Counter", "Pool", "PoolKey", "PooledDevice", "PooledSlice", "gather_pools", "seen_devices"]

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

    @property
    def home(self) -> NodeName | None:
        """The only node that reaches it, where it is told by name."""
        return self.published_in.node_name or self.device.node_name


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
    whole_pool: Mapping[PoolKey, WholePool[PooledSlice]],
    features: AllocatorFeatures,
) -> tuple[Pool, ...]:
    """The pools of a node, by (driver, name), those with binding conditions last."""
    considered = (entry for entry in candidates if _is_considered(entry.published, features))
    newest = newest_that_reach(node, considered)
    pools: list[Pool] = []
    with_conditions: list[Pool] = []
    for key in sorted(newest):
        sight = sight_of(
            newest[key],
            whole_pool[key],
            lambda published: features.compatibility_groups or not _uses_groups(published),
        )
        if sight.completeness is Completeness.OBSOLETE:
            continue
        is_complete = sight.completeness is Completeness.COMPLETE
        pool = _built(key, sight, node, features) if is_complete else Pool(key, is_incomplete=True)
        conditional = any(entry.device.binding_conditions for entry in pool.devices)
        (with_conditions if conditional else pools).append(pool)
    return (*pools, *with_conditions)


def seen_devices(whole: WholePool[PooledSlice], nodes: Iterable[Node]) -> frozenset[int]:
    """Ordinals of a pool's devices that some node goes by, usable or not; what is superseded everywhere is left out."""
    if not whole.has_generations:
        return frozenset(entry.ordinal for part in whole.parts for entry in part.devices)
    on_node: dict[str, list[PooledSlice]] = {}
    shared = [part for part in whole.parts if not part.published.node_name]
    for part in whole.parts:
        if part.published.node_name:
            on_node.setdefault(part.published.node_name, []).append(part)
    known = {node.name: node for node in nodes}
    # A node may publish its devices before it is there itself.
    places = [*known.values(), *(Node(name=NodeName(name)) for name in on_node if name not in known)]
    seen: set[int] = set()
    for node in places:
        for here in newest_that_reach(node, (*on_node.get(node.name, ()), *shared)).values():
            sight = sight_of(here, whole)
            if sight.completeness is not Completeness.OBSOLETE:
                seen.update(entry.ordinal for part in sight.here for entry in part.devices)
    if seen:
        return frozenset(seen)
    # No node reaches it: what the driver told last.
    latest = whole.of_generation(whole.newest)
    return frozenset(entry.ordinal for part in latest for entry in part.devices)


def _is_considered(published: ResourceSlice, features: AllocatorFeatures) -> bool:
    if not features.partitionable_devices and (
        published.per_device_node_selection or published.shared_counters
    ):
        return False
    return features.compatibility_groups or not _uses_groups(published)


def _uses_groups(published: ResourceSlice) -> bool:
    return any(use.compatibility_groups for device in published.devices for use in device.consumes_counters)


def _built(key: PoolKey, sight: Sight[PooledSlice], node: Node, features: AllocatorFeatures) -> Pool:
    partitioned = features.partitionable_devices
    group, rest = sight.here, sight.elsewhere
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
