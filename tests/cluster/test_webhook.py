"""The mutating webhook on a real API server: a part of a GPU becomes a claim, and the operator places it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import a_queue
from tests.cluster.operators import RunningOperator
from tests.cluster.webhooks import (
    a_sharing_pod,
    create_when_called,
    running,
    waiting_reasons,
    webhook_on,
    with_gpus,
)


@pytest.fixture
def webhook(cluster: LocalCluster) -> Iterator[None]:
    """Our webhook with devices that several claims may share; what nobody uses is deleted soon."""
    with_gpus(cluster, sharing="memory")
    with webhook_on(cluster, "--grace-seconds", "4"):
        yield


@pytest.mark.usefixtures("webhook")
def test_parts_of_gpus_become_claims_and_are_packed_on_few_devices(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    cluster.api.create(a_queue())
    first = create_when_called(cluster, a_sharing_pod("p0", namespace, gpu_fraction="0.5"))
    rest = [a_sharing_pod(f"p{index}", namespace, gpu_fraction="0.25") for index in (1, 2)]
    cluster.api.create_all(rest)

    operator.wait_until(lambda: len(running(cluster, namespace)) == 3, "three running pods")

    assert first["metadata"]["annotations"] == {"kai-sched.dev/gpu-fraction": "0.5"}
    assert first["spec"]["containers"][0]["resources"]["claims"] == [{"name": "gpu-share"}]
    results = [
        result
        for claim in cluster.api.list("ResourceClaim", namespace)
        for result in claim["status"]["allocation"]["devices"]["results"]
    ]
    assert len({result["device"] for result in results}) == 1
    assert sorted(result["consumedCapacity"]["memory"] for result in results) == [
        "20389Mi",
        "20389Mi",
        "40779Mi",
    ]


@pytest.mark.usefixtures("webhook")
def test_a_part_that_no_device_has_left_waits(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    cluster.api.create(a_queue())
    create_when_called(cluster, a_sharing_pod("p0", namespace, gpu_fraction="0.6"))
    cluster.api.create_all([a_sharing_pod(f"p{index}", namespace, gpu_fraction="0.6") for index in (1, 2)])

    operator.wait_until(lambda: len(running(cluster, namespace)) == 2, "two running pods")
    operator.wait_until(lambda: bool(waiting_reasons(cluster, namespace)), "the reason of the third")

    assert len(running(cluster, namespace)) == 2


@pytest.mark.usefixtures("webhook")
def test_templates_stay_as_long_as_a_pod_names_them(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    cluster.api.create(a_queue())
    create_when_called(cluster, a_sharing_pod("stays", namespace, gpu_fraction="0.5"))
    cluster.api.create(a_sharing_pod("goes", namespace, gpu_fraction="0.25"))
    operator.wait_until(lambda: len(running(cluster, namespace)) == 2, "two running pods")
    both = {one["metadata"]["name"] for one in cluster.api.list("ResourceClaimTemplate", namespace)}
    assert len(both) == 2

    cluster.api.delete("Pod", "goes", namespace, gracePeriodSeconds=0)

    operator.wait_until(
        lambda: len(cluster.api.list("ResourceClaimTemplate", namespace)) == 1, "one template to go"
    )
    (kept,) = cluster.api.list("ResourceClaimTemplate", namespace)
    pod = cluster.api.get("Pod", "stays", namespace)
    assert pod["spec"]["resourceClaims"][0]["resourceClaimTemplateName"] == kept["metadata"]["name"]
    cluster.api.create(a_sharing_pod("comes", namespace, gpu_fraction="0.25"))
    operator.wait_until(lambda: "comes" in running(cluster, namespace), "the pod with the template made anew")
    assert {one["metadata"]["name"] for one in cluster.api.list("ResourceClaimTemplate", namespace)} == both


def test_without_the_webhook_the_operator_says_that_sharing_is_not_enabled(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_gpus(cluster, sharing="memory")
    cluster.api.create(a_queue())
    cluster.api.create(a_sharing_pod("p", namespace, gpu_fraction="0.5"))

    operator.wait_until(
        lambda: "SharingNotEnabled" in waiting_reasons(cluster, namespace), "the verdict", seconds=20
    )

    assert running(cluster, namespace) == set()
