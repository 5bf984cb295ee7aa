"""Extended resources backed by DRA on the real API server: both kinds of node under one resource name (KEP-5004)."""

from __future__ import annotations

from typing import Any

import pytest

from kai_sched.localcluster import LocalCluster
from kai_sched.localcluster.setup import wait_for
from tests.cluster.objects import GPU, a_pod, a_pod_group, a_queue, with_nodes
from tests.cluster.operators import RunningOperator, StartOperator

Document = dict[str, Any]
IMPLICIT = "deviceclass.resource.kubernetes.io/gpu.nvidia.com"
ANNOTATION = "resource.kubernetes.io/extended-resource-claim"


def special_claims(cluster: LocalCluster, namespace: str) -> dict[str, Document]:
    """By the pod they were made for."""
    return {
        claim["metadata"]["ownerReferences"][0]["name"]: claim
        for claim in cluster.api.list("ResourceClaim", namespace)
        if (claim["metadata"].get("annotations") or {}).get(ANNOTATION) == "true"
    }


def pods_of(cluster: LocalCluster, namespace: str) -> dict[str, Document]:
    return {pod["metadata"]["name"]: pod for pod in cluster.api.list("Pod", namespace)}


def running(cluster: LocalCluster, namespace: str) -> dict[str, str]:
    """Nodes of the pods that run."""
    pods = pods_of(cluster, namespace)
    return {
        name: pod["spec"]["nodeName"] for name, pod in pods.items() if pod["status"]["phase"] == "Running"
    }


def test_one_resource_name_is_served_on_both_kinds_of_node(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, plugin=1, dra=1, gpus=2)
    cluster.api.create(a_queue())
    cluster.api.create_all([a_pod(f"p{index}", namespace, gpus=1) for index in range(5)])

    operator.wait_until(lambda: len(running(cluster, namespace)) == 4, "four running pods")

    nodes = running(cluster, namespace)
    assert sorted(nodes.values()) == ["dra-0", "dra-0", "plugin-0", "plugin-0"]
    claims, pods = special_claims(cluster, namespace), pods_of(cluster, namespace)
    assert claims.keys() == {name for name, node in nodes.items() if node == "dra-0"}
    devices = {
        result["device"]
        for claim in claims.values()
        for result in claim["status"]["allocation"]["devices"]["results"]
    }
    assert len(devices) == 2
    for name, pod in pods.items():
        told = pod["status"].get("extendedResourceClaimStatus")
        if name in claims:
            assert told["resourceClaimName"] == claims[name]["metadata"]["name"]
            assert told["requestMappings"] == [
                {"containerName": "main", "requestName": "container-0-request-1", "resourceName": GPU}
            ]
        else:
            assert told is None


def test_the_claim_goes_with_its_pod_and_the_device_is_given_again(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, dra=1, gpus=1)
    cluster.api.create(a_queue())
    cluster.api.create(a_pod("first", namespace, gpus=1))
    operator.wait_until(lambda: "first" in running(cluster, namespace), "the first pod")
    cluster.api.create(a_pod("second", namespace, gpus=1))

    cluster.api.delete("Pod", "first", namespace)

    operator.wait_until(lambda: "second" in running(cluster, namespace), "the second pod")
    wait_for(lambda: special_claims(cluster, namespace).keys() == {"second"}, "the first claim to go")


def test_a_gang_by_the_implicit_name_of_a_class_has_all_its_claims_before_its_first_bind(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, plugin=1, dra=2, gpus=2)
    cluster.api.create(a_queue())
    cluster.api.create(a_pod_group("gang", namespace, minMember=3))
    gang = [a_pod(f"g{index}", namespace, group="gang") for index in range(3)]
    for pod in gang:
        pod["spec"]["containers"][0]["resources"] = {
            "requests": {"cpu": "1", IMPLICIT: "1"},
            "limits": {IMPLICIT: "1"},
        }
    cluster.api.create_all(gang)

    operator.wait_until(lambda: len(running(cluster, namespace)) == 3, "the gang")

    assert set(running(cluster, namespace).values()) <= {"dra-0", "dra-1"}
    writes = operator.writes("resourceclaims", "resourceclaims/status", "pods/binding")
    first_bind = writes.index(("create", "pods/binding"))
    assert [resource for _, resource in writes[first_bind:]] == ["pods/binding"] * 3
    assert writes[:first_bind].count(("create", "resourceclaims")) == 3


@pytest.mark.parametrize("is_allocated", [False, True])
def test_what_a_crash_left_behind_is_taken_back_and_the_pod_placed(
    is_allocated: bool, cluster: LocalCluster, namespace: str, start_operator: StartOperator
) -> None:
    with_nodes(cluster, dra=1, gpus=1)
    cluster.api.create(a_queue())
    pod = cluster.api.create(a_pod("p", namespace, gpus=1))
    left = cluster.api.create(a_half_made_claim(pod))
    if is_allocated:
        allocate_by_hand(cluster, left, pod)
        told = {"resourceClaimName": left["metadata"]["name"], "requestMappings": [a_mapping()]}
        body = {"status": {"extendedResourceClaimStatus": told}}
        cluster.api.patch("Pod", "p", namespace, body=body, subresource="status")

    operator = start_operator().wait_leading()

    operator.wait_until(lambda: "p" in running(cluster, namespace), "the pod")
    claims = special_claims(cluster, namespace)
    assert claims["p"]["metadata"]["uid"] != left["metadata"]["uid"]
    assert len(cluster.api.list("ResourceClaim", namespace)) == 1


def a_mapping() -> Document:
    return {"containerName": "main", "resourceName": GPU, "requestName": "container-0-request-1"}


def a_half_made_claim(pod: Document) -> Document:
    owner = {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": "p",
        "uid": pod["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    request = {"deviceClassName": "gpu.nvidia.com", "allocationMode": "ExactCount", "count": 1}
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {
            "name": "p-extended-resources-left",
            "namespace": pod["metadata"]["namespace"],
            "annotations": {ANNOTATION: "true"},
            "ownerReferences": [owner],
            "finalizers": ["resource.kubernetes.io/delete-protection"],
        },
        "spec": {"devices": {"requests": [{"name": "container-0-request-1", "exactly": request}]}},
    }


def allocate_by_hand(cluster: LocalCluster, claim: Document, pod: Document) -> None:
    (published,) = [one for one in cluster.api.list("ResourceSlice") if one["spec"].get("devices")]
    spec = published["spec"]
    result = {
        "request": "container-0-request-1",
        "driver": spec["driver"],
        "pool": spec["pool"]["name"],
        "device": spec["devices"][0]["name"],
    }
    node = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["dra-0"]}]}
    consumer = {"resource": "pods", "name": "p", "uid": pod["metadata"]["uid"]}
    status = {
        "allocation": {"devices": {"results": [result]}, "nodeSelector": {"nodeSelectorTerms": [node]}},
        "reservedFor": [consumer],
    }
    cluster.api.replace({**claim, "status": status}, subresource="status")
