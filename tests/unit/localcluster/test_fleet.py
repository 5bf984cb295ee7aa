"""A fleet file of a few lines becomes the nodes and slices that real kubelets and drivers would publish."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from kai_sched.errors import InvalidInput
from kai_sched.localcluster.fleet import Fleet, fleet_objects, read_fleet
from kai_sched.model.quantity import parse_quantity

EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "fleets").glob("*.yaml"))


def a_fleet(*pools: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    head = {"apiVersion": "kai-sched.dev/v1alpha1", "kind": "Fleet"}
    return fleet_objects(Fleet.model_validate({**head, "pools": list(pools), **more}))


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one for one in objects if one["kind"] == kind]


def devices_of(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    slices = of_kind(objects, "ResourceSlice")
    return [device for one in slices for device in one["spec"].get("devices", [])]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_expands_and_twice_to_the_same(file: Path) -> None:
    assert fleet_objects(read_fleet(file)) == fleet_objects(read_fleet(file)) != []


def test_consecutive_nodes_share_a_domain_and_pools_may_count_on() -> None:
    rack = {"label": "rack", "nodes": 2, "name": "r{n}"}
    objects = a_fleet(
        {"name": "a", "count": 3, "domains": [rack]},
        {"name": "b", "count": 1, "domains": [{**rack, "first": 2}]},
    )

    racks = {node["metadata"]["name"]: node["metadata"]["labels"]["rack"] for node in objects}
    assert racks == {"a-0": "r0", "a-1": "r0", "a-2": "r1", "b-0": "r2"}


def test_a_device_plugin_gives_counts_and_no_slices() -> None:
    objects = a_fleet(
        {"name": "a", "count": 1, "devices": [{"profile": "nvidia-h100", "via": "devicePlugin", "count": 4}]}
    )

    (node,) = objects
    assert node["status"]["allocatable"]["nvidia.com/gpu"] == "4"
    assert node["metadata"]["labels"]["nvidia.com/gpu.count"] == "4"


def test_dra_devices_are_published_as_the_driver_does() -> None:
    objects = a_fleet({"name": "a", "count": 1, "devices": [{"profile": "nvidia-h100"}]})

    (node,) = of_kind(objects, "Node")
    (published,) = of_kind(objects, "ResourceSlice")
    assert "nvidia.com/gpu" not in node["status"]["allocatable"]
    assert published["spec"]["pool"] == {"name": "a-0", "generation": 1, "resourceSliceCount": 1}
    assert published["spec"]["nodeName"] == "a-0"
    devices = published["spec"]["devices"]
    assert [device["name"] for device in devices] == [f"gpu-{index}" for index in range(8)]
    attributes = [device["attributes"] for device in devices]
    assert [one["resource.kubernetes.io/numaNode"]["int"] for one in attributes] == [0] * 4 + [1] * 4
    assert len({one["uuid"]["string"] for one in attributes}) == 8
    assert len({one["resource.kubernetes.io/pcieRoot"]["string"] for one in attributes}) == 8
    assert {one["metadata"]["name"] for one in of_kind(objects, "DeviceClass")} == {
        "gpu.nvidia.com",
        "mig.nvidia.com",
        "vfio.gpu.nvidia.com",
    }


def test_devices_of_the_same_number_on_two_nodes_are_two_devices() -> None:
    objects = a_fleet({"name": "a", "count": 2, "devices": [{"profile": "nvidia-h100"}]})

    assert len({device["attributes"]["uuid"]["string"] for device in devices_of(objects)}) == 16


def test_dynamic_partitions_come_with_counters_in_a_slice_of_their_own() -> None:
    objects = a_fleet(
        {
            "name": "a",
            "count": 1,
            "devices": [{"profile": "nvidia-h100", "count": 2, "partitions": "dynamic"}],
        }
    )

    first, *others = of_kind(objects, "ResourceSlice")
    assert [one["name"] for one in first["spec"]["sharedCounters"]] == [
        "gpu-0-counter-set",
        "gpu-1-counter-set",
    ]
    assert {one["spec"]["pool"]["resourceSliceCount"] for one in (first, *others)} == {3}
    names = [device["name"] for device in others[0]["spec"]["devices"]]
    assert names == sorted(names)
    assert {"gpu-0", "gpu-0-mig-1g10gb-19-6", "gpu-0-mig-3g40gb-9-4"} <= set(names)


def test_no_partition_takes_more_than_its_device_has_and_the_whole_device_takes_all() -> None:
    objects = a_fleet(
        {
            "name": "a",
            "count": 1,
            "devices": [{"profile": "nvidia-h100", "count": 1, "partitions": "dynamic"}],
        }
    )
    first = of_kind(objects, "ResourceSlice")[0]
    (shared,) = first["spec"]["sharedCounters"]
    available = {name: parse_quantity(entry["value"]) for name, entry in shared["counters"].items()}

    for device in devices_of(objects):
        (taken,) = device["consumesCounters"]
        amounts = {name: parse_quantity(entry["value"]) for name, entry in taken["counters"].items()}
        assert all(amount <= available[name] for name, amount in amounts.items())
        if device["name"] == "gpu-0":
            assert amounts == available


def test_seven_small_partitions_fit_one_device_together() -> None:
    objects = a_fleet(
        {
            "name": "a",
            "count": 1,
            "devices": [{"profile": "nvidia-h100", "count": 1, "partitions": "dynamic"}],
        }
    )
    (shared,) = of_kind(objects, "ResourceSlice")[0]["spec"]["sharedCounters"]
    total: Counter[str] = Counter()
    for device in devices_of(objects):
        if "-mig-1g10gb-19-" in device["name"]:
            for name, entry in device["consumesCounters"][0]["counters"].items():
                total[name] += parse_quantity(entry["value"])  # type: ignore[assignment]

    assert total["memory-slice-6"] == Fraction(1)
    assert all(parse_quantity(shared["counters"][name]["value"]) >= amount for name, amount in total.items())


def test_static_partitions_replace_the_whole_device_and_do_not_overlap() -> None:
    layout = ["3g.40gb", "2g.20gb", "1g.10gb", "1g.10gb"]
    objects = a_fleet(
        {
            "name": "a",
            "count": 1,
            "devices": [
                {"profile": "nvidia-h100", "count": 1, "partitions": "static", "partitionLayout": layout}
            ],
        }
    )

    devices = devices_of(objects)
    slots = [name for device in devices for name in device["capacity"] if name.startswith("memorySlice")]
    assert sorted(device["attributes"]["profile"]["string"] for device in devices) == sorted(layout)
    assert len(slots) == len(set(slots)) == 8
    assert not any("consumesCounters" in device for device in devices)


def test_static_partitions_by_device_plugin_are_counted_by_size() -> None:
    objects = a_fleet(
        {
            "name": "a",
            "count": 1,
            "devices": [
                {
                    "profile": "nvidia-h100",
                    "via": "devicePlugin",
                    "partitions": "static",
                    "partitionLayout": ["3g.40gb", "1g.10gb", "1g.10gb"],
                }
            ],
        }
    )

    allocatable = objects[0]["status"]["allocatable"]
    assert (allocatable["nvidia.com/mig-3g.40gb"], allocatable["nvidia.com/mig-1g.10gb"]) == ("8", "16")


def test_replicas_of_a_device_plugin_are_counted_as_devices() -> None:
    (node,) = a_fleet(
        {
            "name": "a",
            "count": 1,
            "devices": [{"profile": "nvidia-h100", "via": "devicePlugin", "sharing": 4}],
        }
    )

    assert node["status"]["allocatable"]["nvidia.com/gpu"] == "32"
    assert node["metadata"]["labels"]["nvidia.com/gpu.count"] == "8"


def test_shares_become_a_capacity_with_a_policy() -> None:
    objects = a_fleet(
        {"name": "a", "count": 1, "devices": [{"profile": "nvidia-h100", "count": 1, "sharing": 10}]}
    )

    (device,) = devices_of(objects)
    assert device["allowMultipleAllocations"] is True
    assert device["capacity"]["shares"] == {
        "value": "10",
        "requestPolicy": {"default": "1", "validRange": {"min": "1", "max": "10", "step": "1"}},
    }
    assert device["capacity"]["memory"]["requestPolicy"]["default"] == "0"


def test_attached_devices_are_reachable_by_label_or_from_everywhere() -> None:
    objects = a_fleet(
        attached=[
            {"name": "some", "profile": "fabric-accelerator", "nodeLabels": {"fabric": "f1"}},
            {"name": "all", "profile": "fabric-accelerator"},
        ]
    )

    some, everywhere = (one["spec"] for one in of_kind(objects, "ResourceSlice"))
    (term,) = some["nodeSelector"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [{"key": "fabric", "operator": "In", "values": ["f1"]}]
    assert everywhere["allNodes"] is True


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: Fleet\napiVersion: kai-sched.dev/v1alpha1\npools: [{name: a, count: 0}]", r"pools\.0\.count"),
        ("kind: Fleet\napiVersion: kai-sched.dev/v1alpha1\npools: [{name: a, count: 1, cpus: 3}]", "cpus"),
        ("kind: Fleet\napiVersion: v2\n", "apiVersion"),
        ("pools: [", "while parsing"),
        (
            (
                "kind: Fleet\napiVersion: kai-sched.dev/v1alpha1\npools: [{name: a, count: 1, "
                "devices: [{profile: nvidia-h100, via: devicePlugin, sharing: memory}]}]"
            ),
            "a number of replicas",
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_named(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(text)

    with pytest.raises(InvalidInput, match=rf"{file}.*{says}"):
        read_fleet(file)


@pytest.mark.parametrize(
    ("devices", "says"),
    [
        ({"profile": "abacus"}, "no device profile 'abacus'"),
        ({"profile": "intel-gaudi3", "partitions": "dynamic"}, "cannot be partitioned"),
        (
            {"profile": "nvidia-h100", "partitions": "static", "partitionLayout": ["7g.80gb", "1g.10gb"]},
            "do not fit on one device",
        ),
        (
            {"profile": "nvidia-h100", "partitions": "static", "partitionLayout": ["9g.10gb"]},
            "no partition '9g.10gb'",
        ),
    ],
)
def test_devices_that_cannot_be_are_refused(devices: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        a_fleet({"name": "a", "count": 1, "devices": [devices]})


def test_two_nodes_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidInput, match="two nodes are called n"):
        a_fleet({"name": "a", "count": 2, "nodeName": "n"})
