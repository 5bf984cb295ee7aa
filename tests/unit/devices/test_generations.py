"""Pools seen from one node: what it goes by where nodes publish under one name, and where a pool moves."""

from __future__ import annotations

from typing import Any

import pytest

from kai_sched.devices.allocator import DeviceRefusal, DeviceState
from kai_sched.devices.counting import PlainNeed, matching_free, plain_requirement
from kai_sched.devices.index import DeviceIndex
from kai_sched.model.devices import DeviceResult
from kai_sched.model.ids import NodeName
from kai_sched.model.nodes import Node
from tests.unit.devices.dra import (
    DRIVER,
    NODE,
    a_claim,
    a_device,
    a_slice,
    an_index,
    ask,
    counters,
    devices_of,
)

OTHER = Node(name=NodeName("n2"), labels=(("kubernetes.io/hostname", "n2"),))


def of_pool(name: str, *devices: str, node: str = "n1", **fields: Any):
    """A slice of pool ``shared`` for one node."""
    return a_slice(*map(a_device, devices), name=name, pool="shared", nodeName=node, **fields)


def for_rack(name: str, rack: str, *devices: str, **fields: Any):
    expression = {"key": "rack", "operator": "In", "values": [rack]}
    selector = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return a_slice(*map(a_device, devices), name=name, pool="shared", nodeSelector=selector, **fields)


def shown(index: DeviceIndex) -> list[str]:
    return [entry.name for entry in index.current_devices]


def test_a_newer_generation_of_another_node_is_nothing_to_a_node_that_has_all_of_its_own() -> None:
    slices = (of_pool("old", "dev-0"), of_pool("new", "dev-1", node="n2", generation=2))

    assert devices_of(ask(slices, a_claim(), nodes=(NODE, OTHER))) == [["dev-0"]]
    assert devices_of(ask(slices, a_claim(), nodes=(NODE, OTHER), node=OTHER)) == [["dev-1"]]
    assert shown(an_index(slices, nodes=(NODE, OTHER))) == ["dev-0", "dev-1"]


def test_so_is_one_that_reaches_another_rack_by_node_selector() -> None:
    here = Node(name=NodeName("n1"), labels=(("rack", "a"),))
    slices = (for_rack("old", "a", "dev-0"), for_rack("new", "b", "dev-1", generation=2))

    assert devices_of(ask(slices, a_claim(), node=here, nodes=(here,))) == [["dev-0"]]
    assert shown(an_index(slices, nodes=(here,))) == ["dev-0"]


def test_one_pool_name_on_all_nodes_serves_each_of_them() -> None:
    nodes = tuple(Node(name=NodeName(f"n{number}")) for number in (1, 2, 3))
    slices = [
        of_pool(f"s{number}", f"dev-{number}", node=f"n{number}", generation=generation)
        for number, generation in ((1, 3), (2, 1), (3, 2))
    ]

    for number, node in enumerate(nodes, 1):
        assert devices_of(ask(slices, a_claim(), node=node, nodes=nodes)) == [[f"dev-{number}"]]
    index = an_index(slices, nodes=nodes)
    need = plain_requirement(index, a_claim().spec)
    assert isinstance(need, PlainNeed)
    taken = DeviceState()
    taken.take(ask(slices, a_claim(), node=nodes[1], nodes=nodes)[0])  # type: ignore[index]
    assert matching_free(index, taken, need).tolist() == [1, 0, 1]


def test_nodes_with_devices_of_one_name_in_one_pool_are_not_decided_by_counting() -> None:
    slices = (of_pool("a", "dev-0"), of_pool("b", "dev-0", node="n2", generation=2))
    index = an_index(slices, nodes=(NODE, OTHER))

    assert plain_requirement(index, a_claim().spec) is None
    first = ask(slices, a_claim(), nodes=(NODE, OTHER))
    assert not isinstance(first, DeviceRefusal)
    # The API tells devices apart by driver, pool and name only.
    assert isinstance(ask(slices, a_claim(), held=first, node=OTHER, nodes=(NODE, OTHER)), DeviceRefusal)


