"""Objects as large as the API server takes them: nobody else waits, and the operator stays small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import a_pod, a_queue, with_nodes
from tests.cluster.operators import RunningOperator, StartOperator

COUNT = 40
MOST_MIB = 300
"""Of each process; 40 pods of 1 MB took 400 and more before."""


def a_big_pod(name: str, namespace: str) -> dict[str, Any]:
    """About a megabyte of node affinity."""
    values = [f"{name}-{number:05d}-{'x' * 45}" for number in range(14_000)]
    terms = [{"matchExpressions": [{"key": "a", "operator": "In", "values": values}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return a_pod(name, namespace, gpus=1, affinity={"nodeAffinity": required})


def mebibytes(operator: RunningOperator) -> list[int]:
    """Resident memory of the operator and of the process that decides."""
    texts = [Path(f"/proc/{pid}/status").read_text() for pid in (operator.process.pid, *operator.children())]
    lines = [line for text in texts for line in text.splitlines() if line.startswith("VmRSS")]
    return [int(line.split()[1]) >> 10 for line in lines]


def is_bound(cluster: LocalCluster, namespace: str, name: str) -> bool:
    return bool(cluster.api.get("Pod", name, namespace)["spec"].get("nodeName"))


def test_pods_of_a_megabyte_cost_neither_memory_nor_others(
    cluster: LocalCluster, namespace: str, start_operator: StartOperator
) -> None:
    with_nodes(cluster, plugin=1)
    cluster.api.create(a_queue())
    first = start_operator("--no-lease")
    for number in range(COUNT):
        cluster.api.create(a_big_pod(f"big-{number}", namespace))
    cluster.api.create(a_pod("small", namespace, gpus=1))

    first.wait_until(lambda: is_bound(cluster, namespace, "small"))
    assert max(mebibytes(first)) < MOST_MIB, mebibytes(first)
    big = cluster.api.get("Pod", "big-0", namespace)
    first.wait_until(lambda: "conditions" in cluster.api.get("Pod", "big-0", namespace)["status"])
    assert not big["spec"].get("nodeName")
    (condition,) = cluster.api.get("Pod", "big-0", namespace)["status"]["conditions"]
    assert "spec.affinity: is too long" in condition["message"]
    assert len(condition["message"]) < 1000
    first.stop()

    # Listed all at once, too.
    second = start_operator("--no-lease")
    cluster.api.create(a_pod("late", namespace, gpus=1))
    second.wait_until(lambda: is_bound(cluster, namespace, "late"))
    assert max(mebibytes(second)) < MOST_MIB, mebibytes(second)
