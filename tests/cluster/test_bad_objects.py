"""Odd objects that the API server lets pass (claims, classes, slices, nodes, pods) hurt nobody else."""

from __future__ import annotations

import copy
from typing import Any

from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import a_claim_template, a_pod, a_pod_group, a_queue, with_nodes
from tests.cluster.operators import RunningOperator
from tests.cluster.test_claim_writes import CLASS, a_claim, using
from tests.cluster.test_operator_binding import nodes_of

Document = dict[str, Any]
# Types fit, so the API server takes it; no device has it, so it fails where it is asked.
FAILS = f'device.attributes["{CLASS}"].nothing.startsWith("x")'


def a_class(name: str, expression: str) -> Document:
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceClass",
        "metadata": {"name": name},
        "spec": {"selectors": [{"cel": {"expression": expression}}]},
    }


def with_odd_nodes(cluster: LocalCluster) -> None:
    """One without any status, one whose driver contradicts itself, one whose driver told half, one that is not."""
    cluster.api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "bare"}})
    with_nodes(cluster, dra=1, gpus=8)
    (good,) = cluster.api.list("ResourceSlice")
    odd = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice"}
    for node, slices, told in (("contrary", 2, 2), ("half", 2, 1), ("absent", 1, 1)):
        if node != "absent":
            status = {"allocatable": {"cpu": "64", "memory": "64Gi", "pods": "110"}}
            cluster.api.create(
                {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}, "status": status}
            )
        for number in range(told):
            spec = copy.deepcopy(good["spec"]) | {"nodeName": node}
            spec["pool"] = {"name": node, "generation": 1, "resourceSliceCount": slices}
            cluster.api.create({**odd, "metadata": {"name": f"{node}-{number}"}, "spec": spec})


def with_odd_claims(cluster: LocalCluster, namespace: str) -> tuple[str, ...]:
    """Names of claims that nobody can have; beside them ``haunted``, which is given back and had elsewhere."""
    cluster.api.create(a_class("failing", FAILS))
    cluster.api.create(a_claim("no-class", namespace, deviceClassName="nobody"))
    cluster.api.create(a_claim("failing-class", namespace, deviceClassName="failing"))
    selectors = [{"cel": {"expression": FAILS}}]
    cluster.api.create(a_claim("failing-request", namespace, selectors=selectors))
    cluster.api.create(a_claim("far-too-many", namespace, count=31))
    strange = a_claim("strange-constraint", namespace, count=2)
    strange["spec"]["devices"]["constraints"] = [{"matchAttribute": "example.com/nothing"}]
    cluster.api.create(strange)
    # Somebody wrote an allocation that can be used nowhere, and nobody uses it.
    made = cluster.api.create(a_claim("haunted", namespace))
    made |= {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim"}
    result = {"request": "gpus", "driver": CLASS, "pool": "half", "device": "gpu-0"}
    made["metadata"]["finalizers"] = ["resource.kubernetes.io/delete-protection"]
    made = cluster.api.replace(made)
    nowhere = {
        "nodeSelectorTerms": [
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["attic"]}]}
        ]
    }
    made["status"] = {"allocation": {"devices": {"results": [result]}, "nodeSelector": nowhere}}
    cluster.api.replace(made, subresource="status")
    return ("no-class", "failing-class", "failing-request", "far-too-many", "strange-constraint")


def with_odd_pods(cluster: LocalCluster, namespace: str, claims: tuple[str, ...]) -> set[str]:
    """Names of pods that nobody can place."""
    pods = [using(a_pod(f"wants-{claim}", namespace), claim) for claim in (*claims, "not-made-yet")]
    pods.append(a_pod("without-group", namespace, group="not-made-yet"))
    pods.append(a_pod("without-queue", namespace, queue="not-made-yet"))
    pods.append(a_pod("without-room", namespace, gpus=2**40))
    cluster.api.create(a_pod_group("endless", namespace, minMember=2**31 - 1))
    pods.append(a_pod("of-endless", namespace, group="endless"))
    odd = {pod["metadata"]["name"] for pod in pods}
    pods.append(using(a_pod("wants-haunted", namespace), "haunted"))
    cluster.api.create_all(pods)
    return odd


def why_waiting(cluster: LocalCluster, namespace: str) -> dict[str, str]:
    """What every pod without a node is told."""
    return {
        pod["metadata"]["name"]: condition["message"]
        for pod in cluster.api.list("Pod", namespace)
        for condition in pod["status"].get("conditions", ())
        if condition["type"] == "PodScheduled" and condition["status"] == "False"
    }


def test_odd_claims_slices_nodes_and_pods_hurt_nobody_else_and_are_told_why(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    cluster.api.create(a_queue())
    with_odd_nodes(cluster)
    odd = with_odd_pods(cluster, namespace, with_odd_claims(cluster, namespace))
    operator.wait_until(lambda: why_waiting(cluster, namespace).keys() >= odd, "every odd pod to be told")
    assert all(why_waiting(cluster, namespace)[name] for name in odd)

    cluster.api.create(a_claim_template("two-gpus", namespace, gpus=2))
    cluster.api.create(a_pod_group("gang", namespace, minMember=2))
    good = {"good-0", "good-1"}
    cluster.api.create_all(a_pod(name, namespace, group="gang", template="two-gpus") for name in good)
    cluster.api.create(a_pod("plain", namespace))

    served = {*good, "plain", "wants-haunted"}
    operator.wait_until(lambda: nodes_of(cluster, namespace).keys() >= served, "the good ones")
    nodes = nodes_of(cluster, namespace)
    assert nodes.keys() == served
    assert {nodes[name] for name in good} == {"dra-0"}
    assert operator.entries("cycle failed") == []


def test_an_odd_object_that_is_made_good_is_served(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    cluster.api.create(a_queue())
    with_nodes(cluster, dra=1, gpus=4)
    cluster.api.create(a_class("failing", FAILS))
    cluster.api.create(a_claim("odd", namespace, deviceClassName="failing"))
    pods = [using(a_pod("p0", namespace), "odd"), using(a_pod("p1", namespace), "late")]
    cluster.api.create_all(pods)
    operator.wait_until(lambda: why_waiting(cluster, namespace).keys() == {"p0", "p1"}, "both to wait")

    spec = {"selectors": [{"cel": {"expression": f'device.driver == "{CLASS}"'}}]}
    cluster.api.patch("DeviceClass", "failing", body={"spec": spec})
    cluster.api.create(a_claim("late", namespace))

    operator.wait_until(lambda: nodes_of(cluster, namespace).keys() == {"p0", "p1"}, "both to run")
