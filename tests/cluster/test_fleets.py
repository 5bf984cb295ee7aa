"""The API server takes every example fleet, and takes a big one quickly."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from kai_sched.localcluster import LocalCluster
from kai_sched.localcluster.fleet import Fleet, fleet_objects, read_fleet
from kai_sched.localcluster.fleet.publish import publish

FLEETS = sorted((Path(__file__).parents[2] / "examples" / "fleets").glob("*.yaml"))


def _without_topologies(fleet: Fleet) -> list[dict[str, Any]]:
    """What the API server knows without our CRDs."""
    return [one for one in fleet_objects(fleet) if one["kind"] != "Topology"]


@pytest.mark.parametrize("file", FLEETS, ids=lambda file: file.stem)
def test_the_api_server_takes_the_fleet_as_it_is(file: Path, cluster: LocalCluster) -> None:
    objects = _without_topologies(read_fleet(file))

    publish(cluster.api, objects)

    for kind in ("Node", "ResourceSlice", "DeviceClass"):
        sent = {one["metadata"]["name"]: one["spec"] for one in objects if one["kind"] == kind}
        kept = {one["metadata"]["name"]: one["spec"] for one in cluster.api.list(kind)}
        assert kept.keys() == sent.keys()
        if kind == "ResourceSlice":
            # Nothing was dropped: a field behind a closed gate would be.
            assert kept == sent


def test_five_hundred_nodes_with_slices_are_there_within_seconds(cluster: LocalCluster) -> None:
    fleet = Fleet.model_validate(
        {
            "apiVersion": "kai-sched.dev/v1alpha1",
            "kind": "Fleet",
            "pools": [{"name": "big", "count": 500, "devices": [{"profile": "nvidia-h100"}]}],
        }
    )
    started = time.monotonic()

    publish(cluster.api, fleet_objects(fleet))

    assert len(cluster.api.list("ResourceSlice")) == 500
    # Idle it takes 3 s; the bound leaves room for a busy machine.
    assert time.monotonic() - started < 30


def test_a_slice_goes_with_its_node(cluster: LocalCluster) -> None:
    publish(cluster.api, _without_topologies(read_fleet(FLEETS[-1])))
    owner = cluster.api.list("ResourceSlice")[0]["metadata"]["ownerReferences"][0]

    assert owner["uid"] == cluster.api.get("Node", owner["name"])["metadata"]["uid"]
