"""DeviceIndex: what a fleet's slices, classes and taint rules say, prepared once and shared by every search."""

from __future__ import annotations

from collections.abc import Iterable

from kai_sched.devices.aliases import alias_names
from kai_sched.devices.capacity import narrowed
from kai_sched.devices.cel.device_view import DeviceFacts
from kai_sched.devices.cel.selector import SelectorVerdict, compiled_selector
from kai_sched.devices.features import ALL_FEATURES, AllocatorFeatures
from kai_sched.devices.pools import Pool, PooledDevice, PooledSlice, PoolKey, gather_pools
from kai_sched.devices.taints import matching_taints
from kai_sched.model.devices import ClaimSpec, DeviceClass, DeviceTaintRule, ResourceSlice
from kai_sched.model.nodes import Node
from kai_sched.model.snapshot import Fleet

SelectorKey = tuple[str, tuple[str, ...]]
"""(device class, selectors of the request): what decides whether a device matches."""


class DeviceIndex:
    """Valid for one fleet. Lookups are cached; the caches never change an answer."""

    def __init__(
        self,
        slices: Iterable[ResourceSlice],
        classes: Iterable[DeviceClass],
        rules: Iterable[DeviceTaintRule] = (),
        features: AllocatorFeatures = ALL_FEATURES,
        nodes: tuple[Node, ...] = (),
    ) -> None:
        self.features = features
        self.nodes = nodes
        self.node_names = frozenset(node.name for node in nodes)
        self.plain_specs: dict[int, tuple[ClaimSpec, object]] = {}
        """Kept by ``devices.plain``: what is known of a claim spec, by its identity."""
        self.partitions: object | None = None
        """Kept by ``devices.partitions``."""
        self.recalled: object = None
        """Kept by ``devices.recall``."""
        self.classes = {entry.name: entry for entry in classes}
        self._rules = tuple(rules)
        self._by_pool: dict[PoolKey, tuple[PooledSlice, ...]] = {}
        self._on_node: dict[str, list[PooledSlice]] = {}
        self._shared: list[PooledSlice] = []
        self._pools_of: dict[str, tuple[Pool, ...]] = {}
        self._verdicts: dict[SelectorKey, dict[int, SelectorVerdict | str]] = {}
        self._devices: list[PooledDevice] = []
        for published in slices:
            self._add(published)
        self.devices: tuple[PooledDevice, ...] = tuple(self._devices)
        self._aliases: dict[PoolKey, dict[int, tuple[str, ...]]] = {}

    @classmethod
    def of(cls, fleet: Fleet) -> DeviceIndex:
        """The index of a fleet."""
        return cls(fleet.slices, fleet.device_classes, fleet.taint_rules, nodes=fleet.nodes)

    def _add(self, published: ResourceSlice) -> None:
        devices: list[PooledDevice] = []
        for device in published.devices:
            taints = matching_taints(self._rules, published.driver, published.pool, device.name)
            has_policy = any(capacity.policy is not None for _, capacity in device.capacity)
            entry = PooledDevice(
                len(self._devices),
                published.driver,
                published.pool,
                device,
                published,
                DeviceFacts(published.driver, device),
                device.taints + taints,
                (published.driver, published.pool),
                not has_policy and not device.allow_multiple_allocations,
                tuple((name, narrowed(capacity.value)) for name, capacity in device.capacity),
                tuple(
                    ((use.counter_set, name), narrowed(amount))
                    for use in device.consumes_counters
                    for name, amount in use.counters
                ),
            )
            devices.append(entry)
            self._devices.append(entry)
        prepared = PooledSlice(published, tuple(devices))
        self._by_pool[prepared.key] = (*self._by_pool.get(prepared.key, ()), prepared)
        if published.node_name:
            self._on_node.setdefault(published.node_name, []).append(prepared)
        else:
            self._shared.append(prepared)

    def pools_of(self, node: Node) -> tuple[Pool, ...]:
        """The pools that a node can reach, in search order."""
        known = self._pools_of.get(node.name)
        if known is None:
            candidates = (*self._on_node.get(node.name, ()), *self._shared)
            known = gather_pools(node, candidates, self._by_pool, self.features)
            self._pools_of[node.name] = known
        return known

    def aliases_of(self, entry: PooledDevice) -> tuple[str, ...]:
        """Names in the same pool that stand for the same hardware as this device."""
        known = self._aliases.get(entry.pool_key)
        if known is None:
            devices = [device for part in self._by_pool[entry.pool_key] for device in part.devices]
            known = self._aliases[entry.pool_key] = alias_names(devices)
        return known.get(entry.ordinal, ())

    def verdict_on(self, key: SelectorKey, entry: PooledDevice) -> SelectorVerdict | str:
        """Whether a device passes the class's and the request's selectors, or the error, as in ``evaluate``."""
        verdicts = self._verdicts.get(key)
        if verdicts is None:
            verdicts = self._verdicts[key] = {}
        known = verdicts.get(entry.ordinal)
        if known is None:
            known = verdicts[entry.ordinal] = self._evaluate(key, entry)
        return known

    def _evaluate(self, key: SelectorKey, entry: PooledDevice) -> SelectorVerdict | str:
        """The combined verdict; a text is an error, with ``{claim}`` where the claim's name belongs."""
        class_name, selectors = key
        device_class = self.classes[class_name]
        steps = 0
        for owner, expressions in (
            (f"class {class_name}", device_class.selectors),
            ("claim {claim}", selectors),
        ):
            for number, expression in enumerate(expressions):
                verdict = compiled_selector(expression).verdict(entry.facts)
                steps += verdict.steps
                if verdict.is_compile_error:
                    return f"{owner}: selector #{number}: CEL compile error: {verdict.error}"
                if verdict.error:
                    where = f"{owner}: selector #{number} on device {entry.device_id}"
                    return f"{where}: CEL runtime error: {verdict.error}; expression: {expression[:200]}"
                if not verdict.is_match:
                    return SelectorVerdict(is_match=False, steps=steps)
        return SelectorVerdict(is_match=True, steps=steps)