def test_a_pool_of_which_a_node_has_a_part_is_obsolete_there_once_a_newer_generation_is_elsewhere() -> None:
    slices = (of_pool("old", "dev-0", of=2), of_pool("new", "dev-1", node="n2", generation=2))

    assert isinstance(ask(slices, a_claim(), nodes=(NODE, OTHER)), DeviceRefusal)
    assert shown(an_index(slices, nodes=(NODE, OTHER))) == ["dev-1"]


def test_a_pool_that_is_being_written_is_shown_but_not_used() -> None:
    slices = (of_pool("old", "dev-0"), of_pool("new", "dev-1", of=2, generation=2))

    assert isinstance(ask(slices, a_claim()), DeviceRefusal)
    assert shown(an_index(slices)) == ["dev-1"]


def test_a_pool_that_reaches_no_node_shows_what_was_told_last() -> None:
    slices = (for_rack("old", "a", "dev-0"), for_rack("new", "a", "dev-1", generation=2))

    assert shown(an_index(slices)) == ["dev-1"]
    assert shown(an_index(slices, nodes=())) == ["dev-1"]


@pytest.mark.parametrize(("node", "generation"), [("n1", 1), ("n2", 2), (None, 2)])
def test_a_held_device_is_the_one_of_its_own_node(node: str | None, generation: int) -> None:
    slices = (of_pool("a", "dev-0"), of_pool("b", "dev-0", node="n2", generation=2))
    index = an_index(slices, nodes=(NODE, OTHER))
    result = DeviceResult(request="r", driver=DRIVER, pool="shared", device="dev-0")

    found = index.held_device(result, None if node is None else NodeName(node))

    assert found is not None
    assert found.published_in.generation == generation


def test_a_pool_over_many_nodes_is_complete_for_each_without_knowing_the_others_devices() -> None:
    nodes = tuple(Node(name=NodeName(f"n{number}")) for number in range(50))
    slices = [of_pool(f"s{number}", f"dev-{number}", node=f"n{number}", of=50) for number in range(50)]
    index = an_index(slices, nodes=nodes)

    assert [[entry.name for entry in index.pools_of(node)[0].devices] for node in nodes] == [
        [f"dev-{number}"] for number in range(50)
    ]
    assert all(index.pools_of(node)[0].others == () for node in nodes)
    assert an_index(slices[1:], nodes=nodes).pools_of(nodes[1])[0].is_incomplete


def test_bus_addresses_of_other_nodes_mean_other_hardware() -> None:
    def a_form(name: str, kind: str):
        attributes = {"type": kind, "resource.kubernetes.io/pciBusID": "0000:18:00.0"}
        return a_device(name, attributes=attributes)

    here = a_slice(a_form("gpu-0", "gpu"), name="a", pool="shared", nodeName="n1")
    there = a_slice(a_form("vfio-0", "vfio"), name="b", pool="shared", nodeName="n2")
    index = an_index((here, there), nodes=(NODE, OTHER))

    assert [index.aliases_of(entry) for entry in index.devices] == [(), ()]


def test_counters_of_a_pool_are_those_of_the_generation_that_a_node_goes_by() -> None:
    old = a_slice(
        a_device("a", counters={"x": "1"}),
        a_device("b", counters={"x": "1"}),
        name="old",
        pool="shared",
        sharedCounters=counters(x="1"),
    )
    new = a_slice(
        a_device("c", counters={"x": "1"}),
        name="new",
        pool="shared",
        nodeName="n2",
        generation=2,
        sharedCounters=counters(x="9"),
    )

    outcome = ask((old, new), a_claim(), a_claim(name="two"), nodes=(NODE, OTHER))

    assert isinstance(outcome, DeviceRefusal)
