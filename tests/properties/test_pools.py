"""Pools of several generations on several nodes: plans give what each node goes by, and all of it.

The reading of a pool from one node is written down here once more, as plainly as it can be said.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kai_sched.api.objects import ObjectSet
from kai_sched.api.snapshot import snapshot_of
from kai_sched.devices.index import DeviceIndex
from kai_sched.devices.standing import PublishedDevices
from kai_sched.model.policy import Policy
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.planning.cycle import plan_cycle
from tests.documents import a_node_document, a_queue_document
from tests.unit.devices.dra import DRIVER, NOW, a_claim_document, a_class, a_device, a_slice, a_user

pytestmark = pytest.mark.solver

Document = dict[str, Any]
NODES = ("n1", "n2", "n3")
ZONE = {"n1": "a", "n2": "a", "n3": "b"}


def in_zone(zone: str) -> Document:
    expression = {"key": "zone", "operator": "In", "values": [zone]}
    return {"nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}


HOMES: dict[str, Document] = {
    **{name: {"nodeName": name} for name in (*NODES, "gone")},
    **{f"zone {zone}": in_zone(zone) for zone in "ab"},
    "all": {"allNodes": True},
}


@st.composite
def slices(draw: st.DrawFn) -> list[Document]:
    """Slices of up to two pools: replaced, moved, written half, or published by each node for itself."""
    found: list[Document] = []
    for pool in draw(st.lists(st.sampled_from(("x", "y")), min_size=1, max_size=2, unique=True)):
        counts = {generation: draw(st.sampled_from((1, 1, 1, 2))) for generation in (1, 2, 3)}
        for number in range(draw(st.integers(1, 4))):
            generation = draw(st.integers(1, 3))
            names = draw(st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True))
            found.append(
                a_slice(
                    *(a_device(f"dev-{name}") for name in names),
                    pool=pool,
                    name=f"{pool}-{number}",
                    generation=generation,
                    of=counts[generation],
                    **HOMES[draw(st.sampled_from(sorted(HOMES)))],
                )
            )
    return found


def reaches(document: Document, node: str) -> bool:
    spec = document["spec"]
    if "nodeSelector" in spec:
        return bool(spec["nodeSelector"] == in_zone(ZONE[node])["nodeSelector"])
    return spec.get("allNodes", False) or spec.get("nodeName") == node


def devices_seen(documents: list[Document], node: str) -> set[str]:
    """Ids of the devices that may be given on a node."""
    seen: set[str] = set()
    for pool in sorted({document["spec"]["pool"]["name"] for document in documents}):
        whole = [document for document in documents if document["spec"]["pool"]["name"] == pool]
        here = [document for document in whole if reaches(document, node)]
        newest = max((document["spec"]["pool"]["generation"] for document in here), default=0)
        here = [document for document in here if document["spec"]["pool"]["generation"] == newest]
        if not here:
            continue
        wanted = here[0]["spec"]["pool"]["resourceSliceCount"]
        if len(here) != wanted:
            everywhere = [document["spec"]["pool"]["generation"] for document in whole]
            if max(everywhere) > newest or everywhere.count(newest) != wanted:
                continue
        names = Counter(device["name"] for document in here for device in document["spec"]["devices"])
        if max(names.values()) == 1:
            seen.update(f"{DRIVER}/{pool}/{name}" for name in names)
    return seen


def most_claims(documents: list[Document]) -> int:
    """How many claims of one device can be served: devices are told apart by driver, pool and name."""
    return len(set().union(*(devices_seen(documents, node) for node in NODES)))


@given(slices())
def test_every_device_that_some_node_goes_by_is_given_once_and_no_other(documents: list[Document]) -> None:
    count = most_claims(documents)
    claims = [a_claim_document(name=f"c{number}") for number in range(count + 1)]
    users = [a_user(f"p{number}", f"c{number}") for number in range(count + 1)]
    typed = [
        {"apiVersion": "resource.k8s.io/v1", "kind": kind, **document}
        for kind, many in (("ResourceSlice", documents), ("DeviceClass", [a_class()]))
        for document in many
    ]
    fleet = [a_node_document(name) for name in NODES]
    for document in fleet:
        document["metadata"]["labels"]["zone"] = ZONE[document["metadata"]["name"]]
    objects = ObjectSet([*fleet, a_queue_document(), *typed, *claims, *users])
    snapshot = snapshot_of(objects, now=NOW, policy=Policy())

    plan = plan_cycle(snapshot, Policy())

    given_on = [(device, bind.node) for bind in plan.binds for use in bind.claims for device in use.devices]
    assert len(given_on) == count
    assert len({device for device, _ in given_on}) == count
    for device, node in given_on:
        assert device in devices_seen(documents, node)
    assert PlanChecker()(snapshot, Policy(), plan) == ()
    fleet_nodes = {node.name: node for node in snapshot.fleet.nodes}
    published = PublishedDevices(snapshot.fleet.slices, ())
    for bind in plan.binds:
        for use in bind.claims:
            assert use.allocation is not None
            assert published.problem(fleet_nodes[bind.node], use.allocation.results) == ""
    counted = {entry.device_id for entry in DeviceIndex.of(snapshot.fleet).current_devices}
    assert counted >= {device for device, _ in given_on}
