"""Each example fleet serves the ways of asking that it is there for: which node a pod gets, and which devices."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from kai_sched.localcluster.fleet import fleet_objects, read_fleet
from tests.unit.devices.dra import a_claim_document, a_request, a_user, decide

FLEETS = Path(__file__).parents[2] / "examples" / "fleets"


@lru_cache
def objects_of(fleet: str) -> list[dict[str, Any]]:
    return fleet_objects(read_fleet(FLEETS / f"{fleet}.yaml"))


def of_class(name: str, *selectors: str, **fields: Any) -> dict[str, Any]:
    return a_request("gpu", *selectors, deviceClassName=name, **fields)


def amount(name: str, value: str) -> dict[str, Any]:
    return {"capacity": {"requests": {name: value}}}


AMD = 'device.attributes["gpu.amd.com"].type == "{}"'
MIG = 'device.attributes["gpu.nvidia.com"].profile == "{}"'
CHANNEL = "compute-domain-default-channel.nvidia.com"

BY_CLAIM = [
    ("h100", of_class("gpu.nvidia.com", count=8), "h100-", "gpu-0"),
    ("gb200-nvl72", of_class("gpu.nvidia.com", count=4), "nvl-", "gpu-0"),
    ("gb200-nvl72", of_class(CHANNEL), "nvl-", "channel-0"),
    ("h100-mig-static", of_class("mig.nvidia.com", MIG.format("3g.40gb")), "mig-dra-", "gpu-0-mig-3g40gb"),
    ("h100-mig-dynamic", of_class("mig.nvidia.com", MIG.format("7g.80gb")), "mig-", "gpu-0-mig-7g80gb"),
    ("h100-mig-dynamic", of_class("gpu.nvidia.com"), "mig-", "gpu-0"),
    ("mi300x", of_class("gpu.amd.com", AMD.format("amdgpu"), count=8), "mi300x-", "gpu-0-128"),
    ("mi300x", of_class("gpu.amd.com", AMD.format("amdgpu-partition")), "mi300x-cpx-", "gpu-0-partition"),
    ("gaudi", of_class("gaudi.intel.com", count=8), "gaudi-", "gaudi-0"),
    ("gaudi", of_class("gpu.intel.com"), "gpu-max-", "card-0"),
    ("shared-gpus", of_class("gpu.nvidia.com", **amount("shares", "3")), "by-shares-", "gpu-0"),
    ("fabric", of_class("fabric-accelerator", count=4), "host-", "accelerator-0"),
    ("confidential", of_class("gpu.nvidia.com", count=8), "plain-", "gpu-0"),
    ("confidential", of_class("vfio.gpu.nvidia.com"), "cc-", "gpu-vfio-0"),
]


@pytest.mark.parametrize(("fleet", "request_", "node", "device"), BY_CLAIM)
def test_a_claim_is_served(fleet, request_, node, device):
    decided = decide(*objects_of(fleet), a_claim_document(request_), a_user("p", "claim"), nodes=0)

    assert decided.node_of("p").startswith(node)
    devices = decided.devices_of("p")
    assert devices[0].startswith(device)
    assert len(devices) == request_["exactly"].get("count", 1)


BY_RESOURCE = [
    ("mi300x", "amd.com/gpu", 8, "mi300x-plugin-"),
    ("h100-mig-static", "nvidia.com/mig-1g.10gb", 56, "mig-plugin-"),
    ("shared-gpus", "nvidia.com/gpu", 32, ("time-sliced-", "mps-")),
]


@pytest.mark.parametrize(("fleet", "resource", "most", "node"), BY_RESOURCE)
def test_a_count_of_a_device_plugin_is_served_up_to_what_a_node_offers(fleet, resource, most, node):
    offered = [
        int(one["status"]["allocatable"].get(resource, 0))
        for one in objects_of(fleet)
        if one["kind"] == "Node"
    ]

    def asking(count: int) -> dict[str, Any]:
        pod = a_user("p")
        amounts = {resource: str(count)}
        pod["spec"]["containers"] = [
            {"name": "main", "resources": {"requests": {"cpu": "1", **amounts}, "limits": amounts}}
        ]
        return pod

    decided = decide(*objects_of(fleet), asking(most), nodes=0)

    assert decided.node_of("p").startswith(node)
    assert decide(*objects_of(fleet), asking(max(offered) + 1), nodes=0).plan.binds == ()


CONFIDENTIAL = [
    (of_class("vfio.gpu.nvidia.com"), {}, "cc-on-"),
    (of_class("vfio.gpu.nvidia.com", count=8), {"nvidia.com/nvswitch": "4"}, "cc-ppcie-dra-"),
    (None, {"nvidia.com/pgpu": "8", "nvidia.com/nvswitch": "4"}, "cc-ppcie-0"),
]


@pytest.mark.parametrize(("request_", "amounts", "node"), CONFIDENTIAL)
def test_a_confidential_pod_is_served_by_claim_and_by_count(request_, amounts, node):
    claims = [] if request_ is None else [a_claim_document(request_)]
    pod = a_user("p", *(["claim"] if claims else []))
    pod["spec"] |= {
        "runtimeClassName": "kata-qemu-nvidia-gpu-snp",
        "containers": [
            {"name": "main", "resources": {"requests": {"cpu": "1", **amounts}, "limits": amounts}}
        ],
    }

    decided = decide(*objects_of("confidential"), *claims, pod, nodes=0)

    assert decided.node_of("p").startswith(node)


@pytest.mark.parametrize("count", [1, 8])
def test_the_node_in_protected_pcie_mode_is_not_given_out_in_parts(count):
    """Eight GPUs without the switches are a part too."""
    pod = a_user("p", "claim")
    pod["spec"] |= {
        "runtimeClassName": "kata-qemu-nvidia-gpu-snp",
        "nodeSelector": {"nvidia.com/cc.mode.state": "ppcie"},
    }
    claim = a_claim_document(of_class("vfio.gpu.nvidia.com", count=count))

    assert decide(*objects_of("confidential"), claim, pod, nodes=0).plan.binds == ()
