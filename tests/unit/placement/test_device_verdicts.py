"""What people read when claims are not served: which request, what left how many of how many devices, and what helps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kai_sched.api.dra import translate_class, translate_slice
from kai_sched.model.ids import ClaimKey, Uid
from kai_sched.model.plan import Blocker
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import PodClaimRef
from kai_sched.planning.cycle import plan_cycle
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec
from tests.unit.devices.dra import (
    a_claim,
    a_class,
    a_device,
    a_listed_request,
    a_request,
    a_slice,
    counters,
)

GREEDY = Policy(use_solver=False)
IS_BIG = "device.attributes['gpu.example.com'].memory == 'big'"
MATCH_ISLAND = [{"matchAttribute": "gpu.example.com/island"}]
DISTINCT_ISLAND = [{"distinctAttribute": "gpu.example.com/island"}]


def gpus(count: int, *, big: int = 0, islands: int = 1, **fields) -> list:
    """Devices g0, g1, ...; the first ``big`` of them are big ones, and they lie in that many islands in turn."""
    return [
        a_device(
            f"g{n}", attributes={"memory": "big" if n < big else "small", "island": n % islands}, **fields
        )
        for n in range(count)
    ]


def a_cluster(
    nodes: dict[str, list], *requests, pods: int = 1, held: tuple[str, ...] = (), **claim
) -> ClusterSnapshot:
    """Pods of one gang with a claim each, on nodes of which devices ``node/name`` are held."""
    spec = a_spec(gpus=0)
    claims = [
        replace(a_claim(*requests, **claim), key=ClaimKey(f"team/c{n}"), uid=Uid(f"uid-c{n}"))
        for n in range(pods)
    ]
    waiting = [
        a_pod(f"p{n}", spec, group="gang", claims=(PodClaimRef(name="gpus", claim=each.key, is_own=True),))
        for n, each in enumerate(claims)
    ]
    results = [
        {"request": "gpu", "driver": "gpu.example.com", "pool": node, "device": device}
        for node, device in (each.split("/") for each in held)
    ]
    users = [{"resource": "pods", "name": "user", "uid": "uid-user"}]
    holder = a_claim(
        a_request(),
        name="held",
        status={"allocation": {"devices": {"results": results}}, "reservedFor": users},
    )
    slices = [translate_slice(a_slice(*devices, pool=name, nodeName=name)) for name, devices in nodes.items()]
    return a_snapshot(
        nodes=[a_node(name, gpus=0) for name in nodes],
        pods=waiting,
        groups=[a_group("gang", min_member=pods)],
        claims=(*claims, *((holder,) if held else ())),
        slices=tuple(slices),
        device_classes=(translate_class(a_class()), translate_class(a_class("none", "false"))),
    )


def the_verdict(snapshot: ClusterSnapshot):
    (verdict,) = plan_cycle(snapshot, GREEDY).verdicts
    return verdict


def test_a_claim_says_how_many_devices_match_are_free_and_are_needed():
    nodes = {f"n{n:02}": gpus(8, big=1) for n in range(12)}
    held = tuple(f"n{n:02}/g0" for n in range(9))

    verdict = the_verdict(a_cluster(nodes, a_request("gpu", IS_BIG, count=4), held=held))

    assert verdict.blocker is Blocker.DEVICES
    assert (
        "claim team/c0, request gpu: 12 of 96 devices match the selector, 3 are free, 4 are needed on one node"
        " (the best of 12 nodes has 1)"
    ) in verdict.message
    assert verdict.next_step == "ask for at most 1 device in request gpu"


CASES = {
    "held": (
        a_cluster({"n1": gpus(4), "n2": gpus(4)}, a_request(count=4), held=("n1/g0", "n2/g0", "n2/g1")),
        "request gpu: 8 of 8 devices match the selector, 5 are free, 4 are needed on one node (the best of 2 nodes has 3)",
        "free 1 more such device on one node",
    ),
    "selector": (
        a_cluster({"n1": gpus(4)}, a_request("gpu", IS_BIG)),
        "request gpu: 0 of 4 devices match the selector, 0 are free, 1 is needed on one node (the only node has 0)",
        "correct the request's selectors, or add nodes with such devices",
    ),
    "class": (
        a_cluster({"n1": gpus(4)}, a_request("gpu", deviceClassName="none")),
        "request gpu: 0 of 4 devices match the selector (none is of the class), 0 are free, 1 is needed on one node",
        "add nodes with devices of class none, or ask for another class",
    ),
    "taint": (
        a_cluster({"n1": gpus(2, taints=[{"key": "worn", "effect": "NoSchedule"}])}, a_request()),
        "request gpu: 2 of 2 devices match the selector, 2 of them are tainted, 0 are free, 1 is needed on one node",
        "tolerate the devices' taints or have them lifted, or free other devices",
    ),
    "capacity": (
        a_cluster(
            {"n1": gpus(1, allowMultipleAllocations=True, capacity={"memory": "80Gi"})},
            a_request(capacity={"requests": {"memory": "100Gi"}}),
        ),
        "1 of 1 devices match the selector, 1 of them has too little capacity left, 0 are free, 1 is needed on one node",
        "ask for less capacity, or free some of the devices that serve many",
    ),
    "no devices": (
        a_cluster({"n1": []}, a_request()),
        "request gpu: 0 of 0 devices match the selector, 0 are free, 1 is needed on one node",
        "add nodes with devices of class gpu, or ask for another class",
    ),
    "matchAttribute": (
        a_cluster(
            {"n1": gpus(4, islands=2), "n2": gpus(3, islands=3)}, a_request(count=3), constraints=MATCH_ISLAND
        ),
        (
            "7 of 7 devices match the selector, 7 are free, 3 are needed on one node, but constraint matchAttribute "
            "gpu.example.com/island leaves at most 2 together"
        ),
        "relax constraint matchAttribute gpu.example.com/island, or free devices alike in it",
    ),
    "distinctAttribute": (
        a_cluster({"n1": gpus(4, islands=2)}, a_request(count=3), constraints=DISTINCT_ISLAND),
        "3 are needed on one node, but constraint distinctAttribute gpu.example.com/island leaves at most 2 together",
        "relax constraint distinctAttribute gpu.example.com/island, or free devices alike in it",
    ),
    "matchAttribute over requests": (
        a_cluster(
            {"n1": gpus(4, big=2, islands=2)},
            a_request("one", IS_BIG, count=2),
            a_request("two"),
            constraints=MATCH_ISLAND,
        ),
        (
            "request one: 2 of 4 devices match the selector, 2 are free, 3 are needed on one node, but constraint "
            "matchAttribute gpu.example.com/island leaves at most 2 together"
        ),
        "relax constraint matchAttribute gpu.example.com/island, or free devices alike in it",
    ),
    "requests together": (
        a_cluster({"n1": gpus(4)}, a_request("one", count=2), a_request("two", count=3)),
        "request two: 4 of 4 devices match the selector, 4 are free, all requests of the pod need 5 on one node",
        "free 1 more such devices on one node",
    ),
    "All": (
        a_cluster({"n1": gpus(4)}, a_request(allocationMode="All"), held=("n1/g0",)),
        (
            "4 of 4 devices match the selector, 3 are free, all that match on one node are needed, and on the only node "
            "not all of them are free"
        ),
        "free 1 more such device on one node",
    ),
    "firstAvailable": (
        a_cluster(
            {"n1": gpus(4, big=2)},
            a_listed_request("any", a_request("all", count=8), a_request("big", IS_BIG, count=3)),
        ),
        "request any/big (the nearest of 2): 2 of 4 devices match the selector, 2 are free, 3 are needed on one node",
        "ask for fewer devices: no node has more than 2 of them",
    ),
    "gang": (
        a_cluster({"n1": gpus(4), "n2": gpus(4)}, a_request(count=4), pods=3),
        (
            "devices for 2 of 3 pods: claim team/c0, request gpu: 8 of 8 devices match the selector, 8 are free, 12 are "
            "needed, 4 on one node for each of 3 pods (2 of 2 nodes have 4 or more)"
        ),
        "add 1 node like n1; or lower minMember to 2",
    ),
    "gang under a constraint": (
        a_cluster({"n1": gpus(6, islands=2)}, a_request(count=2), pods=3, constraints=MATCH_ISLAND),
        (
            "devices for 2 of 3 pods: claim team/c0, request gpu: 6 of 6 devices match the selector, 6 are free, 6 are "
            "needed, 2 on one node for each of 3 pods"
        ),
        "add 1 node like n1; or lower minMember to 2",
    ),
    "class missing": (
        a_cluster({"n1": gpus(1)}, a_request("gpu", deviceClassName="nope")),
        'devices for 0 of 1 pod: claim team/c0, request gpu: could not retrieve device class nope: "nope" not found',
        "create device class nope, or name one that exists",
    ),
    "selector error": (
        a_cluster({"n1": gpus(1)}, a_request("gpu", "device.attributes['gpu.example.com'].nope == 1")),
        "claim team/c0: selector #0 on device gpu.example.com/n1/g0: CEL runtime error: no such key: nope",
        "correct the claim",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_reason_that_dominates_is_told_with_what_helps(name):
    snapshot, reason, remedy = CASES[name]

    verdict = the_verdict(snapshot)

    assert verdict.blocker is Blocker.DEVICES
    assert reason in verdict.message
    assert verdict.next_step == remedy


def test_devices_whose_counters_are_spent_are_not_free():
    sets = counters(slots="4")
    devices = [a_device(f"g{n}", counters={"slots": "2"}) for n in range(3)]
    snapshot = a_cluster({"n1": devices}, a_request(), held=("n1/g0", "n1/g1"))
    parts = [
        translate_slice(a_slice(name="sets", of=2, sharedCounters=sets)),
        translate_slice(a_slice(*devices, name="devices", of=2)),
    ]
    snapshot = replace(snapshot, fleet=replace(snapshot.fleet, slices=tuple(parts)))

    verdict = the_verdict(snapshot)

    assert "3 of 3 devices match the selector, 0 are free, 1 is needed on one node" in verdict.message
