"""Objects as a user writes them, for the real API server: pods and workloads of our scheduler, small fleets."""

from __future__ import annotations

from typing import Any

from kai_sched.localcluster import LocalCluster
from kai_sched.localcluster.fleet import Fleet, fleet_objects
from kai_sched.localcluster.fleet.publish import publish

Document = dict[str, Any]
GPU = "nvidia.com/gpu"
QUEUE_LABEL = "kai.scheduler/queue"
POD_GROUP_ANNOTATION = "pod-group-name"


def a_pod_spec(
    *, gpus: int = 0, template: str = "", scheduler: str = "kai-scheduler", **spec: Any
) -> Document:
    """One container; GPUs by device plugin (``gpus``) or by a claim from a template."""
    resources: Document = {"requests": {"cpu": "1"}}
    if gpus:
        resources = {"requests": {"cpu": "1", GPU: str(gpus)}, "limits": {GPU: str(gpus)}}
    made: Document = {"schedulerName": scheduler, "restartPolicy": "Never"}
    if template:
        resources["claims"] = [{"name": "gpus"}]
        made["resourceClaims"] = [{"name": "gpus", "resourceClaimTemplateName": template}]
    container = {"name": "main", "image": "example.com/image", "resources": resources}
    return {**made, "containers": [container], **spec}


def a_pod(name: str, namespace: str, *, queue: str = "team-a", group: str = "", **spec: Any) -> Document:
    """A pod, of a pod group if one is named."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {QUEUE_LABEL: queue} if queue else {},
            "annotations": {POD_GROUP_ANNOTATION: group} if group else {},
        },
        "spec": a_pod_spec(**spec),
    }


def a_job(
    name: str, namespace: str, *, pods: int, queue: str = "team-a", minimum: int = 0, **spec: Any
) -> Document:
    """A Job whose pods run side by side; ``minimum`` makes them a gang."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {QUEUE_LABEL: queue},
            "annotations": {"kai.scheduler/batch-min-member": str(minimum)} if minimum else {},
        },
        "spec": {
            "parallelism": pods,
            "completions": pods,
            "template": {"metadata": {"labels": {"app": name}}, "spec": a_pod_spec(**spec)},
        },
    }


def a_queue(name: str = "team-a", *, gpu_quota: float = -1, gpu_limit: float = -1, **spec: Any) -> Document:
    """A queue with bounds on GPUs only."""
    free = {"quota": -1, "overQuotaWeight": 1, "limit": -1}
    gpu = {"quota": gpu_quota, "overQuotaWeight": 1, "limit": gpu_limit}
    return {
        "apiVersion": "scheduling.run.ai/v2",
        "kind": "Queue",
        "metadata": {"name": name},
        "spec": {"resources": {"gpu": gpu, "cpu": free, "memory": free}, **spec},
    }


def a_pod_group(name: str, namespace: str, *, queue: str = "team-a", **spec: Any) -> Document:
    """A pod group of the user's own."""
    return {
        "apiVersion": "scheduling.run.ai/v2alpha2",
        "kind": "PodGroup",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"queue": queue, **spec},
    }


def a_claim_template(name: str, namespace: str, *, gpus: int = 1) -> Document:
    """Every pod gets a claim of so many GPUs of one node."""
    request = {"deviceClassName": "gpu.nvidia.com", "allocationMode": "ExactCount", "count": gpus}
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"spec": {"devices": {"requests": [{"name": "gpus", "exactly": request}]}}},
    }


def with_nodes(cluster: LocalCluster, *, plugin: int = 0, dra: int = 0, gpus: int = 8, **pool: Any) -> None:
    """Nodes named ``plugin-N`` (GPUs by device plugin) and ``dra-N`` (GPUs by claims)."""
    pools = [
        {
            "name": name,
            "count": count,
            "devices": [{"profile": "nvidia-h100", "via": via, "count": gpus}],
            **pool,
        }
        for name, via, count in (("plugin", "devicePlugin", plugin), ("dra", "dra", dra))
        if count
    ]
    fleet = {"apiVersion": "kai-sched.dev/v1alpha1", "kind": "Fleet", "pools": pools}
    publish(cluster.api, fleet_objects(Fleet.model_validate(fleet)))
