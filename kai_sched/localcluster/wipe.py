"""Empties a cluster of everything that tests, benchmarks and demos put into it, so that it can be used again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from kai_sched.errors import ApiFailure
from kai_sched.localcluster.admin import AdminApi, Document

_OWNERS = ("Job", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet")
_SYSTEM_NAMESPACES = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
_KINDS = (
    # Owners first: they would make new pods.
    *_OWNERS,
    "Pod",
    "PodGroup",
    "scheduling.k8s.io/v1beta1/PodGroup",
    "scheduling.k8s.io/v1alpha3/CompositePodGroup",
    "PodDisruptionBudget",
    "ResourceClaim",
    "ResourceClaimTemplate",
    "ResourceSlice",
    "DeviceTaintRule",
    "Node",
    "DeviceClass",
    "Queue",
    "Topology",
    "SchedulingShard",
    "PriorityClass",
    "RuntimeClass",
    "PersistentVolumeClaim",
    "PersistentVolume",
    "StorageClass",
    "CSINode",
    "CSIDriver",
    "CSIStorageCapacity",
    "MutatingWebhookConfiguration",
    "Event",
)


def wipe(api: AdminApi) -> None:
    """Deletes every object of the kinds above, finalizers or not, and all namespaces that are not the system's."""
    with ThreadPoolExecutor(16) as pool:
        for kind in _KINDS:
            list(pool.map(lambda item, kind=kind: _remove(api, kind, item), _all_of(api, kind)))
        for namespace in api.list("Namespace"):
            if namespace["metadata"]["name"] not in _SYSTEM_NAMESPACES:
                api.delete("Namespace", namespace["metadata"]["name"])


def _all_of(api: AdminApi, kind: str) -> list[Document]:
    try:
        items = api.list(kind)
    except ApiFailure as failure:
        if failure.status == 404:  # the CRD is not there
            return []
        raise
    return [item for item in items if not item["metadata"]["name"].startswith("system-")]


def _remove(api: AdminApi, kind: str, item: Document) -> None:
    metadata = item["metadata"]
    name, namespace = metadata["name"], metadata.get("namespace", "")
    try:
        if metadata.get("finalizers"):
            api.patch(kind, name, namespace, body={"metadata": {"finalizers": None}})
    except ApiFailure as failure:
        # 422: opaque parameters look changed in JSON; the claim controller takes its finalizer away by itself.
        if failure.status not in (404, 422):
            raise
    api.delete(kind, name, namespace, gracePeriodSeconds=0, propagationPolicy="Background")
