"""Pools of devices as one node sees them, read anew from the slices.

The newest generation is the newest *that reaches the node*. If as many slices of it reach the node as the pool has,
they are the pool; only else do slices of other nodes matter: a newer generation among them makes the pool obsolete
here, and what is missing of this one must be there. Names must be unique among the slices that reach the node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kai_sched.model.devices import CounterSet, Device, DeviceResult, ResourceSlice
from kai_sched.model.ids import NodeName
from kai_sched.model.nodes import Node
from kai_sched.placement.checker.labels import selects_node

PoolKey = tuple[str, str]
"""(driver, pool)."""


@dataclass(frozen=True, slots=True)
class Published:
    """A device and the slice that it stands in."""

    slice: ResourceSlice
    device: Device

    @property
    def home(self) -> NodeName | None:
        """The one node that it belongs to, if there is one."""
        return self.slice.node_name or self.device.node_name

    def reaches(self, node: Node) -> bool:
        """Whether it may be used from a node that its slice reaches."""
        return not self.slice.per_device_node_selection or _offers(self.device, node)


@dataclass(frozen=True, slots=True)
class SeenPool:
    """``devices`` of the slices that reach the node, by name; ``others`` of the pool's other slices."""

    devices: Mapping[str, Published] = field(default_factory=dict)
    others: Mapping[str, Published] = field(default_factory=dict)
    counters: Mapping[str, CounterSet] = field(default_factory=dict)
    problem: str = ""
    """Why nothing of it may be given on this node."""

    def find(self, name: str) -> Device | None:
        """A device of the pool, in reach or not."""
        found = self.devices.get(name) or self.others.get(name)
        return found.device if found is not None else None


class Pools:
    """The pools of a fleet; looked at pool by pool and node by node, when asked."""

    def __init__(self, slices: Iterable[ResourceSlice]) -> None:
        self._pools: dict[PoolKey, _Pool] = {}
        self._near: dict[str, dict[PoolKey, None]] = {}
        self._wide: dict[PoolKey, None] = {}
        for one in slices:
            key = (one.driver, one.pool)
            self._pools.setdefault(key, _Pool()).add(one)
            (self._near.setdefault(one.node_name, {}) if one.node_name else self._wide)[key] = None
        self._seen: dict[tuple[PoolKey, NodeName], SeenPool] = {}

    def keys_on(self, node: Node) -> list[PoolKey]:
        """Pools that may have something for a node."""
        return sorted({**self._near.get(node.name, {}), **self._wide})

    def seen(self, key: PoolKey, node: Node) -> SeenPool:
        """A pool from a node; empty where nothing of it is in reach."""
        known = self._seen.get((key, node.name))
        if known is None:
            pool = self._pools.get(key)
            known = self._seen[key, node.name] = pool.seen_from(node) if pool is not None else SeenPool()
        return known

    def look_up(self, result: DeviceResult, node: Node) -> Published | None:
        """A device that was given, as its node sees it; else as anybody does."""
        key = (result.driver, result.pool)
        return self.seen(key, node).devices.get(result.device) or self.newest(key).devices.get(result.device)

    def newest(self, key: PoolKey) -> SeenPool:
        """A pool as its newest slices have it, wherever they are."""
        pool = self._pools.get(key)
        return _built(pool.by_generation[max(pool.by_generation)], ()) if pool is not None else SeenPool()


class _Pool:
    """The slices of one pool: by the node that they name, those for several nodes, and by generation."""

    def __init__(self) -> None:
        self.by_node: dict[str, list[ResourceSlice]] = {}
        self.wider: list[ResourceSlice] = []
        self.by_generation: dict[int, list[ResourceSlice]] = {}
        self._built: dict[tuple[str, ...], SeenPool] = {}
        self._counted: set[int] = set()

    def add(self, one: ResourceSlice) -> None:
        (self.by_node.setdefault(one.node_name, []) if one.node_name else self.wider).append(one)
        self.by_generation.setdefault(one.generation, []).append(one)
        if one.shared_counters:
            self._counted.add(one.generation)

    def reaching(self, node: Node) -> list[ResourceSlice]:
        return [*self.by_node.get(node.name, ()), *(one for one in self.wider if _slice_reaches(one, node))]

    def seen_from(self, node: Node) -> SeenPool:
        here = self.reaching(node)
        if not here:
            return SeenPool()
        newest = max(one.generation for one in here)
        group = [one for one in here if one.generation == newest]
        names = tuple(one.name for one in group)
        known = self._built.get(names)
        if known is None:
            known = self._built[names] = self._seen_as(newest, group, frozenset(names))
        return known

    def _seen_as(self, newest: int, group: list[ResourceSlice], names: frozenset[str]) -> SeenPool:
        if len(group) == group[0].slice_count:
            return _built(group, ())
        if max(self.by_generation) > newest:
            return SeenPool(problem="is replaced by a newer generation on other nodes")
        everywhere = self.by_generation[newest]
        if len(everywhere) != group[0].slice_count:
            return SeenPool(problem="is being updated")
        # What is out of reach matters by the counters that it takes only.
        counted = everywhere if newest in self._counted else ()
        return _built(group, [one for one in counted if one.name not in names])


def _built(group: Sequence[ResourceSlice], rest: Sequence[ResourceSlice]) -> SeenPool:
    devices: dict[str, Published] = {}
    for one in group:
        for device in one.devices:
            if device.name in devices:
                return SeenPool(problem=f"is invalid: it has two devices {device.name}")
            devices[device.name] = Published(one, device)
    others = {device.name: Published(one, device) for one in rest for device in one.devices}
    counters: dict[str, CounterSet] = {}
    for one in (*group, *rest):
        for counter_set in one.shared_counters:
            if counter_set.name in counters:
                return SeenPool(problem=f"is invalid: it has two counter sets {counter_set.name}")
            counters[counter_set.name] = counter_set
    known = {(name, counter) for name, group_ in counters.items() for counter, _ in group_.counters}
    for found in (*devices.values(), *others.values()):
        for use in found.device.consumes_counters:
            if use.counter_set not in counters or any(
                (use.counter_set, c) not in known for c, _ in use.counters
            ):
                return SeenPool(problem=f"is invalid: {found.device.name} consumes of unknown counters")
    return SeenPool(devices, others, counters)


def _slice_reaches(one: ResourceSlice, node: Node) -> bool:
    if one.per_device_node_selection:
        return any(_offers(device, node) for device in one.devices)
    return _offers(one, node)


def _offers(where: ResourceSlice | Device, node: Node) -> bool:
    """Whether a slice, or a device that says so itself, is for a node."""
    if where.node_name:
        return where.node_name == node.name
    if where.all_nodes:
        return True
    return where.node_selector is not None and selects_node(where.node_selector, node)
