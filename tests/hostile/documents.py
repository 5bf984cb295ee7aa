"""What hostile worlds are made of: documents as a user would send them, and the sound cluster that they meet."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]
Documents = list[Document]
GPU = "nvidia.com/gpu"
DRIVER = "gpu.example.com"
CPU_DRIVER = "cpu.example.com"
EVIL, GOOD = "evil", "good"
"""Names of the two queues; the namespaces are called like them, or as the caller likes."""
QUIET = "quiet"
"""Key of the taint that keeps one node free, so that the bystander has room whatever the others hold."""
NODES = 8


def a_pod(
    name: str,
    namespace: str = EVIL,
    *,
    queue: str = EVIL,
    requests: dict[str, str] | None = None,
    claims: tuple[str, ...] = (),
    group: str = "",
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    metadata: Document | None = None,
    **spec: Any,
) -> Document:
    """A pod with one container; ``claims`` names claims that exist."""
    resources: Document = {"requests": {"cpu": "1m", **(requests or {})}}
    resources["limits"] = {key: value for key, value in resources["requests"].items() if "/" in key}
    if claims:
        resources["claims"] = [{"name": claim} for claim in claims]
        spec["resourceClaims"] = [{"name": claim, "resourceClaimName": claim} for claim in claims]
    container = {"name": "main", "image": "example.com/image", "resources": resources}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"kai.scheduler/queue": queue, **(labels or {})},
            "annotations": {**({"pod-group-name": group} if group else {}), **(annotations or {})},
            **(metadata or {}),
        },
        "spec": {
            "schedulerName": "kai-scheduler",
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            **spec,
        },
    }


def a_group(name: str, namespace: str, **spec: Any) -> Document:
    """A PodGroup of the hostile queue."""
    return {
        "apiVersion": "scheduling.run.ai/v2alpha2",
        "kind": "PodGroup",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"queue": EVIL, "minMember": 1, **spec},
    }


def a_queue(name: str, **spec: Any) -> Document:
    """A queue without bounds."""
    free = {"quota": -1, "overQuotaWeight": 1, "limit": -1}
    return {
        "apiVersion": "scheduling.run.ai/v2",
        "kind": "Queue",
        "metadata": {"name": name},
        "spec": {"resources": {"gpu": free, "cpu": free, "memory": free}, **spec},
    }


def a_claim(name: str, namespace: str, *requests: Document, **devices: Any) -> Document:
    """A claim of these requests."""
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"devices": {"requests": list(requests), **devices}},
    }


def a_request(
    name: str = "r", *, count: int = 1, selector: str = "", device_class: str = DRIVER, **more: Any
) -> Document:
    """Exactly ``count`` devices."""
    return {"name": name, "exactly": devices(count, selector, device_class, **more)}


def devices(count: int = 1, selector: str = "", device_class: str = DRIVER, **more: Any) -> Document:
    """What a request or a subrequest says."""
    selectors = {"selectors": [{"cel": {"expression": selector}}]} if selector else {}
    return {
        "deviceClassName": device_class,
        "allocationMode": "ExactCount",
        "count": count,
        **selectors,
        **more,
    }


def a_class(driver: str) -> Document:
    """All devices of a driver."""
    selector = {"cel": {"expression": f'device.driver == "{driver}"'}}
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceClass",
        "metadata": {"name": driver},
        "spec": {"selectors": [selector]},
    }


def a_slice(name: str, node: str, devices: Documents, *, driver: str = DRIVER, **pool: Any) -> Document:
    """A slice, alone in its pool unless ``pool`` says otherwise."""
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": name},
        "spec": {
            "driver": driver,
            "nodeName": node,
            "pool": {"name": f"{driver}/{node}", "generation": 1, "resourceSliceCount": 1, **pool},
            "devices": devices,
        },
    }


def a_node(name: str, taints: Documents | None = None) -> Document:
    """A node with eight GPUs by device plugin, run by kwok on a control plane."""
    has = {"cpu": "64", "memory": "512Gi", "pods": "110", GPU: "8"}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "rack": f"rack-{name[-1]}"},
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
        "spec": {"taints": taints} if taints else {},
        "status": {"capacity": has, "allocatable": has, "conditions": [ready]},
    }


def the_cluster() -> Documents:
    """Eight nodes with devices of each kind, one quiet node, two queues, two classes."""
    taint = {"key": QUIET, "value": "yes", "effect": "NoSchedule"}
    nodes = [f"n{number}" for number in range(NODES)]
    return [
        a_node(QUIET, [taint]),
        *(a_node(name) for name in nodes),
        *(a_slice(f"{name}-gpus", name, _gpus(name)) for name in nodes),
        *(a_slice(f"{name}-cpus", name, _cpus(), driver=CPU_DRIVER) for name in nodes[:2]),
        a_class(DRIVER),
        a_class(CPU_DRIVER),
        a_queue(EVIL),
        a_queue(GOOD),
    ]


def a_bystander(namespace: str = GOOD) -> Document:
    """A pod with room on the quiet node, and nowhere else to go."""
    toleration = {"key": QUIET, "operator": "Equal", "value": "yes", "effect": "NoSchedule"}
    return a_pod(
        "bystander",
        namespace,
        queue=GOOD,
        requests={GPU: "1"},
        tolerations=[toleration],
        nodeSelector={"kubernetes.io/hostname": QUIET},
    )


def _gpus(node: str) -> Documents:
    return [
        {
            "name": f"gpu-{number}",
            "attributes": {"uuid": {"string": f"{node}-{number}"}, "model": {"string": "m"}},
            "capacity": {"memory": {"value": "80Gi"}},
        }
        for number in range(8)
    ]


def _cpus() -> Documents:
    return [
        {
            "name": f"cpu-{number}",
            "attributes": {
                "core": {"int": number // 2},
                "resource.kubernetes.io/numaNode": {"int": number // 64},
            },
        }
        for number in range(128)
    ]
