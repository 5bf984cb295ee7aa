"""The kinds that we read or write, and their paths on the API server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object in one API version."""

    group: str
    """"" for the core group."""
    version: str
    plural: str
    kind: str
    is_namespaced: bool = True

    @property
    def api_version(self) -> str:
        """``apiVersion`` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def api_path(self) -> str:
        """Path of its group and version, where discovery answers."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def collection(self, namespace: str = "") -> str:
        """Path of all its objects, or of those of one namespace."""
        if namespace and self.is_namespaced:
            return f"{self.api_path}/namespaces/{quote(namespace, safe='')}/{self.plural}"
        return f"{self.api_path}/{self.plural}"

    def item(self, name: str, namespace: str = "", subresource: str = "") -> str:
        """Path of one object or of its subresource."""
        path = f"{self.collection(namespace)}/{quote(name, safe='')}"
        return f"{path}/{subresource}" if subresource else path

    def item_of_key(self, key: str, subresource: str = "") -> str:
        """Path of the object with this key (``namespace/name``, or ``name`` where it has no namespace)."""
        namespace, _, name = key.rpartition("/")
        return self.item(name, namespace, subresource)


def _in_cluster(group: str, version: str, plural: str, kind: str) -> Resource:
    return Resource(group, version, plural, kind, is_namespaced=False)


PODS: Final = Resource("", "v1", "pods", "Pod")
NODES: Final = _in_cluster("", "v1", "nodes", "Node")
NAMESPACES: Final = _in_cluster("", "v1", "namespaces", "Namespace")
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
EVENTS: Final = Resource("", "v1", "events", "Event")
SERVICE_ACCOUNTS: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount")
VOLUME_CLAIMS: Final = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
VOLUMES: Final = _in_cluster("", "v1", "persistentvolumes", "PersistentVolume")

STORAGE_CLASSES: Final = _in_cluster("storage.k8s.io", "v1", "storageclasses", "StorageClass")
CSI_NODES: Final = _in_cluster("storage.k8s.io", "v1", "csinodes", "CSINode")
CSI_DRIVERS: Final = _in_cluster("storage.k8s.io", "v1", "csidrivers", "CSIDriver")
STORAGE_CAPACITIES: Final = Resource("storage.k8s.io", "v1", "csistoragecapacities", "CSIStorageCapacity")

RESOURCE_SLICES: Final = _in_cluster("resource.k8s.io", "v1", "resourceslices", "ResourceSlice")
RESOURCE_CLAIMS: Final = Resource("resource.k8s.io", "v1", "resourceclaims", "ResourceClaim")
CLAIM_TEMPLATES: Final = Resource("resource.k8s.io", "v1", "resourceclaimtemplates", "ResourceClaimTemplate")
DEVICE_CLASSES: Final = _in_cluster("resource.k8s.io", "v1", "deviceclasses", "DeviceClass")
TAINT_RULES: Final = tuple(
    _in_cluster("resource.k8s.io", version, "devicetaintrules", "DeviceTaintRule")
    for version in ("v1", "v1beta2", "v1alpha3")
)
"""Newest first: the first version that is served is used."""

PRIORITY_CLASSES: Final = _in_cluster("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass")
NATIVE_POD_GROUPS: Final = tuple(
    Resource("scheduling.k8s.io", version, "podgroups", "PodGroup")
    for version in ("v1", "v1beta1", "v1alpha3")
)
DISRUPTION_BUDGETS: Final = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
JOBS: Final = Resource("batch", "v1", "jobs", "Job")
REPLICA_SETS: Final = Resource("apps", "v1", "replicasets", "ReplicaSet")
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
STATEFUL_SETS: Final = Resource("apps", "v1", "statefulsets", "StatefulSet")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
NEW_EVENTS: Final = Resource("events.k8s.io", "v1", "events", "Event")
CUSTOM_RESOURCES: Final = _in_cluster(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition"
)

QUEUES: Final = _in_cluster("scheduling.run.ai", "v2", "queues", "Queue")
POD_GROUPS: Final = Resource("scheduling.run.ai", "v2alpha2", "podgroups", "PodGroup")
TOPOLOGIES: Final = _in_cluster("kai.scheduler", "v1alpha1", "topologies", "Topology")
SHARDS: Final = _in_cluster("kai.scheduler", "v1", "schedulingshards", "SchedulingShard")

KNOWN: Final = (
    *(PODS, NODES, NAMESPACES, CONFIG_MAPS, EVENTS, SERVICE_ACCOUNTS, VOLUME_CLAIMS, VOLUMES),
    *(STORAGE_CLASSES, CSI_NODES, CSI_DRIVERS, STORAGE_CAPACITIES),
    *(RESOURCE_SLICES, RESOURCE_CLAIMS, CLAIM_TEMPLATES, DEVICE_CLASSES, *TAINT_RULES),
    *(
        PRIORITY_CLASSES,
        *NATIVE_POD_GROUPS,
        DISRUPTION_BUDGETS,
        JOBS,
        REPLICA_SETS,
        DEPLOYMENTS,
        STATEFUL_SETS,
        LEASES,
        NEW_EVENTS,
        CUSTOM_RESOURCES,
    ),
    *(QUEUES, POD_GROUPS, TOPOLOGIES, SHARDS),
)
