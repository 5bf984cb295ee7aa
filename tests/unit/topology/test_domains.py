"""Domains of the levels of topologies."""

from kai_sched.model.ids import TopologyName
from kai_sched.model.snapshot import Fleet
from kai_sched.model.topology import Level, Topology
from kai_sched.topology.domains import DomainIndex
from tests.builders import a_node

ZONES = Topology(TopologyName("zones"), (Level("zone"), Level("rack", alias="row")))


def an_index(*nodes, topologies=(ZONES,)):
    return DomainIndex.build(Fleet(nodes=nodes, topologies=topologies))


def test_domains_are_known_by_their_values_from_the_top_down():
    index = an_index(
        a_node("n0", labels={"zone": "a", "rack": "r1"}),
        a_node("n1", labels={"zone": "b", "rack": "r1"}),
        a_node("n2", labels={"zone": "b", "rack": "r2"}),
    )
    zone, rack = index.levels("zones")

    assert zone.codes.tolist() == [0, 1, 1]
    assert rack.codes.tolist() == [0, 1, 2]
    assert rack.parents.tolist() == [0, 1, 1]
    assert zone.parents.tolist() == [-1, -1]
    assert rack.names == ("zone=a/rack=r1", "zone=b/rack=r1", "rack=r2")
    assert zone.names == ("zone=a", "zone=b")


def test_a_node_that_lacks_one_level_is_outside_the_whole_topology():
    index = an_index(
        a_node("n0", labels={"zone": "a", "rack": "r1"}),
        a_node("n1", labels={"zone": "a"}),
        a_node("n2", labels={"rack": "r1"}),
    )
    assert index.codes("zones", "zone").tolist() == [0, -1, -1]
    assert index.codes("zones", "rack").tolist() == [0, -1, -1]


def test_a_level_is_named_by_label_or_alias():
    index = an_index(a_node("n0", labels={"zone": "a", "rack": "r1"}))
    assert index.label_of("zones", "row") == "rack"
    assert index.level("zones", "row") is index.level("zones", "rack")
    assert index.level("zones", "row").title == "row"
    assert index.level_labels("zones") == ("zone", "rack")
    assert index.problem("zones", "row") == ""


def test_problems_name_what_is_missing_and_what_there_is():
    index = an_index(topologies=(ZONES, Topology(TopologyName("bad"), (), problem="no levels")))
    assert index.problem("racks", "rack") == "topology racks does not exist (there are: bad, zones)"
    assert index.problem("zones", "block") == "topology zones has no level block (levels: zone, row)"
    assert index.problem("bad", "") == "topology bad is invalid: no levels"
    assert index.problem("zones", "") == ""
    assert index.problem("", "") == "no topology and no level is named"


def test_a_label_is_a_level_without_a_topology_object():
    index = an_index(
        a_node("n0", labels={"nvidia.com/gpu.clique": "c1"}),
        a_node("n1"),
        a_node("n2", labels={"nvidia.com/gpu.clique": "c0"}),
    )
    assert index.problem("", "nvidia.com/gpu.clique") == ""
    assert index.codes("", "nvidia.com/gpu.clique").tolist() == [1, -1, 0]


def test_the_span_counts_domains_and_the_outside_once():
    index = an_index(
        a_node("n0", labels={"zone": "a", "rack": "r1"}),
        a_node("n1", labels={"zone": "a", "rack": "r2"}),
        a_node("n2", labels={"zone": "a", "rack": "r2"}),
        a_node("n3"),
        a_node("n4"),
    )
    rack = index.level("zones", "rack")
    assert rack.span([1, 2]) == 1
    assert rack.span([0, 1]) == 2
    assert rack.span([0, 3, 4]) == 2
    assert rack.nodes_of(1).tolist() == [1, 2]
