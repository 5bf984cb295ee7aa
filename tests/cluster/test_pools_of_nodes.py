"""Real ResourceSlices of one pool on several nodes: each node goes by the newest generation that reaches it."""

from __future__ import annotations

from typing import Any

import pytest

from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import a_pod, a_queue, with_nodes
from tests.cluster.operators import RunningOperator, StartOperator
from tests.cluster.test_claim_writes import using

Document = dict[str, Any]
DRIVER = "net.example.com"


def a_slice(node: str, pool: str, generation: int, device: str) -> Document:
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": f"{node}-{pool}-{generation}"},
        "spec": {
            "driver": DRIVER,
            "pool": {"name": pool, "generation": generation, "resourceSliceCount": 1},
            "nodeName": node,
            "devices": [{"name": device}],
        },
    }


def a_class() -> Document:
    selector = {"cel": {"expression": f'device.driver == "{DRIVER}"'}}
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceClass",
        "metadata": {"name": DRIVER},
        "spec": {"selectors": [selector]},
    }


def a_claim(name: str, namespace: str) -> Document:
    request = {"name": "gpus", "exactly": {"deviceClassName": DRIVER}}
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"devices": {"requests": [request]}},
    }


@pytest.fixture
def running(cluster: LocalCluster, start_operator: StartOperator) -> RunningOperator:
    with_nodes(cluster, dra=3, gpus=1)
    cluster.api.create(a_queue())
    cluster.api.create(a_class())
    return start_operator("--no-lease")


def nodes_of_pods(cluster: LocalCluster, namespace: str) -> list[str]:
    pods = cluster.api.list("Pod", namespace)
    return sorted(pod["spec"]["nodeName"] for pod in pods if pod["spec"].get("nodeName"))


def test_nodes_that_publish_under_one_pool_name_all_serve(
    cluster: LocalCluster, namespace: str, running: RunningOperator
) -> None:
    for number, generation in enumerate((3, 1, 2)):
        cluster.api.create(a_slice(f"dra-{number}", "shared", generation, f"nic-{number}"))

    for number in range(3):
        cluster.api.create(a_claim(f"c{number}", namespace))
        cluster.api.create(using(a_pod(f"p{number}", namespace), f"c{number}"))

    running.wait_until(lambda: len(nodes_of_pods(cluster, namespace)) == 3, "three pods to get nodes")
    assert nodes_of_pods(cluster, namespace) == ["dra-0", "dra-1", "dra-2"]


def test_a_pool_that_moves_serves_a_pod_on_the_node_that_it_leaves(
    cluster: LocalCluster, namespace: str, running: RunningOperator
) -> None:
    """As drivers do it: the new slice is made before the old one is deleted."""
    cluster.api.create(a_slice("dra-0", "moving", 1, "nic-0"))
    cluster.api.create(a_slice("dra-1", "moving", 2, "nic-1"))
    cluster.api.create(a_claim("c", namespace))

    pinned = a_pod("p", namespace, nodeSelector={"kubernetes.io/hostname": "dra-0"})
    cluster.api.create(using(pinned, "c"))

    running.wait_until(lambda: nodes_of_pods(cluster, namespace) == ["dra-0"], "the pod to get its node")


def test_a_taint_rule_without_a_selector_taints_nothing(
    cluster: LocalCluster, namespace: str, running: RunningOperator
) -> None:
    taint = {"key": "example.com/worn", "effect": "NoSchedule"}
    cluster.api.create(
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "DeviceTaintRule",
            "metadata": {"name": "about-nothing"},
            "spec": {"taint": taint},
        }
    )
    cluster.api.create(a_slice("dra-0", "own", 1, "nic-0"))
    cluster.api.create(a_claim("c", namespace))

    cluster.api.create(using(a_pod("p", namespace), "c"))

    running.wait_until(lambda: nodes_of_pods(cluster, namespace) == ["dra-0"], "the pod to get its node")
