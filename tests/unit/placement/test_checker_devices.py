"""The judge looks at every device given: what class and request select, taints, parts, pools as the node sees them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kai_sched.model.devices import DeviceResult
from kai_sched.model.plan import Plan
from kai_sched.placement.checker import check_plan
from tests.unit.devices.dra import (
    DRIVER,
    Decided,
    a_claim_document,
    a_class,
    a_device,
    a_request,
    a_slice,
    a_user,
    counters,
    decide,
    held_by_another,
)
from tests.unit.placement.plans import POLICY

LARGE = f'device.attributes["{DRIVER}"].model == "large"'
BROKEN = {"key": "broken", "effect": "NoSchedule"}


def with_result(plan: Plan, **changes: Any) -> Plan:
    """The plan with the one device of its one claim exchanged."""
    (bind,) = plan.binds
    (entry,) = bind.claims
    assert entry.allocation is not None
    (result,) = entry.allocation.results
    changed: DeviceResult = replace(result, **changes)
    allocation = replace(entry.allocation, results=(changed,))
    tampered = replace(entry, allocation=allocation, devices=(changed.device_id,))
    return replace(plan, binds=(replace(bind, claims=(tampered,)),))


def complaints(decided: Decided, **changes: Any) -> list[str]:
    return [str(one) for one in check_plan(decided.snapshot, POLICY, with_result(decided.plan, **changes))]


DEVICES = (
    a_device("large", attributes={"model": "large"}),
    a_device("small", attributes={"model": "small"}),
    a_device("tainted", attributes={"model": "large"}, taints=[BROKEN]),
    a_device("ruled", attributes={"model": "large"}),
    a_device("part", attributes={"model": "large"}, allowMultipleAllocations=True),
    a_device("far", attributes={"model": "large"}),
)
RULE = {
    "metadata": {"name": "rule"},
    "spec": {"deviceSelector": {"driver": DRIVER, "device": "ruled"}, "taint": BROKEN},
}


@pytest.fixture(scope="module")
def decided() -> Decided:
    found = decide(
        a_slice(*DEVICES),
        RULE,
        a_class("gpu", 'device.driver == "gpu.example.com"'),
        a_claim_document(a_request("gpu", LARGE)),
        a_user("p", "claim"),
    )
    assert found.devices_of("p") == ["large"]
    return found


@pytest.mark.parametrize(
    ("device", "complaint"),
    [
        ("small", "does not pass selector #0 of request gpu"),
        ("tainted", "has taint broken:NoSchedule, which request gpu does not tolerate"),
        ("ruled", "has taint broken:NoSchedule, which request gpu does not tolerate"),
        ("part", "is shared, given as a whole"),
        ("nowhere", "is not published for node n1"),
    ],
)
def test_a_device_that_the_request_does_not_select(decided: Decided, device: str, complaint: str) -> None:
    assert complaints(decided, device=device) == [f"device: {DRIVER}/n1/{device}: {complaint}"]


def test_a_device_that_the_class_does_not_select() -> None:
    of_the_class = a_class("gpu", f'device.attributes["{DRIVER}"].model == "large"')
    decided = decide(a_slice(*DEVICES[:2]), of_the_class, a_claim_document(), a_user("p", "claim"))

    complaint = "does not pass selector #0 of class gpu"
    assert complaints(decided, device="small") == [f"device: {DRIVER}/n1/small: {complaint}"]


def test_access_and_tolerations_are_those_of_the_request(decided: Decided) -> None:
    (admin,) = complaints(decided, admin_access=True)
    (tolerant,) = complaints(decided, toleration_documents=('{"operator":"Exists"}',))

    assert "other access" in admin
    assert "other tolerations" in tolerant


class TestPoolsFromOneNode:
    """The newest generation is the newest that reaches the node."""

    def test_a_newer_generation_on_another_node_does_not_matter_where_the_pool_is_complete(self) -> None:
        old = a_slice(a_device("dev-0"), pool="shared", name="old")
        new = a_slice(a_device("dev-1"), pool="shared", name="new", generation=2, nodeName="n2")

        decided = decide(old, new, a_claim_document(), a_user("p", "claim"), nodes=1)

        assert decided.devices_of("p") == ["dev-0"]

    def test_a_pool_by_node_selectors(self) -> None:
        def on(host: str) -> dict[str, Any]:
            term = {"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}
            return {"nodeSelectorTerms": [{"matchExpressions": [term]}]}

        old = a_slice(a_device("dev-0"), pool="shared", name="old", nodeSelector=on("n1"))
        new = a_slice(a_device("dev-1"), pool="shared", name="new", generation=2, nodeSelector=on("n2"))

        decided = decide(old, new, a_claim_document(), a_user("p", "claim"), nodes=1)

        assert decided.devices_of("p") == ["dev-0"]

    def test_one_pool_name_on_all_nodes_serves_a_pod_on_each(self) -> None:
        slices = [
            a_slice(a_device(f"dx-{n}"), pool="dx", name=f"s{n}", generation=generation, nodeName=f"n{n}")
            for n, generation in ((1, 3), (2, 1), (3, 2))
        ]
        claims = [a_claim_document(name=f"c{n}") for n in (1, 2, 3)]
        users = [a_user(f"p{n}", f"c{n}") for n in (1, 2, 3)]

        decided = decide(*slices, *claims, *users, nodes=3)

        assert len(decided.plan.binds) == 3

    def test_a_device_of_a_generation_that_is_replaced_here_is_not_there(self) -> None:
        old = a_slice(a_device("dev-0"), pool="shared", name="old")
        new = a_slice(a_device("dev-1"), pool="shared", name="new", generation=2)

        decided = decide(old, new, a_claim_document(), a_user("p", "claim"))

        assert decided.devices_of("p") == ["dev-1"]
        assert complaints(decided, device="dev-0") == [
            f"device: {DRIVER}/shared/dev-0: is not published for node n1"
        ]


def test_counters_overdrawn_before_the_plan_are_not_charged_to_a_further_share() -> None:
    shared = a_device(
        "dev-0", counters={"units": "4"}, capacity={"memory": "10Gi"}, allowMultipleAllocations=True
    )
    held = held_by_another("dev-0", shareID="other", consumedCapacity={"memory": "1Gi"})
    small = {"capacity": {"requests": {"memory": "1Gi"}}}

    decided = decide(
        a_slice(name="counters", sharedCounters=counters(units="2"), of=2),
        a_slice(shared, name="devices", of=2),
        a_claim_document(a_request(**small), name="held", status=held),
        a_claim_document(a_request(**small)),
        a_user("p", "claim"),
    )

    assert decided.devices_of("p") == ["dev-0"]


def test_a_claim_under_two_names_is_reserved_and_allocated_once() -> None:
    decided = decide(
        a_slice(a_device("dev-0"), a_device("dev-1")), a_claim_document(), a_user("p", "claim", "claim")
    )

    assert decided.devices_of("p") == ["dev-0"]


def test_a_scalar_is_a_list_of_one_for_constraints() -> None:
    devices = (
        a_device("cpu", attributes={"numa": ["0", "1"]}),
        a_device("gpu", attributes={"numa": "1"}),
    )
    claim = a_claim_document(
        a_request(count=2), constraints=[{"requests": ["gpu"], "matchAttribute": f"{DRIVER}/numa"}]
    )

    assert sorted(decide(a_slice(*devices), claim, a_user("p", "claim")).devices_of("p")) == ["cpu", "gpu"]
