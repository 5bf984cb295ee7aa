"""The shelves of every kind but pods, and the joins between them, each made again only when its parts change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import Any, Final, TypeVar

from kai_sched.api import kinds
from kai_sched.api.dra import translate_claim, translate_class, translate_slice, translate_taint_rule
from kai_sched.api.kinds import Kind, Raw
from kai_sched.api.last_resorts import closed, what_a_claim_holds
from kai_sched.api.snapshot import ADMIN_ACCESS
from kai_sched.api.translate import (
    InstalledDrivers,
    PriorityTable,
    translate_csi_driver,
    translate_csi_node,
    translate_namespace,
    translate_node,
    translate_pod_group,
    translate_queue,
    translate_storage_capacity,
    translate_storage_class,
    translate_topology,
    translate_volume,
    translate_volume_claim,
    with_drivers,
    with_gpu_memory,
)
from kai_sched.api.translate.fields import readable
from kai_sched.cluster.ports import Document
from kai_sched.cluster.shelf import Effect, Shelf
from kai_sched.model.devices import Claim, DeviceClass, DeviceTaintRule, ResourceSlice
from kai_sched.model.ids import NodeName, key_of
from kai_sched.model.nodes import Node
from kai_sched.model.policy import Policy
from kai_sched.model.queues import Queue
from kai_sched.model.snapshot import Unreadable
from kai_sched.model.topology import Topology
from kai_sched.model.volumes import CsiDriver, StorageCapacity, StorageClass, Volume, VolumeClaim
from kai_sched.model.workloads import PodGroup

T = TypeVar("T")
NamespaceLabels = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


class Stock:
    """What exists besides pods. Attributes are shelves; methods are joins."""

    def __init__(self) -> None:
        self.priorities = PriorityTable()
        self._admins: frozenset[str] = frozenset()
        self._joined: dict[str, tuple[object, Any]] = {}
        self.nodes: Shelf[Node] = Shelf("Node", translate_node)
        self.csi_nodes: Shelf[tuple[NodeName, InstalledDrivers]] = Shelf("CSINode", translate_csi_node)
        self.namespaces: Shelf[tuple[str, Mapping[str, str]]] = Shelf("Namespace", translate_namespace)
        self.config_maps: Shelf[str] = Shelf("ConfigMap", _key_alone)
        self.slices: Shelf[ResourceSlice] = Shelf(
            "ResourceSlice",
            partial(_tolerant, "ResourceSlice", translate_slice),
            order=attrgetter("driver", "pool", "name"),
        )
        self.classes: Shelf[DeviceClass] = Shelf(
            "DeviceClass", partial(_tolerant, "DeviceClass", translate_class)
        )
        self.taint_rules: Shelf[DeviceTaintRule] = Shelf(
            "DeviceTaintRule", partial(_tolerant, "DeviceTaintRule", translate_taint_rule)
        )
        self.claims: Shelf[Claim] = Shelf(
            "ResourceClaim",
            self._read_claim,
            last_resort=what_a_claim_holds,
            keep_documents=_awaits_allocation,
        )
        self.volume_claims: Shelf[VolumeClaim] = Shelf("PersistentVolumeClaim", translate_volume_claim)
        self.volumes: Shelf[Volume] = Shelf("PersistentVolume", translate_volume)
        self.storage_classes: Shelf[StorageClass] = Shelf("StorageClass", translate_storage_class)
        self.csi_drivers: Shelf[CsiDriver] = Shelf("CSIDriver", translate_csi_driver)
        self.capacities: Shelf[StorageCapacity] = Shelf("CSIStorageCapacity", translate_storage_capacity)
        self.queues: Shelf[Queue] = Shelf("Queue", translate_queue, keep_documents=True)
        self.topologies: Shelf[Topology] = Shelf("Topology", translate_topology, keep_documents=True)
        self.pod_groups: Shelf[PodGroup] = Shelf("PodGroup", self._read_pod_group, keep_documents=True)
        self.priority_classes: Shelf[str] = Shelf("PriorityClass", _key_and_version, keep_documents=True)
        self.shards: Shelf[str] = Shelf("SchedulingShard", _key_and_version, keep_documents=True)
        self.by_kind: Final[Mapping[Kind, Shelf[Any]]] = {
            kinds.NODE: self.nodes,
            kinds.CSI_NODE: self.csi_nodes,
            kinds.NAMESPACE: self.namespaces,
            kinds.CONFIG_MAP: self.config_maps,
            kinds.RESOURCE_SLICE: self.slices,
            kinds.DEVICE_CLASS: self.classes,
            kinds.DEVICE_TAINT_RULE: self.taint_rules,
            kinds.RESOURCE_CLAIM: self.claims,
            kinds.VOLUME_CLAIM: self.volume_claims,
            kinds.VOLUME: self.volumes,
            kinds.STORAGE_CLASS: self.storage_classes,
            kinds.CSI_DRIVER: self.csi_drivers,
            kinds.STORAGE_CAPACITY: self.capacities,
            kinds.QUEUE: self.queues,
            kinds.TOPOLOGY: self.topologies,
            kinds.POD_GROUP: self.pod_groups,
            kinds.PRIORITY_CLASS: self.priority_classes,
            kinds.SHARD: self.shards,
        }

    def nodes_of_shard(self, policy: Policy, unknown: frozenset[str]) -> tuple[Node, ...]:
        """Nodes of the policy's shard, with the drivers of their CSINode.

        On ``unknown`` nodes runs a pod that nobody can read: they take no more.
        """
        label, value, memory = policy.partition_label, policy.partition_value, policy.gpu_memory_label

        def join() -> tuple[Node, ...]:
            installed = dict(self.csi_nodes.in_order())
            awaited = [driver.name for driver in self.csi_drivers.in_order() if driver.is_awaited]
            nodes = (node for node in self.nodes.in_order() if (node.label(label) or "") == value)
            return tuple(
                with_drivers(with_gpu_memory(node, memory), installed.get(node.name, ()), awaited)
                for node in (closed(node) if node.name in unknown else node for node in nodes)
            )

        shelves = (self.nodes.version, self.csi_nodes.version, self.csi_drivers.version)
        versions = (shelves, unknown, label, value, memory)
        return self._once("nodes", versions, join)

    def storage_classes_with_tracking(self) -> tuple[StorageClass, ...]:
        """Storage classes, told whether their driver publishes its capacity."""

        def join() -> tuple[StorageClass, ...]:
            tracking = {driver.name for driver in self.csi_drivers.in_order() if driver.tracks_capacity}
            return tuple(
                replace(item, has_capacity_tracking=item.provisioner in tracking)
                for item in self.storage_classes.in_order()
            )

        return self._once("storage", (self.storage_classes.version, self.csi_drivers.version), join)

    def namespace_labels(self) -> NamespaceLabels:
        """Labels by namespace, sorted."""

        def join() -> NamespaceLabels:
            return tuple((name, tuple(sorted(labels.items()))) for name, labels in self.namespaces.in_order())

        return self._once("namespaces", self.namespaces.version, join)

    def config_map_keys(self) -> frozenset[str]:
        """Keys of the ConfigMaps that exist."""
        return self._once(
            "config maps", self.config_maps.version, lambda: frozenset(self.config_maps.records)
        )

    def unreadable(self) -> list[Unreadable]:
        """Every object that could not be read."""
        return [problem for shelf in self.by_kind.values() for problem in shelf.unreadable.values()]

    def namespaces_changed(self) -> Effect:
        """Claims may use admin access where their namespace says so."""
        admins = frozenset(
            name for name, labels in self.namespaces.records.values() if labels.get(ADMIN_ACCESS) == "true"
        )
        changed, self._admins = admins ^ self._admins, admins
        effects = [
            self.claims.put(key, replace(claim, namespace_allows_admin=_namespace(key) in admins))
            for key, claim in list(self.claims.records.items())
            if _namespace(key) in changed and key not in self.claims.unreadable
        ]
        return max(effects, default=Effect.NOTHING)

    def priorities_changed(self) -> Effect:
        """Pod groups name classes, decisions know values."""
        self.priorities, problems = PriorityTable.build(self.priority_classes.documents.values())
        self.priority_classes.unreadable = {problem.key: problem for problem in problems}
        return self.pod_groups.read_again()

    def _read_claim(self, raw: Raw) -> Claim | Unreadable:
        allows = str(raw["metadata"].get("namespace")) in self._admins
        return readable("ResourceClaim", translate_claim, raw, namespace_allows_admin=allows)

    def _read_pod_group(self, raw: Raw) -> PodGroup | Unreadable:
        return translate_pod_group(raw, self.priorities)

    def _once(self, name: str, versions: object, join: Callable[[], T]) -> T:
        known = self._joined.get(name)
        if known is None or known[0] != versions:
            known = self._joined[name] = (versions, join())
        result: T = known[1]
        return result


def _awaits_allocation(document: Document) -> bool:
    """Whether we may have to write the claim: then the binder needs no call to read it. Held ones are many."""
    return not _mapping(document.get("status")).get("allocation")


def _tolerant(kind: str, read: Callable[[Raw], T], raw: Raw) -> T | Unreadable:
    return readable(kind, read, raw)


def _key_alone(raw: Raw) -> str:
    metadata = raw["metadata"]
    return key_of(str(metadata.get("namespace")), str(metadata["name"]))


def _key_and_version(raw: Raw) -> str:
    metadata = raw["metadata"]
    return f"{metadata['name']}@{metadata.get('resourceVersion')}"


def _namespace(key: str) -> str:
    return key.partition("/")[0]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
