"""``kai-sched topology`` of a live cluster: what its API server says of racks, devices and who holds them."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner

from kai_sched.cli.app import app
from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import a_claim_template, a_pod, a_pod_group, a_queue, with_nodes
from tests.cluster.operators import RunningOperator

CLIQUE = "nvidia.com/gpu.clique"


def show(cluster: LocalCluster, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["topology", "--kubeconfig", str(cluster.kubeconfig), *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def devices(place: dict[str, Any]) -> list[dict[str, Any]]:
    """Every device below a place."""
    here = [place] if place["kind"] == "device" else []
    return here + [each for child in place.get("children", ()) for each in devices(child)]


def test_a_running_gang_is_shown_on_the_devices_that_it_holds(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, dra=2, plugin=1, gpus=4, labels={CLIQUE: "c.0"})
    cluster.api.create(a_queue())
    cluster.api.create(a_claim_template("two-gpus", namespace, gpus=2))
    cluster.api.create(a_pod_group("gang", namespace, minMember=3))
    cluster.api.create_all(a_pod(f"p{n}", namespace, group="gang", template="two-gpus") for n in range(3))
    operator.wait_until(
        lambda: sum(bool(pod["spec"].get("nodeName")) for pod in cluster.api.list("Pod", namespace)) == 3
    )

    document = json.loads(show(cluster, "-o", "json"))

    (clique,) = document["fleet"]["children"]
    assert (clique["level"], clique["name"]) == (CLIQUE, "c.0")
    assert {entry["driver"]: (entry["free"], entry["total"]) for entry in clique["devices"]} == {
        "gpu.nvidia.com": (2, 8),
        "nvidia.com/gpu": (4, 4),
    }
    allocated = {
        "/".join((result["driver"], result["pool"], result["device"]))
        for claim in cluster.api.list("ResourceClaim", namespace)
        for result in claim["status"]["allocation"]["devices"]["results"]
    }
    held = [device for device in devices(document["fleet"]) if device["state"] == "held"]
    assert {device["id"] for device in held} == allocated
    assert {holder["podGroup"] for device in held for holder in device["holders"]} == {f"{namespace}/gang"}
    assert {holder["queue"] for device in held for holder in device["holders"]} == {"team-a"}
    assert f"A {namespace}/gang (queue team-a): 6 devices in clique c.0" in show(cluster)
