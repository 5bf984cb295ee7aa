"""Volumes of unbound claims while a plan grows: no two claims get one, and pods of one claim meet at it."""

from dataclasses import replace

import pytest

from kai_sched.model.selectors import NodeSelector, NodeSelectorTerm, Operator, Requirement
from kai_sched.model.snapshot import Fleet
from kai_sched.model.volumes import StorageClass, Volume, VolumeClaim
from kai_sched.model.workloads import PodState
from kai_sched.placement.node_table import NodeTable
from kai_sched.placement.rules.dynamic import DynamicRules
from kai_sched.placement.rules.volumes import Decision, VolumesView
from tests.builders import GIB, a_node, a_pod, a_spec

TABLE = NodeTable.build(Fleet(nodes=tuple(a_node(f"n{number}") for number in range(3))))
CLASSES = {
    "local": StorageClass(name="local", waits_for_consumer=True, provisioner="kubernetes.io/no-provisioner"),
    "cloud": StorageClass(name="cloud", waits_for_consumer=True, provisioner="csi.example.com"),
}


def on(node):
    host = Requirement("kubernetes.io/hostname", Operator.IN, (node,))
    return NodeSelector((NodeSelectorTerm((host,)),))


def a_volume(name, node, gib=1):
    return Volume(name=name, storage_class="local", capacity_bytes=gib * GIB, node_affinity=on(node))


def a_claim(name, storage_class="local", gib=1, **more):
    return VolumeClaim(key=f"team/{name}", storage_class=storage_class, capacity_bytes=gib * GIB, **more)


def a_view(claims, volumes):
    return VolumesView(
        claims={claim.key: claim for claim in claims},
        volumes={volume.name: volume for volume in volumes},
        classes=CLASSES,
    )


def using(*names):
    return a_spec(volume_claims=names)


def nodes_for(rules, spec):
    mask = rules.mask(spec)
    return [number for number in range(3) if mask is None or mask[number]]


def test_a_volume_that_one_claim_takes_is_not_there_for_another():
    view = a_view([a_claim("a"), a_claim("b")], [a_volume("v0", "n0"), a_volume("v1", "n1")])
    rules = DynamicRules.build(TABLE, (), view)
    one, other = using("a"), using("b")

    rules.place(one, 0)

    assert rules.volume_decision("team/a") == Decision(0, "v0")
    assert nodes_for(rules, other) == [1]
    rules.remove(one, 0)
    assert rules.volume_decision("team/a") is None
    assert nodes_for(rules, other) == [0, 1, 2], "where no plan decided anything the static rule alone speaks"


def test_the_smallest_volume_that_is_free_on_the_node_is_taken():
    volumes = [a_volume("large", "n0", 9), a_volume("small", "n0", 2), a_volume("elsewhere", "n1")]
    view = a_view([a_claim("a"), a_claim("b", gib=2)], volumes)
    rules = DynamicRules.build(TABLE, (), view)

    rules.place(using("b", "a"), 0)

    assert rules.volume_decision("team/a") == Decision(0, "small")
    assert rules.volume_decision("team/b") == Decision(0, "large")


@pytest.mark.parametrize(
    ("claim", "volumes", "nodes"),
    [
        (a_claim("a"), [replace(a_volume("v", "n0"), node_affinity=None)], [0, 1, 2]),
        (a_claim("a"), [a_volume("v", "n1")], [1]),
        (a_claim("a", "cloud"), [], [1]),
    ],
)
def test_pods_of_one_claim_meet_where_its_volume_can_be_had(claim, volumes, nodes):
    rules = DynamicRules.build(TABLE, (), a_view([claim], volumes))

    rules.place(using("a"), 1)

    assert nodes_for(rules, using("a")) == nodes


def test_a_claim_stays_decided_until_its_last_pod_is_taken_back():
    rules = DynamicRules.build(TABLE, (), a_view([a_claim("a", "cloud")], []))
    spec = using("a")
    rules.place(spec, 1)
    fork = rules.fork()
    fork.place(spec, 1)

    fork.remove(spec, 1)
    assert fork.volume_decision("team/a") == Decision(1, "")
    fork.remove(spec, 1)
    assert fork.volume_decision("team/a") is None
    assert rules.volume_decision("team/a") == Decision(1, "")


def test_what_a_command_in_flight_will_write_counts_and_pods_that_were_bound_do_not():
    view = a_view([a_claim("a"), a_claim("b")], [a_volume("v0", "n0")])
    binding = a_pod("p", using("a"), node="n0", state=PodState.BINDING)
    bound = a_pod("p", using("a"), node="n0", state=PodState.BOUND)

    assert nodes_for(DynamicRules.build(TABLE, [binding], view), using("b")) == []
    assert nodes_for(DynamicRules.build(TABLE, [bound], view), using("b")) == [0, 1, 2]


def test_pods_without_unbound_claims_are_not_touched():
    rules = DynamicRules.build(TABLE, (), a_view([a_claim("a", volume="v")], [a_volume("v", "n0")]))

    assert not rules.touches(using("a"))
    assert not rules.touches(a_spec())
    assert rules.unbound_claims(using("a")) == ()
