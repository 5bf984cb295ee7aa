"""Kinds of objects that are read, each known by its API group and kind, whatever version it was served in."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

Raw = dict[str, Any]
"""An object as the API server sends it: the wire is untyped until ``translate``."""


class Kind(NamedTuple):
    """API group ("" for core) and kind."""

    group: str
    name: str

    def __str__(self) -> str:
        return f"{self.name}.{self.group}" if self.group else self.name


POD: Final = Kind("", "Pod")
NODE: Final = Kind("", "Node")
NAMESPACE: Final = Kind("", "Namespace")
CONFIG_MAP: Final = Kind("", "ConfigMap")
VOLUME_CLAIM: Final = Kind("", "PersistentVolumeClaim")
VOLUME: Final = Kind("", "PersistentVolume")
STORAGE_CLASS: Final = Kind("storage.k8s.io", "StorageClass")
CSI_NODE: Final = Kind("storage.k8s.io", "CSINode")
CSI_DRIVER: Final = Kind("storage.k8s.io", "CSIDriver")
STORAGE_CAPACITY: Final = Kind("storage.k8s.io", "CSIStorageCapacity")
PRIORITY_CLASS: Final = Kind("scheduling.k8s.io", "PriorityClass")
NATIVE_POD_GROUP: Final = Kind("scheduling.k8s.io", "PodGroup")
DISRUPTION_BUDGET: Final = Kind("policy", "PodDisruptionBudget")
QUEUE: Final = Kind("scheduling.run.ai", "Queue")
POD_GROUP: Final = Kind("scheduling.run.ai", "PodGroup")
TOPOLOGY: Final = Kind("kai.scheduler", "Topology")
SHARD: Final = Kind("kai.scheduler", "SchedulingShard")
RESOURCE_SLICE: Final = Kind("resource.k8s.io", "ResourceSlice")
RESOURCE_CLAIM: Final = Kind("resource.k8s.io", "ResourceClaim")
CLAIM_TEMPLATE: Final = Kind("resource.k8s.io", "ResourceClaimTemplate")
DEVICE_CLASS: Final = Kind("resource.k8s.io", "DeviceClass")
DEVICE_TAINT_RULE: Final = Kind("resource.k8s.io", "DeviceTaintRule")
JOB: Final = Kind("batch", "Job")
CRON_JOB: Final = Kind("batch", "CronJob")
REPLICA_SET: Final = Kind("apps", "ReplicaSet")
DEPLOYMENT: Final = Kind("apps", "Deployment")
STATEFUL_SET: Final = Kind("apps", "StatefulSet")

VERSIONS: Final = {
    **dict.fromkeys((POD, NODE, NAMESPACE, CONFIG_MAP, VOLUME_CLAIM, VOLUME), ("v1",)),
    **dict.fromkeys((STORAGE_CLASS, CSI_NODE, CSI_DRIVER, STORAGE_CAPACITY, PRIORITY_CLASS), ("v1",)),
    **dict.fromkeys((RESOURCE_SLICE, RESOURCE_CLAIM, CLAIM_TEMPLATE, DEVICE_CLASS), ("v1",)),
    **dict.fromkeys((JOB, CRON_JOB, REPLICA_SET, DEPLOYMENT, STATEFUL_SET, DISRUPTION_BUDGET), ("v1",)),
    QUEUE: ("v2",),
    POD_GROUP: ("v2alpha2",),
    TOPOLOGY: ("v1alpha1",),
    SHARD: ("v1",),
}
"""The versions whose form is read; an object of another one is read as if it had the last."""


def kind_of(raw: Raw) -> Kind:
    """The kind of an object that carries apiVersion and kind.

    Raises:
        ValueError: one of the two is missing or no text.
    """
    version, name = raw.get("apiVersion"), raw.get("kind")
    if not isinstance(version, str) or not version:
        raise ValueError("apiVersion is missing")
    if not isinstance(name, str) or not name:
        raise ValueError("kind is missing")
    group, slash, _ = version.rpartition("/")
    return Kind(group if slash else "", name)
