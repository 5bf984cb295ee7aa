"""What the pods of a group hold and ask for, as the lists of its status."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from kai_sched.model.devices import (
    AllocationMode,
    ClaimAllocation,
    Consumer,
    Device,
    DeviceCapacity,
    DeviceRequest,
    DeviceResult,
    ResourceSlice,
)
from kai_sched.model.ids import PodGroupKey
from kai_sched.model.policy import GpuClassRule
from kai_sched.model.resources import amounts
from kai_sched.model.workloads import GpuShare, PodState
from kai_sched.operator import claim_counts
from kai_sched.operator.claim_counts import ClassCounts
from kai_sched.operator.group_resources import GroupResources
from kai_sched.operator.tally import NOBODY, tally_groups
from tests.builders import GIB, a_group, a_node, a_pod, a_snapshot, a_spec
from tests.fleets import DEVICELESS, a_claim, asks_gpu, asks_mig, claiming

GROUP = a_group("g")
LISTED = {"cpu": "1", "memory": "1Gi"}
"""What a pod of ``DEVICELESS`` asks for beside its claims."""


def resources_of(*pods, group=GROUP, claims=(), rules=(), slices=(), nodes=()):
    """The lists of the group in a snapshot with these pods."""
    snapshot = a_snapshot(pods=pods, groups=(group,), claims=tuple(claims), nodes=nodes)
    snapshot = replace(snapshot, fleet=replace(snapshot.fleet, slices=tuple(slices)))
    tally = tally_groups(snapshot).get(PodGroupKey(group.key), NOBODY)
    return GroupResources(snapshot, ClassCounts(tuple(rules))).status_of(group, tally)


def held(*devices, request="gpu", **more):
    """An allocation of devices of node n."""
    return ClaimAllocation(
        results=tuple(
            DeviceResult(request=request, driver="gpu.nvidia.com", pool="n", device=device, **more)
            for device in devices
        )
    )


def published(*devices):
    """Devices of node n."""
    return ResourceSlice(
        name="s",
        driver="gpu.nvidia.com",
        pool="n",
        generation=1,
        slice_count=1,
        node_name="n",
        devices=devices,
    )


def test_a_group_without_pods_lists_nothing():
    assert resources_of() == {"allocated": None, "allocatedNonPreemptible": None, "requested": None}


def test_what_waits_is_requested_and_what_has_a_node_is_allocated_too():
    pods = (a_pod("p0", group="g", node="n"), a_pod("p1", group="g"))

    assert resources_of(*pods) == {
        "allocated": {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "1"},
        "allocatedNonPreemptible": None,
        "requested": {"cpu": "2", "memory": "2Gi", "nvidia.com/gpu": "2"},
    }


@pytest.mark.parametrize(
    ("state", "node", "requested", "allocated"),
    [
        (PodState.PENDING, None, True, False),
        (PodState.GATED, None, True, False),
        (PodState.BINDING, "n", True, True),
        (PodState.BOUND, "n", True, True),
        (PodState.RUNNING, "n", True, True),
        (PodState.RELEASING, "n", True, True),
        (PodState.RELEASING, None, True, False),
        (PodState.STUCK_RELEASING, "n", True, True),
        (PodState.SUCCEEDED, "n", False, False),
        (PodState.FAILED, "n", False, False),
    ],
)
def test_a_pod_counts_until_it_has_ended_and_holds_while_it_has_a_node(state, node, requested, allocated):
    found = resources_of(a_pod("p", group="g", node=node, state=state))

    assert (found["requested"] is not None, found["allocated"] is not None) == (requested, allocated)


def test_pods_of_other_groups_do_not_count():
    assert resources_of(a_pod("p", group="other", node="n"))["requested"] is None


def test_what_may_not_be_preempted_is_listed_again():
    found = resources_of(a_pod("p", group="g", node="n"), group=replace(GROUP, is_preemptible=False))

    assert found["allocatedNonPreemptible"] == {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "1"}


def test_every_resource_keeps_its_name_and_its_unit():
    requests = amounts(
        {
            "cpu": 500,
            "memory": 3 << 29,
            "ephemeral-storage": 10 * GIB,
            "pods": 1,
            "nvidia.com/mig-3g.40gb": 2,
            "hugepages-2Mi": 4 << 20,
        }
    )

    assert resources_of(a_pod("p", replace(DEVICELESS, requests=requests), group="g"))["requested"] == {
        "cpu": "500m",
        "ephemeral-storage": "10Gi",
        "hugepages-2Mi": "4Mi",
        "memory": "1536Mi",
        "nvidia.com/mig-3g.40gb": "2",
    }


def test_parts_of_gpus_are_decimals():
    spec = a_spec(gpus=0, gpu_share=GpuShare(portion_micros=250_000, devices=2))
    pods = (
        a_pod("p0", spec, group="g", node="n"),
        a_pod("p1", spec, group="g"),
        a_pod("p2", spec, group="g"),
    )

    found = resources_of(*pods)

    assert (found["allocated"]["nvidia.com/gpu"], found["requested"]["nvidia.com/gpu"]) == ("0.5", "1.5")


def test_gpu_memory_is_asked_for_as_memory_and_held_as_a_part_of_the_nodes_gpu():
    spec = a_spec(gpus=0, gpu_share=GpuShare(memory_mib=20_000))
    found = resources_of(a_pod("p", spec, group="g", node="n"), nodes=(a_node("n", gpu_memory_mib=80_000),))

    assert found["allocated"] == {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "0.25"}
    assert found["requested"] == {"cpu": "1", "memory": "1Gi", "run.ai/gpu.memory": "20000"}


def test_devices_of_claims_are_listed_by_their_class():
    waits = a_claim("c0", asks_gpu(2), owner="p0")
    holds = a_claim("c1", asks_gpu(2), owner="p1", allocation=held("gpu-0", "gpu-1"))
    pods = (claiming("p0", "g", waits), claiming("p1", "g", holds, node="n"))

    found = resources_of(*pods, claims=(waits, holds))

    assert found["allocated"] == {**LISTED, "gpu.nvidia.com": "2"}
    assert found["requested"] == {"cpu": "2", "memory": "2Gi", "gpu.nvidia.com": "4"}


def test_a_partition_that_is_held_counts_its_slices():
    claim = a_claim("c", asks_mig("3g.40gb"), owner="p", allocation=held("gpu-0-mig-3g40gb-9-0"))

    assert resources_of(claiming("p", "g", claim, node="n"), claims=(claim,))["allocated"] == {
        **LISTED,
        "mig.nvidia.com": "3",
    }


def test_a_shared_device_counts_by_the_memory_that_is_consumed():
    device = Device(
        name="gpu-0",
        allow_multiple_allocations=True,
        capacity=(("memory", DeviceCapacity(Fraction(80 * GIB))),),
    )
    part = held("gpu-0", share_id="s", consumed_capacity=(("memory", Fraction(20 * GIB)),))
    claim = a_claim("c", asks_gpu(), owner="p", allocation=part)

    found = resources_of(claiming("p", "g", claim, node="n"), claims=(claim,), slices=(published(device),))

    assert found["allocated"]["gpu.nvidia.com"] == "0.25"


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (DeviceRequest(name="nic", device_class="nic.example.com"), {}),
        (replace(asks_gpu(), admin_access=True), {}),
        (replace(asks_gpu(), mode=AllocationMode.ALL), {"gpu.nvidia.com": "1"}),
        (
            DeviceRequest(name="any", first_available=(asks_gpu(1, "one"), asks_gpu(3, "three"))),
            {"gpu.nvidia.com": "3"},
        ),
    ],
    ids=["another class", "admin access", "all", "alternatives"],
)
def test_a_request_that_waits_counts_by_the_rule_of_quotas(request_, expected):
    claim = a_claim("c", request_, owner="p")

    assert resources_of(claiming("p", "g", claim), claims=(claim,))["requested"] == {**LISTED, **expected}


def test_the_alternative_that_was_taken_counts():
    options = DeviceRequest(
        name="any", first_available=(asks_gpu(3, "three"), asks_mig("1g.10gb", name="one"))
    )
    part = held("gpu-0-mig-1g10gb-19-0", request="any/one")
    claim = a_claim("c", options, owner="p", allocation=part)

    found = resources_of(claiming("p", "g", claim, node="n"), claims=(claim,))

    assert found["allocated"] == {**LISTED, "mig.nvidia.com": "1"}


def test_the_admins_rules_say_which_classes_count_and_how_much():
    gpu = a_claim("c0", asks_gpu(2), owner="p")
    other = a_claim("c1", DeviceRequest(name="x", device_class="npu.example.com"), owner="p")
    rules = (GpuClassRule("npu.example.com", weight=0.5),)

    found = resources_of(claiming("p", "g", gpu, other), claims=(gpu, other), rules=rules)

    assert found["requested"] == {**LISTED, "npu.example.com": "0.5"}


def test_a_claim_of_several_pods_counts_once_and_in_the_group_that_has_it_first():
    ours = a_claim("c0", asks_gpu(), allocation=held("gpu-0"))
    ours = replace(ours, reserved_for=(Consumer("pods", "p0", "uid-team/p0"),))
    theirs = replace(
        a_claim("c1", asks_gpu(), allocation=held("gpu-1")),
        reserved_for=(Consumer("pods", "else", "uid-team/else"), Consumer("pods", "p0", "uid-team/p0")),
    )
    pods = [claiming(f"p{number}", "g", ours, theirs, node="n") for number in range(3)]

    assert resources_of(*pods, claims=(ours, theirs))["allocated"]["gpu.nvidia.com"] == "1"


def test_the_claim_of_an_extended_resource_is_not_listed_beside_it():
    claim = replace(a_claim("c", asks_gpu(), owner="p"), is_extended_resource=True)

    found = resources_of(claiming("p", "g", claim, spec=a_spec(gpus=1)), claims=(claim,))

    assert found["requested"] == {**LISTED, "nvidia.com/gpu": "1"}


def test_a_pool_that_changed_is_read_again():
    part = held("gpu-0", share_id="s", consumed_capacity=(("memory", Fraction(20)),))
    claim = a_claim("c", asks_gpu(), owner="p", allocation=part)
    counts = ClassCounts(())
    fleet = a_snapshot().fleet
    found = []
    for memory in (80, 40):
        device = Device(
            name="gpu-0",
            allow_multiple_allocations=True,
            capacity=(("memory", DeviceCapacity(Fraction(memory))),),
        )
        counts.use(replace(fleet, slices=(published(device),)))
        found.append(counts.of_claim(claim))

    assert found == [{"gpu.nvidia.com": Fraction(1, 4)}, {"gpu.nvidia.com": Fraction(1, 2)}]


def test_more_claims_and_pools_than_are_kept_count_the_same(monkeypatch):
    monkeypatch.setattr(claim_counts, "_MOST_CLAIMS", 2)
    monkeypatch.setattr(claim_counts, "_MOST_POOLS", 1)
    claims = [
        a_claim(
            f"c{number}",
            asks_gpu(),
            owner=f"p{number}",
            allocation=ClaimAllocation(
                results=(
                    DeviceResult(request="gpu", driver="gpu.nvidia.com", pool=f"n{number}", device="gpu-0"),
                )
            ),
        )
        for number in range(5)
    ]
    pods = [claiming(f"p{number}", "g", claim, node="n") for number, claim in enumerate(claims)]

    assert resources_of(*pods, claims=claims)["allocated"]["gpu.nvidia.com"] == "5"


def test_a_claim_that_got_its_devices_is_counted_anew():
    counts = ClassCounts(())
    waits = a_claim("c", asks_mig("3g.40gb"), owner="p")
    holds = replace(waits, allocation=held("gpu-0-mig-3g40gb-9-0"))

    assert [counts.of_claim(claim) for claim in (waits, holds)] == [
        {"mig.nvidia.com": 1},
        {"mig.nvidia.com": 3},
    ]


def test_a_claim_that_is_shared_by_parts_lists_the_parts_of_the_group():
    claim = a_claim("c", asks_gpu(), allocation=held("gpu-0"))
    claim = replace(claim, parts_millis=(("mine", 500), ("others", 300)))
    pod = replace(claiming("p", "g", claim, node="n"), share_ticket="mine")

    found = resources_of(pod, claims=(claim,))

    assert found["allocated"]["gpu.nvidia.com"] == "0.5"
