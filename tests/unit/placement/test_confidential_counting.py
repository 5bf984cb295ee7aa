"""What the engines count on confidential nodes: devices that are closed to a pod are promised to nobody."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kai_sched.model.ids import NodeName
from kai_sched.model.pods import PodTable
from kai_sched.model.policy import Policy
from kai_sched.placement.site.fleet_index import FleetCache
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.build import build_world
from kai_sched.placement.world.horizon import Horizon
from tests.unit.devices.dra import a_class
from tests.unit.placement.confidential import (
    GPU,
    MIG,
    NO_RULES,
    PGPU,
    POLICY,
    SMALL,
    SNP,
    TEE,
    VFIO,
    _fleet,
    a_claim,
    a_fleet,
    a_pod,
    decided,
    places,
)


def test_a_gang_by_counting_keeps_off_the_node_whose_gpus_the_host_has_not():
    plain = a_fleet("confidential", "plain-0")
    closed = a_fleet("confidential", "plain-1", **TEE)
    fleet = [*plain, *(one for one in closed if one not in plain)]
    asking = [
        one
        for number in range(16)
        for one in (a_claim(GPU, name=f"c{number}"), a_pod(f"p{number}", f"c{number}"))
    ]

    found = places([*fleet, *asking])

    assert {node for node, _ in found.values()} == {"plain-0"}
    assert len(found) == 8
    assert len(places([*fleet, *asking], NO_RULES)) == 16


def test_packing_partitions_keeps_off_the_node_whose_gpus_the_host_has_not():
    names = sorted(one["metadata"]["name"] for one in _fleet("h100-mig-dynamic") if one["kind"] == "Node")
    first = a_fleet("h100-mig-dynamic", names[0])
    closed = a_fleet("h100-mig-dynamic", names[1], **TEE)
    fleet = [*first, *(one for one in closed if one not in first)]
    whole = 'device.attributes["gpu.nvidia.com"].profile == "7g.80gb"'
    asking = [
        one
        for number in range(12)
        for one in (
            a_claim(MIG, SMALL if number % 4 == 0 else whole, name=f"c{number}"),
            a_pod(f"p{number}", f"c{number}"),
        )
    ]

    found = places([*fleet, *asking])

    assert {node for node, _ in found.values()} == {names[0]}
    assert {node for node, _ in places([*fleet, *asking], NO_RULES).values()} == set(names[:2])


@pytest.mark.parametrize(
    ("fleet", "nodes", "claim", "slots"),
    [
        ("confidential", ("plain-0", "plain-1"), a_claim(GPU), [8, 0]),
        ("h100-mig-dynamic", ("mig-0", "mig-1"), a_claim(MIG, SMALL), [56, 0]),
        ("confidential", ("cc-on-0", "cc-ppcie-dra-0"), a_claim(VFIO), [8, 0]),
    ],
    ids=["counted", "pieces", "whole node"],
)
def test_closed_devices_are_counted_for_nobody(fleet, nodes, claim, slots):
    """The models of the solver count slots too: what is closed must not be promised there."""
    labels = {} if nodes[0].startswith("cc") else TEE
    known = a_fleet(fleet, nodes[0])
    objects = [*known, *(one for one in a_fleet(fleet, nodes[1], **labels) if one not in known)]

    def counted(policy: Policy) -> list[int]:
        snapshot, _ = decided([*objects, claim, a_pod("p", "claim")], policy)
        pod = replace(snapshot.pods[0], claims=(replace(snapshot.pods[0].claims[0], is_own=True),))
        world = build_world(replace(snapshot, pods=PodTable.sorted_by_key([pod])), policy, FleetCache())
        found = Boards(world).slots(world.base.shape_of(0), Horizon.NOW)
        return [int(found[world.base.table.index_of[NodeName(node)]]) for node in nodes]

    assert counted(POLICY) == slots
    assert counted(NO_RULES) == [slots[0], slots[0]]


def test_closed_devices_are_not_counted_behind_a_resource_either():
    backed = a_class("pgpu", f'device.driver == "{GPU}"', extendedResourceName=PGPU)
    backed = {"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", **backed}
    known = a_fleet("confidential", "cc-on-0")
    objects = [*known, *(one for one in a_fleet("confidential", "plain-0", **TEE) if one not in known)]
    pods = [a_pod(f"p{number}", runtime=SNP, pgpu="1") for number in range(9)]
    snapshot, plan = decided([*objects, backed, *pods])

    world = build_world(snapshot, POLICY, FleetCache())
    boards, shape = Boards(world), world.base.shape_of(0)

    assert boards.slots(shape, Horizon.NOW).tolist() == [8, 0]
    assert len(plan.binds) == 8
    (message,) = [verdict.message for verdict in plan.verdicts if verdict.blocker is not None]
    assert "0 free by device plugin, 0 free devices of class pgpu" in message
