"""Beside kube-scheduler on the same devices: nothing is given twice in the end, and all that fits runs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import a_claim_template, a_pod, a_queue, with_nodes
from tests.cluster.operators import RunningOperator, StartOperator
from tests.cluster.proxy import ALLOCATION, Proxy

Document = dict[str, Any]
DEVICES, PODS = 16, 24
pytestmark = [
    pytest.mark.timeout(240),
    # While both have written and neither has looked, a device is given twice: the end is what counts.
    pytest.mark.plants_violations,
]


def results(claim: Document) -> list[str]:
    allocation = (claim.get("status") or {}).get("allocation") or {}
    return [
        f"{result['pool']}/{result['device']}" for result in allocation.get("devices", {}).get("results", ())
    ]


def test_two_schedulers_on_the_same_devices_give_none_twice(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, dra=2, gpus=DEVICES // 2)
    cluster.api.create(a_queue())
    cluster.api.create(a_claim_template("one", namespace))
    cluster.start_scheduler()
    try:
        schedulers = ["kai-scheduler", "default-scheduler"]
        cluster.api.create_all(
            a_pod(f"p{number}", namespace, template="one", scheduler=schedulers[number % 2])
            for number in range(PODS)
        )

        def bound() -> int:
            return sum(bool(pod["spec"].get("nodeName")) for pod in cluster.api.list("Pod", namespace))

        operator.wait_until(lambda: bound() == DEVICES, "all that fits", 90)
        held = Counter(device for each in held_by_claim(cluster, namespace).values() for device in each)
    finally:
        cluster.stop_scheduler()

    assert [device for device, holders in held.items() if holders > 1] == []
    assert len(held) == DEVICES


def test_a_device_that_the_other_one_gave_while_we_wrote_is_given_back(
    cluster: LocalCluster, namespace: str, proxy: Proxy, start_operator: StartOperator
) -> None:
    with_nodes(cluster, dra=1, gpus=1)
    cluster.api.create(a_queue())
    cluster.api.create(a_claim_template("one", namespace))
    operator = start_operator("--no-lease", through=proxy.kubeconfig)
    cluster.start_scheduler()

    def let_the_other_be_first() -> None:
        cluster.api.create(a_pod("theirs", namespace, template="one", scheduler="default-scheduler"))
        operator.wait_until(lambda: "nodeName" in cluster.api.get("Pod", "theirs", namespace)["spec"])

    try:
        proxy.before(ALLOCATION, let_the_other_be_first)
        cluster.api.create(a_pod("ours", namespace, template="one"))
        operator.wait_until(lambda: operator.entries("command ended early"), "the look")
        operator.wait_until(
            lambda: len(held_by_claim(cluster, namespace)) == 1, "the device to be given back"
        )
    finally:
        cluster.stop_scheduler()

    (ended,) = operator.entries("command ended early")
    assert "was given to claim" in ended["reason"]
    assert "nodeName" not in cluster.api.get("Pod", "ours", namespace)["spec"]
    cluster.api.delete("Pod", "theirs", namespace, gracePeriodSeconds=0)
    operator.wait_until(lambda: "nodeName" in cluster.api.get("Pod", "ours", namespace)["spec"], "its turn")


def held_by_claim(cluster: LocalCluster, namespace: str) -> dict[str, list[str]]:
    claims = cluster.api.list("ResourceClaim", namespace)
    return {claim["metadata"]["name"]: results(claim) for claim in claims if results(claim)}
