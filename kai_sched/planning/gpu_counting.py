"""What a claim or a device counts as ``gpu`` in quotas, limits and fair shares.

The admin's rules decide which device classes count and with which weight. Without rules: every class whose name
contains "gpu", as KAI has it, and MIG classes; one device counts 1, a MIG partition its g.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from functools import lru_cache

from kai_sched.devices.cel.selector import compiled_selector
from kai_sched.devices.index import DeviceIndex
from kai_sched.devices.pools import PooledDevice, PoolKey
from kai_sched.model.devices import AllocationMode, Claim, ClaimSpec, DeviceRequest, DeviceResult
from kai_sched.model.ids import NodeName
from kai_sched.model.policy import GpuClassRule

_MIG_RESOURCE = re.compile(r"nvidia\.com/mig-(\d+)g\b")
_MIG_PROFILE = re.compile(r"(\d+)g\.\d+gb")
_MIG_NAME = re.compile(r"(?:^|-)mig-(\d+)g")
_MIG_CLASS = re.compile(r"(?:^|[^a-z])mig(?:[^a-z]|$)")
_BUS_ID = "resource.kubernetes.io/pciBusID"


def mig_size_of_resource(name: str) -> int:
    """The g of an extended resource ``nvidia.com/mig-<g>g.<memory>gb``, 0 for other resources."""
    found = _MIG_RESOURCE.match(name)
    return int(found.group(1)) if found else 0


@lru_cache(maxsize=2)
def gpu_counting(index: DeviceIndex, rules: tuple[GpuClassRule, ...] = ()) -> GpuCounting:
    """The counting of a fleet, kept while the fleet stays the same."""
    return GpuCounting(index, rules)


class GpuCounting:
    """Counts for one fleet and one set of rules. Lookups are cached; the caches never change an answer."""

    def __init__(self, index: DeviceIndex, rules: tuple[GpuClassRule, ...] = ()) -> None:
        self._index = index
        self._rules = rules
        self._devices = _newest(index.devices)
        self._plain = tuple(entry for entry in self._devices if not _is_varied(entry))
        self._varied = tuple(entry for entry in self._devices if _is_varied(entry))
        self._by_id = {entry.device_id: entry for entry in self._devices}
        self._by_spec: dict[ClaimSpec, float] = {}
        self._totals: Mapping[NodeName | None, float] | None = None

    def of_claim(self, claim: Claim) -> float:
        """What a claim counts: its devices once it has them, until then the most that it may take."""
        if claim.allocation is None:
            return self.of_spec(claim.spec)
        classes = _classes_by_request(claim.spec)
        return sum(
            self._of_result(result, classes.get(result.request, ""))
            for result in claim.allocation.results
            if not result.admin_access
        )

    def of_spec(self, spec: ClaimSpec) -> float:
        """The most that a claim not yet allocated may count; alternatives count as the largest of them."""
        known = self._by_spec.get(spec)
        if known is None:
            known = self._by_spec[spec] = sum(
                max(self._of_request(entry) for entry in request.first_available or (request,))
                for request in spec.requests
            )
        return known

    def of_class(self, name: str) -> float:
        """One device of a class, whichever it is (extended resources backed by the class)."""
        return self._of_request(DeviceRequest(name="", device_class=name))

    def on_node(self, node: NodeName | None) -> float:
        """The GPUs published for a node; None: those that belong to no single node."""
        if self._totals is None:
            self._totals = self._count_all()
        return self._totals.get(node, 0.0)

    def _of_request(self, request: DeviceRequest) -> float:
        if request.admin_access or not self._may_count(request.device_class):
            return 0.0
        if request.mode == AllocationMode.ALL:
            return max(self._all_by_node(request).values(), default=0.0)
        sizes = (self._size(request.device_class, entry, request) for entry in self._candidates(request))
        return request.count * max(sizes, default=self._weight_of_unknown(request.device_class))

    def _candidates(self, request: DeviceRequest) -> Iterator[PooledDevice]:
        """Matching devices among which the one that counts most is found; of equal ones the first is enough."""
        has_selectors = any(rule.selector for rule in self._rules)
        for entry in self._plain:
            if self._matches(request.device_class, request.selectors, entry):
                yield entry
                if not has_selectors:
                    break
        yield from (
            entry for entry in self._varied if self._matches(request.device_class, request.selectors, entry)
        )

    def _all_by_node(self, request: DeviceRequest) -> dict[NodeName | None, float]:
        sums: dict[NodeName | None, float] = defaultdict(float)
        for entry in self._devices:
            if self._matches(request.device_class, request.selectors, entry):
                sums[_node_of(entry)] += self._size(request.device_class, entry, request)
        return sums

    def _size(self, class_name: str, entry: PooledDevice, request: DeviceRequest) -> float:
        size = self._weight(class_name, entry) * _mig_size(entry)
        if not entry.device.allow_multiple_allocations:
            return size
        return size * _part_of(entry, dict(request.capacity))

    def _of_result(self, result: DeviceResult, class_name: str) -> float:
        entry = self._by_id.get(result.device_id)
        if entry is None:
            # Withdrawn by its driver while in use: it still counts as what its class says.
            found = _MIG_NAME.search(result.device)
            return self._weight_of_unknown(class_name) * (int(found.group(1)) if found else 1)
        size = self._weight(class_name, entry) * _mig_size(entry)
        if not result.share_id:
            return size
        return size * _part_of(entry, dict(result.consumed_capacity))

    def _weight(self, class_name: str, entry: PooledDevice) -> float:
        if not self._rules:
            return 1.0 if self._may_count(class_name) else 0.0
        for rule in self._rules:
            if rule.device_class in ("", class_name) and _holds(rule.selector, entry):
                return rule.weight
        return 0.0

    def _weight_of_unknown(self, class_name: str) -> float:
        if not self._rules:
            return 1.0 if self._may_count(class_name) else 0.0
        return max(
            (rule.weight for rule in self._rules if rule.device_class in ("", class_name)), default=0.0
        )

    def _may_count(self, class_name: str) -> bool:
        if self._rules:
            return any(rule.device_class in ("", class_name) for rule in self._rules)
        return "gpu" in class_name or _MIG_CLASS.search(class_name) is not None

    def _matches(self, class_name: str, selectors: tuple[str, ...], entry: PooledDevice) -> bool:
        if class_name not in self._index.classes:
            return False
        verdict = self._index.verdict_on((class_name, selectors), entry)
        return not isinstance(verdict, str) and verdict.is_match

    def _count_all(self) -> dict[NodeName | None, float]:
        """By node; the forms in which one physical GPU is published count once.

        Where it can be had whole, it counts as whole; where only its partitions are published, as their sum.
        """
        classes = [name for name in self._index.classes if self._may_count(name)]
        whole: dict[tuple[object, ...], float] = defaultdict(float)
        parts: dict[tuple[object, ...], float] = defaultdict(float)
        home: dict[tuple[object, ...], NodeName | None] = {}
        for entry in self._devices:
            weight = max(
                (self._weight(name, entry) for name in classes if self._matches(name, (), entry)), default=0.0
            )
            if weight == 0.0:
                continue
            hardware = _hardware_of(entry)
            home[hardware] = _node_of(entry)
            if _is_partition(entry):
                parts[hardware] += weight * _mig_size(entry)
            else:
                whole[hardware] = max(whole[hardware], weight)
        totals: dict[NodeName | None, float] = defaultdict(float)
        for hardware, node in home.items():
            totals[node] += whole.get(hardware) or parts[hardware]
        return dict(totals)


def _newest(devices: Iterable[PooledDevice]) -> tuple[PooledDevice, ...]:
    """Devices of each pool's newest generation: older slices are about to be deleted."""
    entries = tuple(devices)
    newest: dict[PoolKey, int] = {}
    for entry in entries:
        generation = entry.published_in.generation
        newest[entry.pool_key] = max(newest.get(entry.pool_key, generation), generation)
    return tuple(entry for entry in entries if entry.published_in.generation == newest[entry.pool_key])


