"""Raw objects as the API server sends them, with everything unsaid left plain."""

from __future__ import annotations

from typing import Any

Raw = dict[str, Any]


def raw_pod(
    name: str,
    *,
    version: int = 1,
    uid: str = "",
    generation: int | None = 1,
    node: str = "",
    phase: str = "Pending",
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    scheduler: str = "kai-scheduler",
    spec: Raw | None = None,
    status: Raw | None = None,
    **metadata: Any,
) -> Raw:
    """A pod of one GPU."""
    resources = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"nvidia.com/gpu": "1"}}
    meta = {
        "name": name,
        "namespace": "team",
        "uid": uid or f"uid-{name}",
        "resourceVersion": str(version),
        "creationTimestamp": "2026-11-25T01:00:00Z",
        **({"generation": generation} if generation is not None else {}),
        **({"labels": labels} if labels else {}),
        **({"annotations": annotations} if annotations else {}),
        **metadata,
    }
    wire = {
        "schedulerName": scheduler,
        "containers": [{"name": "main", "resources": resources}],
        **({"nodeName": node} if node else {}),
        **(spec or {}),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta,
        "spec": wire,
        "status": {"phase": phase, **(status or {})},
    }


def raw_node(name: str, *, version: int = 1, gpus: int = 8, heartbeat: str = "", **spec: Any) -> Raw:
    """A ready node."""
    conditions = [{"type": "Ready", "status": "True", "lastHeartbeatTime": heartbeat or None}]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
            "labels": {"kubernetes.io/hostname": name},
        },
        "spec": spec,
        "status": {
            "allocatable": {"cpu": "64", "memory": "512Gi", "pods": "110", "nvidia.com/gpu": str(gpus)},
            "conditions": conditions,
        },
    }


def raw_claim(
    name: str, *, version: int = 1, devices: list[str] | None = None, consumers: list[str] | None = None
) -> Raw:
    """A claim for one device of class gpu, allocated if it has devices."""
    status: Raw = {}
    if devices is not None:
        results = [{"request": "gpu", "driver": "d", "pool": "n1", "device": device} for device in devices]
        status["allocation"] = {"devices": {"results": results}}
    if consumers:
        status["reservedFor"] = [{"resource": "pods", "name": pod, "uid": f"uid-{pod}"} for pod in consumers]
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {
            "name": name,
            "namespace": "team",
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
        },
        "spec": {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu"}}]}},
        "status": status,
    }


def raw_other(
    api_version: str, kind: str, name: str, *, version: int = 1, namespace: str = "", **body: Any
) -> Raw:
    """Any other object."""
    metadata = {
        "name": name,
        "uid": f"uid-{kind}-{name}",
        "resourceVersion": str(version),
        **({"namespace": namespace} if namespace else {}),
        **body.pop("metadata", {}),
    }
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}
