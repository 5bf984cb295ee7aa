"""Shard argument ``device-choice``, from the snapshot file to the devices of the plan."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.documents import a_pod_document, a_shard_document
from tests.unit.cli.conftest import Run

MIXED = Path(__file__).parents[3] / "examples/snapshots/mixed-fleet.yaml"


@pytest.mark.parametrize(
    ("arguments", "devices"),
    [
        # gpu-4 and gpu-5 are held: the half that is begun is filled, and the other stays whole.
        ({}, ["gpu-6", "gpu-7"]),
        ({"device-choice": "topology"}, ["gpu-6", "gpu-7"]),
        ({"device-choice": "reference"}, ["gpu-0", "gpu-1"]),
    ],
    ids=str,
)
def test_the_shard_says_whose_devices_are_taken(run: Run, tmp_path, arguments, devices):
    container = {"name": "main", "resources": {"claims": [{"name": "gpus"}]}}
    pod = a_pod_document(
        "pair",
        annotations={"pod-group-name": "eval"},
        spec={
            "containers": [container],
            "nodeSelector": {"kubernetes.io/hostname": "a100-0"},
            "resourceClaims": [{"name": "gpus", "resourceClaimName": "pair"}],
        },
    )
    claim = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": "pair", "namespace": "team"},
        "spec": {
            "devices": {
                "requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu.nvidia.com", "count": 2}}]
            }
        },
    }
    more = tmp_path / "more.yaml"
    more.write_text(yaml.safe_dump_all([pod, claim, a_shard_document(args=arguments)]))

    plan = run("plan", "-f", MIXED, "-f", more, "-o", "json").document

    bind = next(bind for bind in plan["binds"] if bind["pod"] == "team/pair")
    assert bind["claims"][0]["devices"] == [f"gpu.nvidia.com/a100-0/{device}" for device in devices]
