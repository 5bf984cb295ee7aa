"""Makes a history of pods on a real control plane and records the watch of it, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from kai_sched.cluster.kube.client import KubeClient
from kai_sched.cluster.kube.resources import PODS
from kai_sched.localcluster import LocalCluster
from kai_sched.localcluster.admin import AdminApi
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


async def make_history(cluster: LocalCluster, pods: int) -> History:
    """Creates the pods and binds them, and records the watch until the last one runs."""
    answer = await asyncio.to_thread(cluster.api.request, "GET", PODS.collection())
    began_at = str(answer["metadata"]["resourceVersion"])
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(_make, cluster.api, pods))
        recorded = group.create_task(_record(cluster.kubeconfig, pods, began_at))
    return recorded.result()


def _make(api: AdminApi, pods: int) -> None:
    documents = [a_pod(index) for index in range(pods)]
    api.create_all(documents)
    nodes = sorted(node["metadata"]["name"] for node in api.list("Node"))

    def bind(at: int) -> None:
        api.bind(documents[at]["metadata"]["name"], nodes[at // _GPUS_A_NODE], NAMESPACE)

    with ThreadPoolExecutor(_IN_FLIGHT) as pool:
        list(pool.map(bind, range(pods)))


async def _record(kubeconfig: Path, pods: int, began_at: str) -> History:
    """The API server closes a watch that it finds too slow; then it is taken up where it ended."""
    lines: list[bytes] = []
    last_versions: dict[str, str] = {}
    running: set[str] = set()
    version = began_at
    async with await KubeClient.connect(kubeconfig) as client:
        while len(running) < pods:
            watch = client.watch_lines(PODS.collection(), resource_version=version, timeout_seconds=600)
            async with aclosing(watch) as batches:
                async for line in _until(batches, lambda: len(running) == pods):
                    event = orjson.loads(line)
                    metadata = event["object"]["metadata"]
                    version = metadata["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        lines.append(line)
                        last_versions[metadata["name"]] = version
                        if event["object"]["status"].get("phase") == _LAST_PHASE:
                            running.add(metadata["name"])
    return History(tuple(lines), began_at, last_versions)


async def _until(batches: AsyncGenerator[list[bytes]], is_done: Callable[[], bool]) -> AsyncGenerator[bytes]:
    async for batch in batches:
        for line in batch:
            yield line
        if is_done():
            return
