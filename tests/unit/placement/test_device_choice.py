"""Which devices of a node a pod gets, through the whole engine: one test for each preference."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kai_sched.api.dra import translate_class, translate_slice
from kai_sched.model.ids import ClaimKey, Uid
from kai_sched.model.policy import DeviceChoice, Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import PodClaimRef
from kai_sched.planning.cycle import plan_cycle
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec
from tests.unit.devices.dra import a_claim, a_class, a_device, a_request, a_slice

TOPOLOGY = Policy(use_solver=False, island_attributes=("nvlink", "resource.kubernetes.io/pcieRoot"))
REFERENCE = replace(TOPOLOGY, device_choice=DeviceChoice.REFERENCE)
IS_GPU = "device.attributes['gpu.example.com'].type == 'gpu'"
IS_PART = "device.attributes['gpu.example.com'].type == 'mig'"


def a_gpu(name: str, *, numa: int = 0, root: str = "r", **attributes: object):
    """A whole GPU with standard places."""
    places = {"resource.kubernetes.io/numaNode": numa, "resource.kubernetes.io/pcieRoot": root}
    return a_device(name, attributes={"type": "gpu", **places, **attributes})


def a_cluster(
    devices: list, *requests, held: tuple[str, ...] = (), pods: int = 1, **fields
) -> ClusterSnapshot:
    """A node with these devices, some of them held, and pods that wait with a claim of the same requests each."""
    spec = a_spec(gpus=0)
    claims = [
        replace(a_claim(*requests), key=ClaimKey(f"team/c{n}"), uid=Uid(f"uid-c{n}")) for n in range(pods)
    ]
    waiting = [
        a_pod(f"p{n}", spec, claims=(PodClaimRef(name="gpus", claim=claim.key, is_own=True),))
        for n, claim in enumerate(claims)
    ]
    results = [{"request": "gpu", "driver": "gpu.example.com", "pool": "n1", "device": name} for name in held]
    holder = a_claim(
        a_request(count=max(1, len(held))),
        name="held",
        status={
            "allocation": {"devices": {"results": results}},
            "reservedFor": [{"resource": "pods", "name": "holder", "uid": "uid-team/holder"}],
        },
    )
    classes = (a_class(), a_class("whole", IS_GPU), a_class("part", IS_PART))
    parts = [translate_slice(a_slice(*devices, **fields))]
    if "sharedCounters" in fields:
        parts = [
            translate_slice(a_slice(name="first", of=2, **fields)),
            translate_slice(a_slice(*devices, name="second", of=2)),
        ]
    return a_snapshot(
        nodes=[a_node("n1", gpus=0)],
        pods=[a_pod("holder", spec, node="n1"), *waiting],
        groups=[a_group("holder"), *(a_group(f"p{n}") for n in range(pods))],
        claims=(*claims, *((holder,) if held else ())),
        slices=tuple(parts),
        device_classes=tuple(translate_class(entry) for entry in classes),
    )


def chosen(snapshot: ClusterSnapshot, policy: Policy = TOPOLOGY) -> list[list[str]]:
    """Names of the devices that each waiting pod gets, in the order of the pods."""
    binds = sorted(plan_cycle(snapshot, policy).binds, key=lambda bind: bind.pod)
    return [[device.rsplit("/", 1)[1] for claim in bind.claims for device in claim.devices] for bind in binds]


ISLANDS = [a_gpu("g0", nvlink="x"), a_gpu("g1", nvlink="y"), a_gpu("g2", nvlink="x", numa=1, root="s")]
NUMA_NODES = [a_gpu("g0", nvlink="x"), a_gpu("g1", nvlink="x", numa=1), a_gpu("g2", nvlink="x", root="s")]
PCIE_ROOTS = [a_gpu("g0", nvlink="x"), a_gpu("g1", nvlink="x", root="s"), a_gpu("g2", nvlink="x")]


@pytest.mark.parametrize("devices", [ISLANDS, NUMA_NODES, PCIE_ROOTS], ids=["islands", "numa", "pcie"])
def test_two_gpus_lie_together(devices):
    """One NVLink island before one NUMA node, one NUMA node before one PCIe root, one root before two."""
    snapshot = a_cluster(devices, a_request(count=2))

    assert chosen(snapshot) == [["g0", "g2"]]
    assert chosen(snapshot, REFERENCE) == [["g0", "g1"]]


def test_the_requests_of_one_pod_lie_together_across_claims_and_requests():
    devices = [a_gpu("g0", nvlink="x"), a_gpu("g1", nvlink="y"), a_gpu("g2", nvlink="x")]
    snapshot = a_cluster(devices, a_request("one"), a_request("two"))

    assert chosen(snapshot) == [["g0", "g2"]]
    assert chosen(snapshot, REFERENCE) == [["g0", "g1"]]


def test_an_island_with_less_left_is_filled_so_that_the_other_stays_whole():
    devices = [a_gpu(f"g{n}", nvlink="x" if n < 4 else "y") for n in range(8)]
    snapshot = a_cluster(devices, a_request(count=2), held=("g4", "g5"))

    assert chosen(snapshot) == [["g6", "g7"]]
    assert chosen(snapshot, REFERENCE) == [["g0", "g1"]]


def test_pods_that_come_one_by_one_leave_room_for_a_big_one():
    devices = [a_gpu(f"g{n}", nvlink="x" if n % 2 else "y") for n in range(8)]
    snapshot = a_cluster(devices, a_request(), pods=4)

    assert {len({int(name[1:]) % 2 for (name,) in chosen(snapshot)})} == {1}
    assert {len({int(name[1:]) % 2 for (name,) in chosen(snapshot, REFERENCE)})} == {2}


def test_a_gpu_that_an_admin_has_cut_is_used_up_before_another():
    devices = [
        a_device(f"{board}-part{n}", attributes={"type": "mig", "parentUUID": board})
        for board in ("a", "b")
        for n in range(3)
    ]
    snapshot = a_cluster(devices, a_request(deviceClassName="part"), held=("b-part0",))

    assert chosen(snapshot) == [["b-part1"]]
    assert chosen(snapshot, REFERENCE) == [["a-part0"]]


def a_gpu_in_parts(name: str, number: int) -> list:
    """A GPU of four slots that may be taken whole, in halves or in quarters."""

    def counters(*slots: int) -> list:
        return [{"counterSet": name, "counters": {f"slot{slot}": {"value": "1"} for slot in slots}}]

    place = {"resource.kubernetes.io/pcieRoot": f"root{number}", "parentUUID": name}
    halves = [("half0", (0, 1)), ("half2", (2, 3))]
    quarters = [(f"quarter{slot}", (slot,)) for slot in range(4)]
    return [
        a_device(name, attributes={"type": "gpu", **place}, consumesCounters=counters(0, 1, 2, 3)),
        *(
            a_device(
                f"{name}-{part}",
                attributes={"type": "mig", "profile": part[:-1], **place},
                consumesCounters=counters(*slots),
            )
            for part, slots in (*halves, *quarters)
        ),
    ]


def slots_of(*names: str) -> list:
    return [
        {"name": name, "counters": {f"slot{slot}": {"value": "1"} for slot in range(4)}} for name in names
    ]


def a_quarter():
    return a_request(
        "gpu", "device.attributes['gpu.example.com'].profile == 'quarter'", deviceClassName="part"
    )


def test_a_partition_is_cut_from_a_gpu_that_is_cut_already():
    devices = [*a_gpu_in_parts("a", 0), *a_gpu_in_parts("b", 1)]
    snapshot = a_cluster(devices, a_quarter(), held=("b-half0",), sharedCounters=slots_of("a", "b"))

    assert chosen(snapshot)[0][0].startswith("b-")
    assert chosen(snapshot, REFERENCE) == [["a-quarter0"]]


def test_a_partition_is_cut_where_the_larger_ones_lose_least():
    devices = a_gpu_in_parts("a", 0)
    snapshot = a_cluster(devices, a_quarter(), held=("a-quarter3",), sharedCounters=slots_of("a"))

    # quarter2 spoils nothing, because half2 is spoilt by quarter3.
    assert chosen(snapshot) == [["a-quarter2"]]
    assert chosen(snapshot, REFERENCE) == [["a-quarter0"]]


def test_a_shared_device_that_is_in_use_is_shared_before_another():
    devices = [
        a_device(name, attributes={"type": "gpu"}, allowMultipleAllocations=True, capacity={"memory": "80Gi"})
        for name in ("g0", "g1")
    ]
    share = a_request(capacity={"requests": {"memory": "10Gi"}})
    snapshot = a_cluster(devices, share, pods=3)

    assert chosen(snapshot) == [["g0"]] * 3


def test_gpus_of_a_device_plugin_are_neighbours():
    spec = a_spec(gpus=2)
    snapshot = a_snapshot(
        nodes=[a_node("n1")],
        pods=[a_pod("holder", a_spec(gpus=1), node="n1", gpu_indices=(1,)), a_pod("p0", spec)],
        groups=[a_group("holder"), a_group("p0")],
    )

    assert plan_cycle(snapshot, TOPOLOGY).binds[0].gpu_indices == (2, 3)
    assert plan_cycle(snapshot, REFERENCE).binds[0].gpu_indices == (0, 2)