def _classes_by_request(spec: ClaimSpec) -> dict[str, str]:
    classes = {request.name: request.device_class for request in spec.requests}
    for request in spec.requests:
        for entry in request.first_available:
            classes[f"{request.name}/{entry.name}"] = entry.device_class
    return classes


def _node_of(entry: PooledDevice) -> NodeName | None:
    return entry.published_in.node_name or entry.device.node_name


def _holds(selector: str, entry: PooledDevice) -> bool:
    return not selector or compiled_selector(selector).verdict(entry.facts).is_match


def _attribute(entry: PooledDevice, name: str) -> str:
    """A string attribute by bare or qualified name, "" if absent."""
    for key, (kind, value) in entry.device.attributes:
        if kind == "string" and key in (name, f"{entry.driver}/{name}"):
            return str(value)
    return ""


def _mig_size(entry: PooledDevice) -> int:
    """The g of a MIG partition, 1 for everything else."""
    found = _MIG_PROFILE.match(_attribute(entry, "profile")) or _MIG_NAME.search(entry.name)
    return int(found.group(1)) if found else 1


def _is_partition(entry: PooledDevice) -> bool:
    return bool(
        _attribute(entry, "parentUUID")
        or _MIG_PROFILE.match(_attribute(entry, "profile"))
        or _MIG_NAME.search(entry.name)
    )


def _is_varied(entry: PooledDevice) -> bool:
    """Whether one such device may count differently from another."""
    return entry.device.allow_multiple_allocations or _is_partition(entry)


def _hardware_of(entry: PooledDevice) -> tuple[object, ...]:
    """The physical GPU behind a device: its counters, its bus address, its (parent's) uuid, else itself."""
    device = entry.device
    if device.consumes_counters:
        return (*entry.pool_key, "counters", device.consumes_counters[0].counter_set)
    if bus_id := _attribute(entry, _BUS_ID):
        return (*entry.pool_key, "bus", bus_id)
    if uuid := _attribute(entry, "parentUUID") or _attribute(entry, "uuid"):
        return (*entry.pool_key, "uuid", uuid)
    return (*entry.pool_key, "name", entry.name)


def _part_of(entry: PooledDevice, consumed: Mapping[str, Fraction]) -> float:
    """How much of a device that takes many claims is consumed: by memory, else by its scarcest capacity.

    What a request leaves out it gets by the device's default, which is all of it where there is none.
    """
    parts = {
        name: min(_consumed(name, consumed, entry) / capacity.value, Fraction(1))
        for name, capacity in entry.device.capacity
        if capacity.value > 0
    }
    memory = [part for name, part in parts.items() if name.rpartition("/")[2] == "memory"]
    return float(max(memory or parts.values(), default=Fraction(1)))


def _consumed(name: str, consumed: Mapping[str, Fraction], entry: PooledDevice) -> Fraction:
    if name in consumed:
        return consumed[name]
    capacity = dict(entry.device.capacity)[name]
    if capacity.policy is not None and capacity.policy.default is not None:
        return capacity.policy.default
    return capacity.value
