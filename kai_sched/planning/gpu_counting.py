"""What a claim or a device counts as ``gpu`` in quotas, limits and fair shares.

The admin's rules decide which device classes count and with which weight. Without rules: every class whose name
contains "gpu", as KAI has it, and MIG classes; one device counts 1, a MIG partition its g.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

from kai_sched.devices.cel.selector import compiled_selector
from kai_sched.devices.closures import OPEN
from kai_sched.devices.index import EXPENSIVE, DeviceIndex, SelectorKey
from kai_sched.devices.memory import Kept
from kai_sched.devices.pools import PooledDevice
from kai_sched.devices.results import pinned_node
from kai_sched.model.devices import (
    AllocationMode,
    AttributeValue,
    Claim,
    ClaimSpec,
    Device,
    DeviceCapacity,
    DeviceRequest,
    DeviceResult,
)
from kai_sched.model.ids import NodeName
from kai_sched.model.integers import int_of_digits
from kai_sched.model.policy import GpuClassRule

MOST_PARTS = 1024
"""No device is cut into more."""
_MIG_PROFILE = re.compile(r"(\d+)g\.\d+gb", re.ASCII)
_MIG_NAME = re.compile(r"(?:^|-)mig-(\d+)g", re.ASCII)
_MIG_CLASS = re.compile(r"(?:^|[^a-z])mig(?:[^a-z]|$)")
_BUS_ID = "resource.kubernetes.io/pciBusID"
_MOST_SPECS: Final = 20_000
_MOST_COUNTINGS: Final = 4


@lru_cache(maxsize=4096)
def partition_size(name: str, pattern: str) -> int:
    """How many GPUs an extended resource of partitions counts, 0 for other resources; see ``Policy``."""
    return _size_in(re.fullmatch(pattern, name))


def _size_in(found: re.Match[str] | None) -> int:
    """The number that a name says, 0 without one; names are other people's and say anything."""
    return min(int_of_digits(found.group(1)), MOST_PARTS) if found else 0


def gpu_counting(index: DeviceIndex, rules: tuple[GpuClassRule, ...] = ()) -> GpuCounting:
    """The counting of a fleet, kept while the fleet stays the same."""
    countings = index.memory.part(_Countings)
    return countings.get(rules) or countings.keep(rules, GpuCounting(index, rules))


class GpuCounting:
    """Counts for one fleet and one set of rules. Lookups are cached; the caches never change an answer."""

    def __init__(self, index: DeviceIndex, rules: tuple[GpuClassRule, ...] = ()) -> None:
        self._index = index
        self._rules = rules
        self._devices = tuple(_Published.of(entry) for entry in index.current_devices)
        self._plain = tuple(device for device in self._devices if not device.is_varied)
        self._varied = tuple(device for device in self._devices if device.is_varied)
        self._known = {device.entry.ordinal: device for device in self._devices}
        self._tells_devices_apart = (
            any(rule.selector for rule in rules) or len({rule.weight for rule in rules}) > 1
        )
        self._by_spec = Kept[ClaimSpec, float](_MOST_SPECS)
        self._totals: Mapping[NodeName | None, float] | None = None
        self._expensive: set[SelectorKey] = set()

    def of_claim(self, claim: Claim) -> float:
        """What a claim counts: its devices once it has them, until then the most that it may take."""
        if claim.allocation is None:
            return self.of_spec(claim.spec)
        classes = _classes_by_request(claim.spec)
        node = pinned_node(claim.allocation)
        return sum(
            self._of_result(result, node, classes.get(result.request, ""))
            for result in claim.allocation.results
            if not result.admin_access
        )

    def of_spec(self, spec: ClaimSpec) -> float:
        """The most that a claim not yet allocated may count; alternatives count as the largest of them."""
        known = self._by_spec.get(spec)
        if known is None:
            counted = sum(
                max(self._of_request(entry) for entry in request.first_available or (request,))
                for request in spec.requests
            )
            known = self._by_spec.keep(spec, counted)
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

    def _candidates(self, request: DeviceRequest) -> Iterator[_Published]:
        """Matching devices among which the one that counts most is found; of equal ones the first is enough."""
        for device in self._plain:
            if self._matches(request.device_class, request.selectors, device):
                yield device
                if not self._tells_devices_apart:
                    break
        yield from (
            device
            for device in self._varied
            if self._matches(request.device_class, request.selectors, device)
        )

    def _all_by_node(self, request: DeviceRequest) -> dict[NodeName | None, float]:
        sums: dict[NodeName | None, float] = defaultdict(float)
        for device in self._devices:
            if self._matches(request.device_class, request.selectors, device):
                sums[device.node] += self._size(request.device_class, device, request)
        return sums

    def _size(self, class_name: str, device: _Published, request: DeviceRequest) -> float:
        size = self._weight(class_name, device) * device.mig_size
        if not device.entry.device.allow_multiple_allocations:
            return size
        return size * _part_of(device.entry.device, dict(request.capacity))

    def _of_result(self, result: DeviceResult, node: NodeName | None, class_name: str) -> float:
        entry = self._index.held_device(result, node)
        if entry is None:
            # Withdrawn by its driver while in use: it still counts as what its class says.
            return self._weight_of_unknown(class_name) * (_mig_size_of_name(result.device) or 1)
        device = self._known.get(entry.ordinal) or _Published.of(entry)
        size = self._weight(class_name, device) * device.mig_size
        if not result.share_id:
            return size
        return size * _part_of(device.entry.device, dict(result.consumed_capacity))

    def _weight(self, class_name: str, device: _Published) -> float:
        if not self._rules:
            return 1.0 if self._may_count(class_name) else 0.0
        for rule in self._rules:
            if rule.device_class in ("", class_name) and _holds(rule.selector, device.entry):
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

    def _matches(self, class_name: str, selectors: tuple[str, ...], device: _Published) -> bool:
        key = (class_name, selectors, OPEN)
        if class_name not in self._index.classes or key in self._expensive:
            return False
        verdict = self._index.verdict_on(key, device.entry)
        if verdict is EXPENSIVE:
            # Nobody counts by such selectors; telling for every device would hold the cycle.
            self._expensive.add(key)
        return not isinstance(verdict, str) and verdict.is_match

    def _count_all(self) -> dict[NodeName | None, float]:
        """By node; the forms in which one physical GPU is published count once.

        Where it can be had whole, it counts as whole; where only its partitions are published, as their sum.
        """
        classes = [name for name in self._index.classes if self._may_count(name)]
        whole: dict[_Hardware, float] = {}
        parts: dict[_Hardware, float] = {}
        home: dict[_Hardware, NodeName | None] = {}
        for device in self._devices:
            weight = self._most_weight(classes, device)
            if weight == 0.0:
                continue
            hardware = device.hardware
            home[hardware] = device.node
            if device.is_partition:
                parts[hardware] = parts.get(hardware, 0.0) + weight * device.mig_size
            else:
                whole[hardware] = max(whole.get(hardware, 0.0), weight)
        totals: dict[NodeName | None, float] = {}
        for hardware, node in home.items():
            totals[node] = totals.get(node, 0.0) + (whole.get(hardware) or parts[hardware])
        return totals

    def _most_weight(self, classes: list[str], device: _Published) -> float:
        matching = (self._weight(name, device) for name in classes if self._matches(name, (), device))
        return max(matching, default=0.0) if self._tells_devices_apart else next(matching, 0.0)


