"""Kubernetes objects as the API server would send them, small, with everything unsaid left out."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


def a_pod_document(
    name: str = "p0",
    *,
    namespace: str = "team",
    spec: Document | None = None,
    status: Document | None = None,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    **metadata: Any,
) -> Document:
    """A pending pod of our scheduler with one container that asks for one CPU."""
    container = {"name": "main", "resources": {"requests": {"cpu": "1"}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            **({"labels": labels} if labels else {}),
            **({"annotations": annotations} if annotations else {}),
            **metadata,
        },
        "spec": {"schedulerName": "kai-scheduler", "containers": [container], **(spec or {})},
        "status": status or {"phase": "Pending"},
    }


def a_node_document(name: str = "n1", **status: Any) -> Document:
    """A node with eight GPUs."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {},
        "status": {
            "allocatable": {"cpu": "64", "memory": "512Gi", "pods": "110", "nvidia.com/gpu": "8"},
            **status,
        },
    }


def a_queue_document(name: str = "team-a", **spec: Any) -> Document:
    """A queue without bounds."""
    free = {"quota": -1, "overQuotaWeight": 1, "limit": -1}
    return {
        "apiVersion": "scheduling.run.ai/v2",
        "kind": "Queue",
        "metadata": {"name": name},
        "spec": {"resources": {"gpu": free, "cpu": free, "memory": free}, **spec},
    }


def a_pod_group_document(name: str = "pg", *, namespace: str = "team", **spec: Any) -> Document:
    """A pod group of queue team-a."""
    return {
        "apiVersion": "scheduling.run.ai/v2alpha2",
        "kind": "PodGroup",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"queue": "team-a", **spec},
    }


def a_topology_document(name: str = "racks", *levels: Document) -> Document:
    """A topology; by default rack, then host."""
    return {
        "apiVersion": "kai.scheduler/v1alpha1",
        "kind": "Topology",
        "metadata": {"name": name},
        "spec": {"levels": list(levels) or [{"nodeLabel": "rack"}, {"nodeLabel": "kubernetes.io/hostname"}]},
    }


def a_shard_document(name: str = "default", **spec: Any) -> Document:
    """A SchedulingShard."""
    return {
        "apiVersion": "kai.scheduler/v1",
        "kind": "SchedulingShard",
        "metadata": {"name": name},
        "spec": spec,
    }
