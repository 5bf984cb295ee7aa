"""DeviceIndex: what a fleet's slices, classes and taint rules say, prepared once and shared by every search."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Final

from kai_sched.devices.aliases import alias_names
from kai_sched.devices.capacity import narrowed
from kai_sched.devices.cel.budget import STEP_LIMIT
from kai_sched.devices.cel.device_view import DeviceFacts
from kai_sched.devices.cel.selector import SelectorVerdict, compiled_selector
from kai_sched.devices.closures import OPEN, ClosureBook
from kai_sched.devices.features import ALL_FEATURES, AllocatorFeatures
from kai_sched.devices.generations import PoolKey, WholePool
from kai_sched.devices.memory import DeviceMemory, Kept
from kai_sched.devices.pools import Pool, PooledDevice, PooledSlice, gather_pools, seen_devices
from kai_sched.devices.taints import matching_taints
from kai_sched.devices.verdict_rows import VerdictRow
from kai_sched.devices.work import WorkMeter
from kai_sched.model.devices import DeviceClass, DeviceResult, DeviceTaintRule, ResourceSlice
from kai_sched.model.ids import NodeName
from kai_sched.model.nodes import Node
from kai_sched.model.snapshot import Fleet

SelectorKey = tuple[str, tuple[str, ...], int]
"""(device class, selectors of the request, closure of the pod): what decides whether a device matches."""
CHEAP_STEPS: Final = 500
"""An evaluation up to here is not counted against the cycle: selectors seen in practice take fewer than 200."""
EXPENSIVE: Final = "its selectors take many evaluation steps"
_MOST_SHOWN: Final = 200
_LONG: Final = 1024
_STEPS_A_CHARACTER: Final = 2
_MOST_ROW_BYTES: Final = 64 << 20
_ROW_BYTES: Final = 50_000
"""Of a row beside its devices: key, selectors, and up to 255 different verdicts."""
_MOST_KEPT: Final = 50_000
_CLOSED: Final = SelectorVerdict(is_match=False, steps=0)


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
        self.meter = WorkMeter()
        """Counts the work of the cycle at hand, which sets it."""
        self.closures = ClosureBook()
        self.memory = DeviceMemory()
        """What was found out about this fleet by whoever asks it."""
        self.classes = {entry.name: entry for entry in classes}
        self._rules = tuple(rules)
        self._by_pool: dict[PoolKey, WholePool[PooledSlice]] = {}
        self._on_node: dict[str, list[PooledSlice]] = {}
        self._shared: list[PooledSlice] = []
        self._pools_of: dict[str, tuple[Pool, ...]] = {}
        self._verdicts = Kept[SelectorKey, VerdictRow[SelectorVerdict | str]](_MOST_ROW_BYTES)
        self._compile_steps = Kept[SelectorKey, int](_MOST_KEPT)
        self._joined = Kept[
            tuple[SelectorKey, tuple[int, ...]], tuple[list[SelectorVerdict], SelectorVerdict]
        ](_MOST_KEPT)
        """Verdicts by those of single expressions that they are made of: as many as there are different answers."""
        self._paid = Kept[tuple[SelectorKey, int], tuple[SelectorVerdict | str, int]](_MOST_KEPT)
        self._devices: list[PooledDevice] = []
        for published in slices:
            self._add(published)
        self.devices: tuple[PooledDevice, ...] = tuple(self._devices)
        """Everything that is published, superseded generations too."""
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
        self._by_pool.setdefault(prepared.key, WholePool()).add(prepared)
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

    @property
    def current_slices(self) -> tuple[ResourceSlice, ...]:
        """The slices of the current devices."""
        return tuple({id(entry.published_in): entry.published_in for entry in self.current_devices}.values())

    @cached_property
    def current_devices(self) -> tuple[PooledDevice, ...]:
        """Devices that some node goes by: what there is to count and to show. Usable or not."""
        seen = frozenset[int]().union(*(seen_devices(whole, self.nodes) for whole in self._by_pool.values()))
        return tuple(entry for entry in self.devices if entry.ordinal in seen)

    def held_device(self, result: DeviceResult, node: NodeName | None) -> PooledDevice | None:
        """The device of an allocation made on that node (None: of no single one) as it is published; None: withdrawn.

        Nodes may publish devices of one name under one pool name: then it is the node's own, of the newest generation.
        """
        found = self._by_id.get(result.device_id, ())
        here = [entry for entry in found if node is None or entry.home in {None, node}]
        return max(here or found, key=lambda entry: entry.published_in.generation, default=None)

    @cached_property
    def _by_id(self) -> dict[str, list[PooledDevice]]:
        by_id: dict[str, list[PooledDevice]] = {}
        for entry in self.devices:
            by_id.setdefault(entry.device_id, []).append(entry)
        return by_id

    def aliases_of(self, entry: PooledDevice) -> tuple[str, ...]:
        """Names in the same pool that stand for the same hardware as this device."""
        known = self._aliases.get(entry.pool_key)
        if known is None:
            devices = [device for part in self._by_pool[entry.pool_key].parts for device in part.devices]
            known = self._aliases[entry.pool_key] = alias_names(devices)
        return known.get(entry.ordinal, ())

    def verdict_on(self, key: SelectorKey, entry: PooledDevice) -> SelectorVerdict | str:
        """Whether a device passes the class's and the request's selectors, or the error, with ``{claim}`` for its name.

        For looking at many devices: ``EXPENSIVE`` where it takes more than cheap steps to tell, also if somebody has
        paid for it, so that no decision depends on what is remembered.
        """
        if key[2] != OPEN:
            if self.closures.reason(key[2], entry.ordinal):
                return _CLOSED
            key = (key[0], key[1], OPEN)
        row = self._verdicts.get(key)
        if row is None:
            row = self._verdicts.keep(
                key, VerdictRow(len(self._devices)), weight=len(self._devices) + _ROW_BYTES
            )
        known = row.get(entry.ordinal)
        if known is None:
            if self.compile_steps(key):
                return EXPENSIVE
            evaluated = self._evaluate(key, entry, CHEAP_STEPS)
            known = row.keep(entry.ordinal, EXPENSIVE if evaluated is None else evaluated[0])
        return known

    def compile_steps(self, key: SelectorKey) -> int:
        """What compiling the selectors is worth in steps; 0 where they are short enough not to matter."""
        known = self._compile_steps.get(key)
        if known is None:
            expressions = (*self.classes[key[0]].selectors, *key[1])
            long = sum(len(expression) for expression in expressions if len(expression) > _LONG)
            known = self._compile_steps.keep(key, long * _STEPS_A_CHARACTER)
        return known

    def paid_verdict_on(self, key: SelectorKey, entry: PooledDevice) -> tuple[SelectorVerdict | str, int]:
        """The same whatever it takes, with the steps that it took. Only a search that counts them may ask."""
        known = self._paid.get((key, entry.ordinal))
        if known is None:
            known = self._evaluate(key, entry, None)
            assert known is not None
            self._paid.keep((key, entry.ordinal), known)
        return known

    def _evaluate(
        self, key: SelectorKey, entry: PooledDevice, most_steps: int | None
    ) -> tuple[SelectorVerdict | str, int] | None:
        """The combined verdict and its steps; None if they are more than allowed."""
        class_name, selectors, _ = key
        device_class = self.classes[class_name]
        steps = 0
        parts: list[SelectorVerdict] = []
        for owner, expressions in (
            (f"class {class_name}", device_class.selectors),
            ("claim {claim}", selectors),
        ):
            for number, expression in enumerate(expressions):
                allowed = STEP_LIMIT if most_steps is None else most_steps - steps
                verdict = compiled_selector(expression).verdict(entry.facts, allowed)
                if verdict.is_cut_short:
                    return None
                steps += verdict.steps
                parts.append(verdict)
                what = "compile" if verdict.is_compile_error else "runtime"
                if verdict.error:
                    where = f"{owner}: selector #{number} on device {entry.device_id}"
                    shown = f"{expression[:_MOST_SHOWN]}{'...' if len(expression) > _MOST_SHOWN else ''}"
                    return f"{where}: CEL {what} error: {verdict.error}; expression: {shown}", steps
                if not verdict.is_match:
                    return self._join(key, parts, is_match=False), steps
        return self._join(key, parts, is_match=True), steps

    def _join(self, key: SelectorKey, parts: list[SelectorVerdict], *, is_match: bool) -> SelectorVerdict:
        # The parts are kept with their answer, so that their ids are not given to others.
        identity = key, tuple(map(id, parts))
        known = self._joined.get(identity)
        if known is None:
            verdict = SelectorVerdict(is_match=is_match, steps=sum(part.steps for part in parts))
            known = self._joined.keep(identity, (parts, verdict))
        return known[1]