def _classes_by_request(spec: ClaimSpec) -> dict[str, str]:
    classes = {request.name: request.device_class for request in spec.requests}
    for request in spec.requests:
        for entry in request.first_available:
            classes[f"{request.name}/{entry.name}"] = entry.device_class
    return classes


def _holds(selector: str, entry: PooledDevice) -> bool:
    return not selector or compiled_selector(selector).verdict(entry.facts).is_match


_Hardware = tuple[str, str, NodeName | None, str, str]
"""(driver, pool, node, kind of identity, identity) of a physical device."""


@dataclass(frozen=True, slots=True)
class _Published:
    """A device with what decides how it counts."""

    entry: PooledDevice
    node: NodeName | None
    mig_size: int
    """The g of a MIG partition, 1 for everything else."""
    is_partition: bool
    hardware: _Hardware

    @property
    def is_varied(self) -> bool:
        """Whether such a device may count differently from another of its class."""
        return self.is_partition or self.entry.device.allow_multiple_allocations

    @staticmethod
    def of(entry: PooledDevice) -> _Published:
        """Read a device's attributes once."""
        device = entry.device
        strings = _Strings(entry.driver, dict(device.attributes))
        parent = strings.get("parentUUID")
        profile = _MIG_PROFILE.match(strings.get("profile"))
        size = _size_in(profile) if profile else _mig_size_of_name(entry.name)
        # The counters, the bus address and the uuid of a partition are those of the GPU it is part of.
        if device.consumes_counters:
            identity = ("counters", device.consumes_counters[0].counter_set)
        elif bus_id := strings.get(_BUS_ID):
            identity = ("bus", bus_id)
        elif uuid := parent or strings.get("uuid"):
            identity = ("uuid", uuid)
        else:
            identity = ("name", entry.name)
        hardware = (entry.driver, entry.pool, entry.home, *identity)
        return _Published(entry, entry.home, size or 1, bool(parent) or size > 0, hardware)


@dataclass(frozen=True, slots=True)
class _Strings:
    """String attributes of a device by bare or qualified name."""

    driver: str
    values: Mapping[str, AttributeValue]

    def get(self, name: str) -> str:
        kind, value = self.values.get(name) or self.values.get(f"{self.driver}/{name}") or ("", "")
        return str(value) if kind == "string" else ""


def _mig_size_of_name(device: str) -> int:
    return _size_in(_MIG_NAME.search(device)) if "mig-" in device else 0


def _part_of(device: Device, consumed: Mapping[str, Fraction]) -> float:
    """How much of a device that takes many claims is consumed: by memory where it takes any, else by its scarcest capacity.

    What a request leaves out it gets by the device's default, which is all of it where there is none.
    """
    parts = {
        name: min(consumed.get(name, _default_of(capacity)) / capacity.value, Fraction(1))
        for name, capacity in device.capacity
        if capacity.value > 0
    }
    memory = [part for name, part in parts.items() if name.rpartition("/")[2] == "memory"]
    return float(max(memory, default=Fraction(0)) or max(parts.values(), default=Fraction(1)))


def _default_of(capacity: DeviceCapacity) -> Fraction:
    policy = capacity.policy
    return capacity.value if policy is None or policy.default is None else policy.default


class _Countings(Kept[tuple[GpuClassRule, ...], GpuCounting]):
    """By the rules of a policy."""

    def __init__(self) -> None:
        super().__init__(_MOST_COUNTINGS)
