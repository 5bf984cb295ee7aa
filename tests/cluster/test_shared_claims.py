"""Parts of GPUs whose driver gives a device to one claim only: pods of a namespace name one claim together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import a_queue
from tests.cluster.operators import RunningOperator
from tests.cluster.webhooks import (
    RunningWebhook,
    a_sharing_pod,
    create_when_called,
    running,
    waiting_reasons,
    webhook_on,
    with_gpus,
)

Document = dict[str, Any]
GRACE_SECONDS = "5"


@pytest.fixture
def webhook(cluster: LocalCluster) -> Iterator[RunningWebhook]:
    """Three devices that one claim each can have."""
    with_gpus(cluster, count=3)
    with webhook_on(cluster, "--realise", "shared-claim", "--grace-seconds", GRACE_SECONDS) as hook:
        yield hook


def halves(namespace: str, *names: str) -> list[Document]:
    return [a_sharing_pod(name, namespace, gpu_fraction="0.5") for name in names]


def claim_of(cluster: LocalCluster, namespace: str, pod: str) -> str:
    """Name of the claim that a pod was given."""
    (entry,) = cluster.api.get("Pod", pod, namespace)["spec"]["resourceClaims"]
    return str(entry["resourceClaimName"])


def device_of(cluster: LocalCluster, namespace: str, pod: str) -> str:
    """The one device that a running pod has."""
    claim = cluster.api.get("ResourceClaim", claim_of(cluster, namespace, pod), namespace)
    (result,) = claim["status"]["allocation"]["devices"]["results"]
    assert pod in [one["name"] for one in claim["status"]["reservedFor"]]
    return str(result["device"])


@pytest.mark.usefixtures("webhook")
def test_four_halves_lie_on_two_devices_a_quarter_on_the_third_and_what_is_freed_is_taken_again(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    cluster.api.create(a_queue())
    first = create_when_called(cluster, *halves(namespace, "p0"))
    cluster.api.create_all(halves(namespace, "p1", "p2", "p3"))
    operator.wait_until(lambda: len(running(cluster, namespace)) == 4, "four running pods")
    names = ("p0", "p1", "p2", "p3")
    devices = {pod: device_of(cluster, namespace, pod) for pod in names}

    cluster.api.create(a_sharing_pod("quarter", namespace, gpu_fraction="0.25"))
    operator.wait_until(lambda: "quarter" in running(cluster, namespace), "the quarter")

    assert sorted(Counter(devices.values()).values()) == [2, 2]
    assert device_of(cluster, namespace, "quarter") not in devices.values()
    assert first["metadata"]["annotations"]["kai-sched.dev/gpu-fraction"] == "0.5"
    assert "gpu-fraction" not in first["metadata"]["annotations"]

    cluster.api.delete("Pod", "p0", namespace, gracePeriodSeconds=0)
    # A half fits both where the quarter is and where p0 was: the fuller one is taken.
    cluster.api.create_all(halves(namespace, "again"))

    operator.wait_until(lambda: "again" in running(cluster, namespace), "the half that follows")
    assert device_of(cluster, namespace, "again") == devices["p0"]


def test_a_webhook_that_starts_again_reads_back_who_has_what_and_deletes_what_nobody_uses(
    cluster: LocalCluster, namespace: str, operator: RunningOperator, webhook: RunningWebhook
) -> None:
    cluster.api.create(a_queue())
    create_when_called(cluster, *halves(namespace, "p0"))
    operator.wait_until(lambda: "p0" in running(cluster, namespace), "the first pod")

    webhook.stop()
    webhook.start()
    create_when_called(cluster, *halves(namespace, "p1"))
    create_when_called(cluster, *halves(namespace, "p2"))

    operator.wait_until(lambda: len(running(cluster, namespace)) == 3, "three running pods")
    assert claim_of(cluster, namespace, "p1") == claim_of(cluster, namespace, "p0")
    kept = claim_of(cluster, namespace, "p2")
    assert kept != claim_of(cluster, namespace, "p0")
    for name in ("p0", "p1"):
        cluster.api.delete("Pod", name, namespace, gracePeriodSeconds=0)
    operator.wait_until(lambda: len(cluster.api.list("ResourceClaim", namespace)) == 1, "a claim to go")
    assert cluster.api.get("ResourceClaim", kept, namespace)["status"]["allocation"]


@pytest.mark.usefixtures("webhook")
def test_quotas_count_the_parts_of_pods_that_share_a_claim(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    cluster.api.create(a_queue(gpu_limit=1.5))
    create_when_called(cluster, *halves(namespace, "p0"))
    cluster.api.create_all(halves(namespace, "p1", "p2"))
    operator.wait_until(lambda: len(running(cluster, namespace)) == 3, "three halves")

    cluster.api.create(a_sharing_pod("above", namespace, gpu_fraction="0.1"))

    operator.wait_until(lambda: "limit" in waiting_reasons(cluster, namespace), "the verdict")
    operator.wait_until(lambda: gpus_of(cluster) == "1.5", "the status of the queue")
    assert running(cluster, namespace) == {"p0", "p1", "p2"}


def gpus_of(cluster: LocalCluster) -> str:
    """What the queue's status says that it has."""
    allocated = (cluster.api.get("Queue", "team-a").get("status") or {}).get("allocated") or {}
    return str(allocated.get("nvidia.com/gpu"))


@pytest.mark.usefixtures("webhook")
def test_a_dry_run_writes_nothing(cluster: LocalCluster, namespace: str) -> None:
    create_when_called(cluster, a_sharing_pod("p0", namespace, gpu_fraction="0.9"))
    before = cluster.api.list("ResourceClaim", namespace)

    (wanted,) = halves(namespace, "p1")
    path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"
    made = cluster.api.request("POST", path, wanted)

    assert made["spec"]["resourceClaims"][0]["resourceClaimName"] != before[0]["metadata"]["name"]
    assert cluster.api.list("ResourceClaim", namespace) == before
