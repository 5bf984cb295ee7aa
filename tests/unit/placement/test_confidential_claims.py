"""Confidential GPUs by claim: which devices a pod may be given, on whichever path they are chosen.

Every refusal is shown twice: with the rules, and with a policy that knows no confidential nodes, under which the same
pod is placed. The plan of that policy is what the independent checker has to refuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import pytest

from kai_sched.model.policy import DeviceChoice
from kai_sched.placement.checker import check_plan
from tests.documents import Document
from tests.unit.devices.dra import a_claim_document, a_class, a_listed_request, a_request
from tests.unit.placement.confidential import (
    ALL_GPUS,
    CHANNEL,
    GPU,
    MIG,
    NO_RULES,
    PGPU,
    POLICY,
    SMALL,
    SNP,
    TEE,
    VFIO,
    a_claim,
    a_fleet,
    a_pod,
    decided,
    places,
    refusal,
)

BOTH_CHOICES = pytest.mark.parametrize("choice", list(DeviceChoice))


@BOTH_CHOICES
def test_protected_pcie_gives_all_gpus_to_the_claim_of_one_pod_with_all_switches(choice):
    policy = replace(POLICY, device_choice=choice)
    fleet = a_fleet("confidential", "cc-ppcie-dra")

    found = places([*fleet, a_claim(VFIO, count=8), a_pod("p", "claim", runtime=SNP, nvswitch="4")], policy)

    assert found == {"p": ("cc-ppcie-dra-0", ALL_GPUS)}


def test_two_claims_may_take_the_whole_node_together():
    fleet = a_fleet("confidential", "cc-ppcie-dra")
    claims = [a_claim(VFIO, name="a", count=3), a_claim(VFIO, name="b", count=5)]

    found = places([*fleet, *claims, a_pod("p", "a", "b", runtime=SNP, nvswitch="4")])

    assert sorted(found["p"][1]) == ALL_GPUS


def test_all_devices_of_a_node_are_all_of_it():
    fleet = a_fleet("confidential", "cc-ppcie-dra")
    claim = a_claim(VFIO, allocationMode="All")

    found = places([*fleet, claim, a_pod("p", "claim", runtime=SNP, nvswitch="4")])

    assert found["p"][1] == ALL_GPUS


def test_of_alternatives_the_one_is_taken_that_is_the_whole_node():
    fleet = a_fleet("confidential", "cc-ppcie-dra")
    choice = a_listed_request(
        "gpu",
        a_request("few", deviceClassName=VFIO, count=2),
        a_request("all", deviceClassName=VFIO, count=8),
    )

    found = places([*fleet, a_claim_document(choice), a_pod("p", "claim", runtime=SNP, nvswitch="4")])

    assert found["p"][1] == ALL_GPUS


@pytest.mark.parametrize("runtime", [SNP, ""])
@pytest.mark.parametrize(
    ("count", "switches"),
    [(1, {}), (1, {"nvswitch": "4"}), (8, {}), (8, {"nvswitch": "2"}), (7, {"nvswitch": "4"})],
)
def test_no_part_of_a_node_in_protected_pcie_mode_is_given_out(count, switches, runtime):
    fleet = a_fleet("confidential", "cc-ppcie-dra")

    message = refusal([*fleet, a_claim(VFIO, count=count), a_pod("p", "claim", runtime=runtime, **switches)])

    assert "mode ppcie, all" in message
    assert "to one pod" in message


def test_switches_alone_are_a_part_of_the_node():
    message = refusal([*a_fleet("confidential", "cc-ppcie-dra"), a_pod(runtime=SNP, nvswitch="4")])

    assert "1 is in mode ppcie, all their GPUs go to one pod, also those published as devices" in message


def test_a_node_of_which_a_gpu_is_tainted_is_not_whole():
    fleet = a_fleet("confidential", "cc-ppcie-dra")
    choice = a_listed_request(
        "gpu",
        a_request("all", deviceClassName=VFIO, count=8),
        a_request("few", deviceClassName=VFIO, count=2),
    )
    rule = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceTaintRule",
        "metadata": {"name": "lost"},
        "spec": {
            "deviceSelector": {"driver": GPU, "device": "gpu-vfio-3"},
            "taint": {"key": "gpu.nvidia.com/gpu-lost", "effect": "NoSchedule"},
        },
    }

    message = refusal(
        [*fleet, rule, a_claim_document(choice), a_pod("p", "claim", runtime=SNP, nvswitch="4")]
    )

    assert "request gpu/few" in message


def test_an_ordinary_pod_gets_no_gpu_that_the_host_has_lost():
    fleet = a_fleet("confidential", "plain", **TEE)

    message = refusal([*fleet, a_claim(GPU), a_pod("p", "claim")])

    assert "16 of them are closed to this pod (the node's GPUs are in a confidential mode" in message


def test_an_ordinary_pod_may_be_handed_a_device_of_such_a_node():
    fleet = a_fleet("confidential", "cc-on")

    assert places([*fleet, a_claim(VFIO), a_pod("p", "claim")]) == {"p": ("cc-on-0", ["gpu-vfio-0"])}


NOT_FOR_CONFIDENTIAL_PODS = [
    ("h100", a_claim(GPU), "passed through"),
    ("h100-mig-dynamic", a_claim(MIG, SMALL), "passed through"),
    ("shared-gpus", a_claim(GPU, capacity={"requests": {"shares": "1"}}), "passed through"),
    ("gb200-nvl72", a_claim(CHANNEL), "no fabric reaches into a confidential pod"),
]


@pytest.mark.parametrize(("fleet", "claim", "reason"), NOT_FOR_CONFIDENTIAL_PODS)
def test_a_confidential_pod_gets_no_other_kind_of_device(fleet, claim, reason):
    message = refusal([*a_fleet(fleet, **TEE), claim, a_pod("p", "claim", runtime=SNP)])

    assert reason in message


def test_a_device_that_serves_many_is_not_given_to_a_confidential_pod():
    fleet = a_fleet("confidential", "cc-on")
    for one in fleet:
        for device in one["spec"]["devices"] if one["kind"] == "ResourceSlice" else ():
            device["allowMultipleAllocations"] = True

    assert "serves many" in refusal([*fleet, a_claim(VFIO), a_pod("p", "claim", runtime=SNP)])


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({"nvidia.com/cc.mode.state": "off"}, "the node is not in a confidential GPU mode"),
        ({"nvidia.com/cc.mode.state": "failed"}, "the node is not in a confidential GPU mode"),
        ({"nvidia.com/cc.mode": "off"}, "the node is changing its confidential GPU mode"),
        ({"nvidia.com/cc.ready.state": "false"}, "the node does not have nvidia.com/cc.ready.state=true"),
    ],
    ids=str,
)
def test_each_label_of_the_node_counts_for_a_claim(labels, reason):
    fleet = a_fleet("confidential", "cc-on", **labels)

    assert reason in refusal([*fleet, a_claim(VFIO), a_pod("p", "claim", runtime=SNP)])


@pytest.mark.parametrize("asking", ["claim", "count"])
def test_a_runtime_class_needs_no_gpu_in_its_name(asking):
    labels = {"nvidia.com/cc.mode.state": "off"}
    fleet = a_fleet("confidential", "cc-on", "cc-ppcie-0", **labels)
    pods = {
        "claim": [a_claim(VFIO), a_pod("p", "claim", runtime="kata-qemu-snp")],
        "count": [a_pod("p", runtime="kata-qemu-snp", pgpu="1")],
    }

    assert "not in a confidential GPU mode" in refusal([*fleet, *pods[asking]])


def test_a_confidential_pod_without_gpus_needs_the_trusted_environment_alone():
    fleet = a_fleet("confidential", "cc-changing", "plain")

    assert places([*fleet, a_pod(runtime=SNP)]) == {"p": ("cc-changing-0", [])}


def test_partitions_are_not_counted_out_to_confidential_pods():
    fleet = a_fleet("h100-mig-static", "mig-plugin", **TEE)
    pod = a_pod(runtime=SNP)
    amounts = {"nvidia.com/mig-1g.10gb": "1"}
    pod["spec"]["containers"][0]["resources"] = {"requests": amounts, "limits": amounts}

    assert "cannot share a GPU with a confidential pod" in refusal([*fleet, pod])


def test_partitions_are_not_counted_out_where_the_host_has_no_gpu():
    fleet = a_fleet("h100-mig-static", "mig-plugin", **TEE)
    pod = a_pod()
    amounts = {"nvidia.com/mig-1g.10gb": "1"}
    pod["spec"]["containers"][0]["resources"] = {"requests": amounts, "limits": amounts}

    assert "GPUs in a confidential mode" in refusal([*fleet, pod])


def test_a_class_behind_a_resource_is_under_the_same_rules():
    backed = a_class("pgpu", f'device.driver == "{GPU}"', extendedResourceName=PGPU)
    backed = {"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", **backed}
    fleet = [*a_fleet("confidential", "cc-ppcie-dra"), backed]

    assert places([*fleet, a_pod(runtime=SNP, pgpu="8", nvswitch="4")])["p"][1] == ALL_GPUS
    assert "mode ppcie, all" in refusal([*fleet, a_pod(runtime=SNP, pgpu="1", nvswitch="4")])


def test_confidential_pods_do_not_share_a_claim():
    fleet = a_fleet("confidential", "cc-on")
    pods = [a_pod(f"p{number}", "claim", runtime=SNP) for number in range(2)]

    snapshot, careless = decided([*fleet, a_claim(VFIO), *pods], NO_RULES)
    found = places([*fleet, a_claim(VFIO), *pods])

    assert len(careless.binds) == 2
    assert check_plan(snapshot, POLICY, careless) != ()
    assert len(found) == 1


def test_a_claim_that_has_another_kind_of_gpu_already_is_refused():
    fleet = a_fleet("confidential", "plain-0", **TEE)
    (published,) = [one for one in fleet if one["kind"] == "ResourceSlice"]
    pool, node = published["spec"]["pool"]["name"], published["spec"]["nodeName"]
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]
    claim = a_claim(GPU)
    result = {"request": "gpu", "driver": GPU, "pool": pool, "device": "gpu-0"}
    claim["status"] = {
        "allocation": {"devices": {"results": [result]}, "nodeSelector": {"nodeSelectorTerms": terms}}
    }

    refusal([*fleet, claim, a_pod("p", "claim", runtime=SNP)])


def with_host_forms(objects: list[Document], *, numbers: Sequence[int]) -> list[Document]:
    """The GPUs with these numbers published as the host's driver has them too, as before they are prepared."""
    for one in objects:
        if one["kind"] == "ResourceSlice":
            for number in numbers:
                twin = deepcopy(one["spec"]["devices"][number])
                twin["name"] = f"gpu-{number}"
                twin["attributes"]["type"] = {"string": "gpu"}
                one["spec"]["devices"].append(twin)
    return objects


def test_a_gpu_that_is_published_in_both_forms_is_one_piece_of_the_whole_node():
    fleet = with_host_forms(a_fleet("confidential", "cc-ppcie-dra"), numbers=range(8))

    found = places([*fleet, a_claim(VFIO, count=8), a_pod("p", "claim", runtime=SNP, nvswitch="4")])

    assert sorted(found["p"][1]) == ALL_GPUS


def test_a_gpu_that_is_not_passed_through_leaves_the_node_to_nobody():
    fleet = a_fleet("confidential", "cc-ppcie-dra")
    for one in fleet:
        if one["kind"] == "ResourceSlice":
            one["spec"]["devices"][7]["attributes"]["type"] = {"string": "gpu"}

    message = refusal([*fleet, a_claim(VFIO, count=7), a_pod("p", "claim", runtime=SNP, nvswitch="4")])

    assert "1 is in mode ppcie, all their GPUs go to one pod, also those published as devices" in message
