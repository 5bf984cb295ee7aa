"""What links carry between devices, and the all-reduce that a placement can expect of them."""

import pytest

from kai_sched.api.settings import Bandwidths
from kai_sched.cli.worlds import link_speeds
from kai_sched.topology.distance import LinkSpeeds, all_reduce_gbps, link_gbps, ring_order
from kai_sched.topology.graph import FleetGraph, Place
from tests.builders import a_node
from tests.unit.topology.fleets import CLIQUE, DRIVER, a_device, a_graph, a_slice, a_topology

SPEEDS = LinkSpeeds(nvlink_gbps=400, pcie_gbps=60, numa_gbps=45, node_gbps=35, network_gbps=20)
BY_RACK = LinkSpeeds(network_gbps=20, by_level={"rack": 25})


@pytest.fixture
def fleet() -> FleetGraph:
    """a1 and a2 in clique and rack a, b1 and b2 in rack b, each with four GPUs: two islands across two NUMA nodes."""
    racks = {"a1": "a", "a2": "a", "b1": "b", "b2": "b"}
    nodes = tuple(
        a_node(name, gpus=0, labels={"zone": "z", "rack": rack} | ({CLIQUE: "c.0"} if rack == "a" else {}))
        for name, rack in racks.items()
    )
    gpus = [
        a_device(f"g{n}", numa=n // 2, root=f"r{n // 2}", nvlink="even" if n % 2 == 0 else "odd")
        for n in range(4)
    ]
    zoned = a_topology("zoned", "zone", "rack")
    return a_graph(nodes, tuple(a_slice(node.name, *gpus) for node in nodes), (zoned,))


def devices(graph: FleetGraph, *names: str) -> list[Place]:
    found = [graph.device(f"{DRIVER}/{name}") for name in names]
    return [device for device in found if device is not None]


@pytest.mark.parametrize(
    ("held", "gbps"),
    [
        (("b1/g0", "b1/g2"), 400),
        (("b1/g0", "b1/g1", "b1/g2", "b1/g3"), 60),
        (("b1/g0", "b1/g2", "b1/g3"), 35),
        (("a1/g0", "a1/g3", "a2/g0", "a2/g1"), 400),
        (("b1/g0", "b1/g2", "b2/g0", "b2/g2"), 20),
        (("a1/g0", "a2/g0", "b1/g0"), 20),
    ],
    ids=[
        "one island",
        "two islands of a node that meet at PCIe roots",
        "a device that reaches one end of the island only across NUMA nodes",
        "two nodes of a clique",
        "two nodes of a rack",
        "two racks",
    ],
)
def test_the_slowest_link_of_the_ring_sets_the_all_reduce(fleet, held, gbps):
    assert all_reduce_gbps(fleet, devices(fleet, *held), SPEEDS) == gbps
    assert all_reduce_gbps(fleet, devices(fleet, *held)[::-1], SPEEDS) == gbps, "order does not matter"


@pytest.mark.parametrize("held", [("b1/g0",), ("b1/g0", "b1/g0")], ids=["one", "one, shared by two pods"])
def test_a_single_device_reduces_with_nobody(fleet, held):
    assert all_reduce_gbps(fleet, devices(fleet, *held), SPEEDS) is None


def test_the_ring_enters_each_node_and_island_once(fleet):
    names = [f"{node}/g{n}" for n in range(4) for node in ("b1", "a1")]

    ring = [place.key.removeprefix(f"{DRIVER}/") for place in ring_order(fleet, devices(fleet, *names))]

    assert ring == ["a1/g0", "a1/g2", "a1/g3", "a1/g1", "b1/g0", "b1/g2", "b1/g3", "b1/g1"]


def test_a_level_with_a_figure_of_its_own_holds_inside_and_bounds_what_leaves_it(fleet):
    b1, b2, a1 = devices(fleet, "b1/g0", "b2/g0", "a1/g0")

    assert link_gbps(fleet, b1, b2, BY_RACK) == 25
    assert link_gbps(fleet, b1, a1, BY_RACK) == 20
    assert link_gbps(fleet, b1, a1, LinkSpeeds(network_gbps=90, by_level={"rack": 25})) == 25


def test_what_nvlink_carries_between_nodes_of_a_clique_may_be_set_apart(fleet):
    speeds = LinkSpeeds(nvlink_gbps=400, network_gbps=20, by_level={CLIQUE: 10})
    inside, beside, away = devices(fleet, "a1/g0", "a2/g0", "b1/g0")

    assert link_gbps(fleet, inside, beside, speeds) == 10
    assert link_gbps(fleet, inside, away, speeds) == 20, "the way out of a clique is no NVLink"
    assert link_gbps(fleet, inside, devices(fleet, "a1/g3")[0], speeds) == 400


def test_partitions_reach_each_other_by_their_host_even_in_a_clique():
    parts = [a_device(f"{board}-{n}", parentUUID=board) for board in ("GPU-0", "GPU-1") for n in range(2)]
    graph = a_graph((a_node("n1", gpus=0, labels={CLIQUE: "c.0"}),), (a_slice("n1", *parts),))
    first, same_board, other_board = devices(graph, "n1/GPU-0-0", "n1/GPU-0-1", "n1/GPU-1-0")

    assert link_gbps(graph, first, same_board, SPEEDS) == 60
    assert link_gbps(graph, first, other_board, SPEEDS) == 35


def test_the_defaults_of_the_settings_are_those_of_the_graph():
    assert link_speeds(Bandwidths()) == LinkSpeeds()
