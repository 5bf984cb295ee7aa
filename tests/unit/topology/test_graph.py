"""What contains what: from racks and cliques by node labels down to partitions by device attributes."""

from dataclasses import replace

from kai_sched.model.devices import ResourceSlice
from kai_sched.topology.distance import meeting_place
from kai_sched.topology.graph import CLUSTER, FleetGraph, Kind
from tests.builders import a_node
from tests.unit.topology.fleets import CLIQUE, DRIVER, a_device, a_graph, a_slice, a_topology

ZONED = a_topology("zoned", "zone", "rack", "kubernetes.io/hostname")


def path_to(graph: FleetGraph, device: str) -> list[str]:
    """Names from the cluster down to a device or node."""
    place = graph.nodes.get(device) or graph.device(device)
    assert place is not None
    return [each.name for each in graph.above(place)][::-1]


def test_a_node_lies_in_the_domains_of_its_topology_and_in_its_clique():
    node = a_node("n1", gpus=0, labels={"zone": "z", "rack": "r", CLIQUE: "c.0"})

    assert path_to(a_graph((node,), topologies=(ZONED,)), "n1") == ["cluster", "z", "r", "c.0", "n1"]


def test_a_clique_that_is_a_level_already_is_not_added_again():
    node = a_node("n1", gpus=0, labels={"zone": "z", "rack": "r", CLIQUE: "c.0"})
    topology = a_topology("nvl", CLIQUE, "rack")

    assert path_to(a_graph((node,), topologies=(topology,)), "n1") == ["cluster", "c.0", "r", "n1"]


def test_each_node_goes_by_the_topology_that_places_it_most_exactly():
    inside, outside = a_node("n1", labels={"zone": "z", "rack": "r"}), a_node("n2", labels={"zone": "z"})
    coarse = a_topology("coarse", "zone")

    graph = a_graph((inside, outside), topologies=(coarse, ZONED))

    assert path_to(graph, "n1") == ["cluster", "z", "r", "n1"]
    assert path_to(graph, "n2") == ["cluster", "z", "n2"]
    assert len(graph.children(CLUSTER)) == 1, "zone z is one place, whichever topology names it"


def test_racks_of_one_name_in_two_zones_are_two():
    nodes = tuple(a_node(f"n-{zone}", labels={"zone": zone, "rack": "r"}) for zone in "ab")

    graph = a_graph(nodes, topologies=(ZONED,))

    assert [[rack.name for rack in graph.children(zone)] for zone in graph.children(CLUSTER)] == [
        ["r"],
        ["r"],
    ]
    assert graph.parent(graph.nodes["n-a"]) != graph.parent(graph.nodes["n-b"])


def test_nodes_outside_the_topology_asked_for_are_left_out():
    nodes = a_node("n1", labels={"zone": "z", "rack": "r"}), a_node("n2", labels={"zone": "z"})

    graph = a_graph(nodes, (a_slice("n2", a_device("g0")),), (ZONED,), topology="zoned")

    assert list(graph.nodes) == ["n1"]
    assert graph.device(f"{DRIVER}/n2/g0") is None


def test_devices_lie_under_numa_node_and_pcie_root():
    devices = a_device("g0", numa=0, root="r0"), a_device("g1", numa=1), a_device("nic")

    graph = a_graph((a_node("n1", gpus=0),), (a_slice("n1", *devices),))

    assert path_to(graph, f"{DRIVER}/n1/g0") == ["cluster", "n1", "0", "r0", "g0"]
    assert path_to(graph, f"{DRIVER}/n1/g1") == ["cluster", "n1", "1", "g1"]
    assert path_to(graph, f"{DRIVER}/n1/nic") == ["cluster", "n1", "nic"]


def test_partitions_lie_in_the_device_that_their_parent_attribute_names():
    whole = a_device("g0", uuid="GPU-0", root="r0")
    part = a_device("g0-a", parentUUID="GPU-0", root="r0")

    graph = a_graph((a_node("n1", gpus=0),), (a_slice("n1", part, whole),))

    assert path_to(graph, f"{DRIVER}/n1/g0-a") == ["cluster", "n1", "r0", "g0", "g0-a"]
    device = graph.device(f"{DRIVER}/n1/g0-a")
    assert device is not None
    assert device.kind is Kind.PARTITION


