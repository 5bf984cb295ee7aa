"""Makes a history of pods on a real control plane and records the watch of it, byte for byte."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from kai_sched.cluster.kube.client import KubeClient
from kai_sched.cluster.kube.resources import PODS
from kai_sched.localcluster import LocalCluster
from kai_sched.localcluster.fleet import Fleet, fleet_objects

NAMESPACE = "bench"
_GPUS_A_NODE = 8
_IN_FLIGHT = 16
_LAST_PHASE = "Running"


@dataclass(frozen=True, slots=True)
class History:
    """The lines of one watch. ``last_versions``: the resourceVersion that each pod ends with."""

    lines: tuple[bytes, ...]
    began_at: str
    last_versions: dict[str, str]

    def write(self, folder: Path) -> None:
        """For the process that plays it."""
        (folder / "lines").write_bytes(b"\n".join(self.lines) + b"\n")
        (folder / "began").write_text(self.began_at)


def a_fleet(pods: int) -> list[dict[str, Any]]:
    count = -(-pods // _GPUS_A_NODE)
    pool = {"name": "n", "count": count, "devices": [{"profile": "nvidia-h100", "via": "devicePlugin"}]}
    fleet = {"apiVersion": "kai-sched.dev/v1alpha1", "kind": "Fleet", "pools": [pool]}
    return [one for one in fleet_objects(Fleet.model_validate(fleet)) if one["kind"] != "Topology"]


def a_pod(index: int, job_size: int = 500) -> dict[str, Any]:
    """A pod of an indexed job as the job controller makes it: labels that differ, environment, two volumes."""
    job = index // job_size
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"train-{job}-{index % job_size}",
            "namespace": NAMESPACE,
            "labels": {
                "batch.kubernetes.io/job-name": f"train-{job}",
                "batch.kubernetes.io/job-completion-index": str(index % job_size),
                "kai.scheduler/queue": "research",
            },
            "annotations": {
                "pod-group-name": f"pg-train-{job}",
                "batch.kubernetes.io/job-completion-index": str(index % job_size),
            },
        },
        "spec": {
            "schedulerName": "kai-scheduler",
            "restartPolicy": "Never",
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "volumes": [
                {"name": "shm", "emptyDir": {"medium": "Memory"}},
                {"name": "code", "configMap": {"name": f"code-{job}", "optional": True}},
            ],
            "containers": [
                {
                    "name": "main",
                    "image": "registry.example/train:1",
                    "command": ["python", "-m", "train"],
                    "env": [
                        {"name": "JOB_COMPLETION_INDEX", "value": str(index % job_size)},
                        *({"name": f"SETTING_{number}", "value": "x" * 24} for number in range(12)),
                    ],
                    "resources": {
                        "requests": {"cpu": "4", "memory": "16Gi"},
                        "limits": {"nvidia.com/gpu": "1"},
                    },
                    "volumeMounts": [
                        {"name": "shm", "mountPath": "/dev/shm"},
                        {"name": "code", "mountPath": "/code"},
                    ],
                }
            ],
        },
    }


def make_history(cluster: LocalCluster, pods: int) -> str:
    """Creates the pods, binds them, and returns the resourceVersion before the first."""
    api = cluster.api
    began_at = str(api.request("GET", PODS.collection())["metadata"]["resourceVersion"])
    documents = [a_pod(index) for index in range(pods)]
    api.create_all(documents)
    nodes = sorted(node["metadata"]["name"] for node in api.list("Node"))
    with ThreadPoolExecutor(_IN_FLIGHT) as pool:
        for at, document in enumerate(documents):
            pool.submit(api.bind, document["metadata"]["name"], nodes[at // _GPUS_A_NODE], NAMESPACE)
    return began_at


async def record(cluster: LocalCluster, pods: int, began_at: str) -> History:
    """The whole watch from before the first pod until the last one runs."""
    lines: list[bytes] = []
    last_versions: dict[str, str] = {}
    running: set[str] = set()
    async with await KubeClient.connect(cluster.kubeconfig) as client:
        batches = client.watch_lines(PODS.collection(), resource_version=began_at, timeout_seconds=120)
        async for batch in batches:
            for line in batch:
                event = orjson.loads(line)
                if event["type"] == "BOOKMARK":
                    continue
                metadata = event["object"]["metadata"]
                lines.append(line)
                last_versions[metadata["name"]] = metadata["resourceVersion"]
                if event["object"]["status"].get("phase") == _LAST_PHASE:
                    running.add(metadata["name"])
            if len(running) == pods:
                break
        await batches.aclose()
    return History(tuple(lines), began_at, last_versions)
