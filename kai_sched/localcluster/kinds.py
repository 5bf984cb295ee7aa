"""Paths of the kinds that a cluster is set up with, so that no discovery is needed for them."""

from __future__ import annotations

from dataclasses import dataclass

from kai_sched.errors import ControlPlaneError


@dataclass(frozen=True, slots=True)
class Kind:
    """Where a kind lives in the API."""

    group_version: str
    plural: str
    is_namespaced: bool = True


KINDS: dict[str, Kind] = {
    "Namespace": Kind("v1", "namespaces", is_namespaced=False),
    "Node": Kind("v1", "nodes", is_namespaced=False),
    "Pod": Kind("v1", "pods"),
    "Event": Kind("v1", "events"),
    "Secret": Kind("v1", "secrets"),
    "ConfigMap": Kind("v1", "configmaps"),
    "Service": Kind("v1", "services"),
    "ServiceAccount": Kind("v1", "serviceaccounts"),
    "PersistentVolume": Kind("v1", "persistentvolumes", is_namespaced=False),
    "PersistentVolumeClaim": Kind("v1", "persistentvolumeclaims"),
    "StorageClass": Kind("storage.k8s.io/v1", "storageclasses", is_namespaced=False),
    "CSINode": Kind("storage.k8s.io/v1", "csinodes", is_namespaced=False),
    "CSIDriver": Kind("storage.k8s.io/v1", "csidrivers", is_namespaced=False),
    "CSIStorageCapacity": Kind("storage.k8s.io/v1", "csistoragecapacities"),
    "Job": Kind("batch/v1", "jobs"),
    "Deployment": Kind("apps/v1", "deployments"),
    "ReplicaSet": Kind("apps/v1", "replicasets"),
    "StatefulSet": Kind("apps/v1", "statefulsets"),
    "DaemonSet": Kind("apps/v1", "daemonsets"),
    "PodDisruptionBudget": Kind("policy/v1", "poddisruptionbudgets"),
    "PriorityClass": Kind("scheduling.k8s.io/v1", "priorityclasses", is_namespaced=False),
    "RuntimeClass": Kind("node.k8s.io/v1", "runtimeclasses", is_namespaced=False),
    "Lease": Kind("coordination.k8s.io/v1", "leases"),
    "Role": Kind("rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": Kind("rbac.authorization.k8s.io/v1", "rolebindings"),
    "ClusterRole": Kind("rbac.authorization.k8s.io/v1", "clusterroles", is_namespaced=False),
    "ClusterRoleBinding": Kind("rbac.authorization.k8s.io/v1", "clusterrolebindings", is_namespaced=False),
    "ResourceSlice": Kind("resource.k8s.io/v1", "resourceslices", is_namespaced=False),
    "DeviceClass": Kind("resource.k8s.io/v1", "deviceclasses", is_namespaced=False),
    "ResourceClaim": Kind("resource.k8s.io/v1", "resourceclaims"),
    "ResourceClaimTemplate": Kind("resource.k8s.io/v1", "resourceclaimtemplates"),
    "DeviceTaintRule": Kind("resource.k8s.io/v1", "devicetaintrules", is_namespaced=False),
    "CustomResourceDefinition": Kind(
        "apiextensions.k8s.io/v1", "customresourcedefinitions", is_namespaced=False
    ),
    "MutatingWebhookConfiguration": Kind(
        "admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", is_namespaced=False
    ),
    "Queue": Kind("scheduling.run.ai/v2", "queues", is_namespaced=False),
    "PodGroup": Kind("scheduling.run.ai/v2alpha2", "podgroups"),
    "Topology": Kind("kai.scheduler/v1alpha1", "topologies", is_namespaced=False),
    "SchedulingShard": Kind("kai.scheduler/v1", "schedulingshards", is_namespaced=False),
    # The native kinds share names with ours, so they are known by their full name.
    "scheduling.k8s.io/v1beta1/PodGroup": Kind("scheduling.k8s.io/v1beta1", "podgroups"),
    "scheduling.k8s.io/v1beta1/Workload": Kind("scheduling.k8s.io/v1beta1", "workloads"),
    "scheduling.k8s.io/v1alpha3/CompositePodGroup": Kind("scheduling.k8s.io/v1alpha3", "compositepodgroups"),
}


def kind_of(name: str) -> Kind:
    """A kind by its name (``Pod``) or by version and name as documents have it (``v1/Pod``)."""
    found = KINDS.get(name)
    if found is None:
        group_version, _, short = name.rpartition("/")
        found = KINDS.get(short)
        if found is None or (group_version and group_version != found.group_version):
            raise ControlPlaneError(f"kind {name} is not one that a local cluster is set up with")
    return found


def collection_path(kind: str, namespace: str) -> str:
    """The path of a kind's list; ``namespace`` empty: of all namespaces."""
    found = kind_of(kind)
    prefix = (
        f"/api/{found.group_version}" if "/" not in found.group_version else f"/apis/{found.group_version}"
    )
    middle = f"/namespaces/{namespace}" if found.is_namespaced and namespace else ""
    return f"{prefix}{middle}/{found.plural}"


def object_path(kind: str, name: str, namespace: str = "") -> str:
    """The path of one object; a namespaced kind without namespace is looked for in ``default``."""
    place = namespace or "default" if kind_of(kind).is_namespaced else ""
    return f"{collection_path(kind, place)}/{name}"
