"""manifests/policies on a real API server: a namespace's pods name the queues and classes that it may use, and no others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from kai_sched.errors import ApiFailure
from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import a_pod, a_pod_group
from tests.cluster.operators import MANIFESTS

POLICIES = MANIFESTS / "policies"
MAY_USE = {"kai-sched.dev/queues": "team-a,team-b", "kai-sched.dev/priority-classes": "train"}


@pytest.fixture
def restricted(cluster: LocalCluster, namespace: str) -> Iterator[str]:
    """A namespace that may use two queues and one class; the policy is in force."""
    for name, value in (("train", 50), ("inference", 125)):
        cluster.api.apply(
            {
                "apiVersion": "scheduling.k8s.io/v1",
                "kind": "PriorityClass",
                "metadata": {"name": name},
                "value": value,
            }
        )
    cluster.kubectl("apply", "-k", str(POLICIES))
    cluster.api.patch("Namespace", namespace, body={"metadata": {"annotations": MAY_USE}})
    deadline = time.monotonic() + 20
    while not refusal(cluster, a_pod("probe", namespace, queue="other")):
        cluster.api.delete("Pod", "probe", namespace, gracePeriodSeconds=0)
        assert time.monotonic() < deadline, "the policy is not in force"
        time.sleep(0.2)
    yield namespace
    cluster.kubectl("delete", "-k", str(POLICIES))


def refusal(cluster: LocalCluster, document: dict[str, Any]) -> str:
    """What the API server says to the object; "" where it takes it."""
    try:
        cluster.api.create(document)
    except ApiFailure as failure:
        return str(failure)
    return ""


def test_pods_and_groups_name_only_what_their_namespace_may_use(
    cluster: LocalCluster, restricted: str
) -> None:
    def pod(name: str, queue: str, **spec: Any) -> dict[str, Any]:
        return a_pod(name, restricted, queue=queue, **spec)

    by_label = pod("by-label", "team-a")
    by_label["metadata"]["labels"]["priorityClassName"] = "inference"

    assert refusal(cluster, pod("one", "team-a", priorityClassName="train")) == ""
    assert refusal(cluster, pod("two", "team-b")) == ""
    assert refusal(cluster, a_pod_group("three", restricted, queue="team-b")) == ""
    assert "queue elsewhere is not one of those" in refusal(cluster, pod("four", "elsewhere"))
    assert "queue x is not one of those" in refusal(cluster, a_pod_group("five", restricted, queue="x"))
    said = refusal(cluster, pod("six", "team-a", priorityClassName="inference"))
    assert "priority class inference is not one of those" in said
    assert "priority class inference is not one of those" in refusal(cluster, by_label)
    assert refusal(cluster, {**pod("seven", "elsewhere"), "spec": foreign(restricted)}) == ""


def foreign(namespace: str) -> dict[str, Any]:
    """The spec of a pod of another scheduler: not ours to judge."""
    spec: dict[str, Any] = a_pod("x", namespace)["spec"]
    return {**spec, "schedulerName": "default-scheduler"}


@pytest.mark.usefixtures("restricted")
def test_a_namespace_of_which_nothing_is_said_is_not_restricted(cluster: LocalCluster) -> None:
    cluster.new_namespace("free")

    assert refusal(cluster, a_pod("any", "free", queue="elsewhere", priorityClassName="inference")) == ""
