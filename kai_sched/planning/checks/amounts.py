"""What pods hold, in the units of quotas: the judge's own count, of what is really given.

gpu counts whole GPUs of device plugins, partitions by their size, parts of shared GPUs and the devices that claims have.
A claim without devices counts nothing: the plan says which it gets. So the judge may count less than the engine, which
must reckon with the most that a claim may take, and never more.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from fractions import Fraction
from typing import Final

from kai_sched.devices.cel.device_view import DeviceFacts
from kai_sched.devices.cel.selector import compiled_selector
from kai_sched.model.devices import ClaimAllocation, ClaimSpec, Device, DeviceClass, DeviceResult
from kai_sched.model.ids import NodeName
from kai_sched.model.nodes import Node
from kai_sched.model.policy import Policy
from kai_sched.model.queues import QuotaVector
from kai_sched.model.resources import CLASS_DOMAIN, CPU, MEMORY
from kai_sched.model.snapshot import Fleet
from kai_sched.model.workloads import Pod, PodSpec
from kai_sched.placement.checker.pools import Pools
from kai_sched.placement.checker.selectors import request_of

_MEGABYTE: Final = 10**6
_PROFILE: Final = re.compile(r"(\d+)g\.\d+gb")
_NAME_OF_PARTITION: Final = re.compile(r"(?:^|-)mig-(\d+)g")
_CLASS_OF_PARTITIONS: Final = re.compile(r"(?:^|[^a-z])mig(?:[^a-z]|$)")


class Amounts:
    """The count over one fleet under one policy; remembers sizes of devices, which do not change while it lives."""

    def __init__(self, fleet: Fleet, policy: Policy, pools: Pools) -> None:
        self._policy = policy
        self._pools = pools
        self._nodes: Mapping[str, Node] = {node.name: node for node in fleet.nodes}
        self._smallest_mib = min((n.gpu_memory_mib for n in fleet.nodes if n.gpu_memory_mib > 0), default=0)
        self._class_of = _backing(fleet.device_classes)
        self._sizes: dict[tuple[str, str, str, str, str], float] = {}
        self._specs: dict[int, tuple[PodSpec, QuotaVector]] = {}

    def of_pod(self, pod: Pod, where: NodeName | None) -> QuotaVector:
        """A pod on a node, without its claims."""
        known = self._specs.get(id(pod.spec))
        if known is None:
            # The spec is kept with its answer, so that its id is not given to another.
            known = self._specs[id(pod.spec)] = (pod.spec, self._of_spec(pod.spec))
        vector, share = known[1], pod.spec.gpu_share
        node = self._nodes.get(where) if where is not None else None
        if share is not None and share.memory_mib:
            has = (node.gpu_memory_mib if node is not None else 0) or self._smallest_mib
            vector += QuotaVector(gpu=share.devices * (share.memory_mib / has if has else 1.0))
        if pod.spec.extended and node is not None:
            vector += QuotaVector(gpu=self._plugged(pod.spec, node))
        return vector

    def of_devices(
        self,
        spec: ClaimSpec,
        allocation: ClaimAllocation,
        where: NodeName | None,
        but: Container[str] = (),
    ) -> float:
        """The GPUs among the devices of a claim, used from a node; those of some requests are left out."""
        return sum(
            self._of_device(spec, one, where)
            for one in allocation.results
            if not one.admin_access and one.request not in but
        )

    def counted_by_name(self, pod: Pod) -> frozenset[str]:
        """Requests of the claim made for a pod's extended resources that count by the resource's name already."""
        return frozenset(one.name for one in pod.spec.extended if self._is_gpu(one.resource))

    def _of_spec(self, spec: PodSpec) -> QuotaVector:
        gpus, asked = 0.0, dict(spec.requests)
        for name, amount in asked.items():
            if name in self._policy.gpu_resources:
                gpus += amount
            elif partition := re.fullmatch(self._policy.partition_resources, name):
                gpus += amount * int(partition[1])
        if spec.gpu_share is not None and spec.gpu_share.portion_micros:
            gpus += spec.gpu_share.devices * spec.gpu_share.portion_micros / 10**6
        return QuotaVector(gpus, asked.get(CPU, 0), asked.get(MEMORY, 0) / _MEGABYTE)

    def _plugged(self, spec: PodSpec, node: Node) -> float:
        """Resources that a class stands for where a device plugin counts them; elsewhere a claim has the devices."""
        offered = dict(node.allocatable)
        return sum(
            amount * self._weight(self._class_of[name].name, None, "")
            for name, amount in spec.requests
            if name in self._class_of and offered.get(name, 0) and not self._is_gpu(name)
        )

    def _is_gpu(self, resource: str) -> bool:
        is_partition = re.fullmatch(self._policy.partition_resources, resource) is not None
        return is_partition or resource in self._policy.gpu_resources

    def _of_device(self, spec: ClaimSpec, result: DeviceResult, where: NodeName | None) -> float:
        request = request_of(spec, result.request)
        device_class = request.device_class if request is not None else ""
        node = self._nodes.get(where) if where is not None else None
        home = node.name if node is not None else ""
        key = (result.driver, result.pool, result.device, home, device_class)
        device = self._find(result, node)
        if key not in self._sizes:
            self._sizes[key] = self._weight(device_class, device, result.driver) * _parts(result, device)
        whole = self._sizes[key]
        if not result.share_id or device is None:
            return whole
        return whole * float(_part_of(device, dict(result.consumed_capacity)))

    def _find(self, result: DeviceResult, node: Node | None) -> Device | None:
        if node is not None:
            found = self._pools.look_up(result, node)
            return found.device if found is not None else None
        return self._pools.newest((result.driver, result.pool)).find(result.device)

    def _weight(self, device_class: str, device: Device | None, driver: str) -> float:
        """How much one device counts, or one of which only the class is known: then the most."""
        rules = self._policy.gpu_classes
        if not rules:
            return float("gpu" in device_class or _CLASS_OF_PARTITIONS.search(device_class) is not None)
        mine = [rule for rule in rules if rule.device_class in ("", device_class)]
        if device is None:
            return max((rule.weight for rule in mine), default=0.0)
        facts = DeviceFacts(driver, device)
        for rule in mine:
            if not rule.selector or compiled_selector(rule.selector).verdict(facts).is_match:
                return rule.weight
        return 0.0


def _backing(classes: tuple[DeviceClass, ...]) -> dict[str, DeviceClass]:
    """Class by extended resource: of several the newest, then the first by name."""
    found: dict[str, DeviceClass] = {}
    for one in sorted(classes, key=lambda one: (one.created_at, [-ord(letter) for letter in one.name])):
        found[f"{CLASS_DOMAIN}/{one.name}"] = one
        if one.extended_resource_name:
            found[one.extended_resource_name] = one
    return found


def _parts(result: DeviceResult, device: Device | None) -> int:
    """How many GPUs' worth a partition is; 1 for everything else."""
    for key, (kind, value) in device.attributes if device is not None else ():
        if kind == "string" and key in ("profile", f"{result.driver}/profile"):
            profile = _PROFILE.match(str(value))
            if profile:
                return int(profile[1])
    named = _NAME_OF_PARTITION.search(result.device)
    return (int(named[1]) if named else 0) or 1


def _part_of(device: Device, consumed: Mapping[str, Fraction]) -> Fraction:
    """What part of a device that serves many is given: by memory if it has any, else by what is given most of."""
    parts = {
        name: min(Fraction(1), consumed.get(name, Fraction(0)) / capacity.value)
        for name, capacity in device.capacity
        if capacity.value > 0
    }
    of_memory = [part for name, part in parts.items() if name.rpartition("/")[2] == "memory"]
    return max(of_memory, default=Fraction(0)) or max(parts.values(), default=Fraction(1))
