"""The mutating webhook on a real API server: a part of a GPU becomes a claim, and the operator places it."""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kai_sched.localcluster import LocalCluster
from kai_sched.localcluster.fleet import Fleet, fleet_objects
from kai_sched.localcluster.fleet.publish import publish
from kai_sched.localcluster.recipe import Layout
from tests.cluster.objects import a_pod, a_queue
from tests.cluster.operators import ROOT, RunningOperator

Document = dict[str, Any]
CONFIGURATION = ROOT / "manifests" / "webhook" / "webhook.yaml"


@pytest.fixture
def webhook(cluster: LocalCluster) -> Iterator[None]:
    """Our webhook, called by the API server, with the certificate of the control plane's own authority."""
    with_shareable_nodes(cluster)
    layout = Layout(cluster.folder)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    command = [sys.executable, "-m", "kai_sched", "webhook", "--kubeconfig", str(cluster.kubeconfig)]
    command += ["--device-class", "gpu.nvidia.com", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--certificate", str(layout.server_certificate), "--key", str(layout.server_key)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        cluster.api.create(a_configuration(port, cluster.ca))
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)
    assert process.returncode == 0


def a_configuration(port: int, ca: Path) -> Document:
    """The one of manifests/, with an address in place of the service."""
    document: Document = yaml.safe_load(CONFIGURATION.read_text())
    (hook,) = document["webhooks"]
    hook["clientConfig"] = {
        "url": f"https://127.0.0.1:{port}{hook['clientConfig']['service']['path']}",
        "caBundle": base64.b64encode(ca.read_bytes()).decode(),
    }
    # A test must not pass because the API server went on without it.
    hook["failurePolicy"] = "Fail"
    return document


def with_shareable_nodes(cluster: LocalCluster) -> None:
    device = {"profile": "nvidia-h100", "sharing": "memory", "count": 2}
    fleet = {
        "apiVersion": "kai-sched.dev/v1alpha1",
        "kind": "Fleet",
        "pools": [{"name": "shared", "count": 1, "devices": [device]}],
    }
    publish(cluster.api, fleet_objects(Fleet.model_validate(fleet)))


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def a_sharing_pod(name: str, namespace: str, **annotations: str) -> Document:
    pod = a_pod(name, namespace)
    pod["metadata"]["annotations"] = {key.replace("_", "-"): value for key, value in annotations.items()}
    return pod


def create_when_called(cluster: LocalCluster, pod: Document) -> Document:
    """The API server takes a moment until it calls a webhook that is new."""
    deadline = time.monotonic() + 20
    while True:
        made = cluster.api.create(pod)
        if made["spec"].get("resourceClaims") or time.monotonic() > deadline:
            return made
        cluster.api.delete(
            "Pod", made["metadata"]["name"], made["metadata"]["namespace"], gracePeriodSeconds=0
        )
        time.sleep(0.3)


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


def test_without_the_webhook_the_operator_says_that_sharing_is_not_enabled(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_shareable_nodes(cluster)
    cluster.api.create(a_queue())
    cluster.api.create(a_sharing_pod("p", namespace, gpu_fraction="0.5"))

    operator.wait_until(
        lambda: "SharingNotEnabled" in waiting_reasons(cluster, namespace), "the verdict", seconds=20
    )

    assert running(cluster, namespace) == set()


def running(cluster: LocalCluster, namespace: str) -> set[str]:
    pods = cluster.api.list("Pod", namespace)
    return {pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Running"}


def waiting_reasons(cluster: LocalCluster, namespace: str) -> str:
    """What pods that wait say about it."""
    return "; ".join(
        f"{condition.get('reason')}: {condition.get('message')}"
        for pod in cluster.api.list("Pod", namespace)
        for condition in pod["status"].get("conditions", ())
        if condition["type"] == "PodScheduled" and condition["status"] == "False"
    )