def test_partitions_of_a_device_that_is_not_published_share_a_board():
    parts = [a_device(f"{board}-{n}", parentUUID=board) for board in ("GPU-0", "GPU-1") for n in range(2)]

    graph = a_graph((a_node("n1", gpus=0),), (a_slice("n1", *parts),))

    boards = graph.children(graph.nodes["n1"])
    assert [board.name for board in boards] == ["GPU-0", "GPU-1"]
    assert [len(graph.children(board)) for board in boards] == [2, 2]


def test_gpus_of_a_device_plugin_are_devices_by_ordinal():
    graph = a_graph((a_node("n1", gpus=2),))

    assert [device.key for device in graph.children(graph.nodes["n1"])] == [
        "nvidia.com/gpu/n1/0",
        "nvidia.com/gpu/n1/1",
    ]


def test_devices_are_ordered_as_people_count():
    devices = [a_device(f"gpu-{n}") for n in (10, 2, 1)]

    graph = a_graph((a_node("n1", gpus=0),), (a_slice("n1", *devices),))

    assert [device.name for device in graph.children(graph.nodes["n1"])] == ["gpu-1", "gpu-2", "gpu-10"]


def test_only_the_newest_generation_of_a_pool_counts():
    old, new = a_slice("n1", a_device("old")), a_slice("n1", a_device("new"), generation=2)

    graph = a_graph((a_node("n1", gpus=0),), (new, old))

    assert [device.name for device in graph.children(graph.nodes["n1"])] == ["new"]


def test_devices_that_many_nodes_reach_lie_in_a_pool():
    attached = ResourceSlice(
        name="fabric",
        driver=DRIVER,
        pool="fabric",
        generation=1,
        slice_count=1,
        all_nodes=True,
        devices=(a_device("d0"),),
    )

    graph = a_graph((a_node("n1", gpus=0),), (attached,))

    assert path_to(graph, f"{DRIVER}/fabric/d0") == ["cluster", "fabric", "d0"]


def gpus(graph: FleetGraph, *names: str):
    return [graph.device(f"{DRIVER}/{name}") for name in names]


def test_devices_meet_in_the_smallest_place_that_holds_them():
    labels = {"zone": "z", "rack": "r", CLIQUE: "c.0"}
    nodes = tuple(a_node(name, gpus=0, labels=labels) for name in ("n1", "n2"))
    nodes += (a_node("n3", gpus=0, labels={"zone": "z", "rack": "s"}),)
    devices = [
        a_device(f"g{n}", numa=n // 2, root=f"r{n // 2}", nvlink="x" if n % 2 else "y") for n in range(4)
    ]
    graph = a_graph(nodes, tuple(a_slice(node.name, *devices) for node in nodes), (ZONED,))

    def meeting(*names: str) -> tuple[Kind, str]:
        place = meeting_place(graph, gpus(graph, *names))
        return place.kind, place.name

    assert meeting("n3/g0") == (Kind.DEVICE, "g0")
    assert meeting("n3/g0", "n3/g1") == (Kind.PCIE, "r0")
    assert meeting("n3/g0", "n3/g2") == (Kind.ISLAND, "nvlink=y")
    assert meeting("n3/g0", "n3/g3") == (Kind.NODE, "n3")
    assert meeting("n1/g0", "n2/g1") == (Kind.DOMAIN, "c.0")
    assert meeting("n1/g0", "n3/g1") == (Kind.DOMAIN, "z")


def test_a_newer_generation_on_another_node_hides_nothing():
    here, there = a_slice("n1", a_device("a")), replace(a_slice("n2", a_device("b")), pool="n1", generation=2)

    graph = a_graph((a_node("n1", gpus=0), a_node("n2", gpus=0)), (here, there))

    assert [device.name for device in graph.children(graph.nodes["n1"])] == ["a"]
    assert [device.name for device in graph.children(graph.nodes["n2"])] == ["b"]
