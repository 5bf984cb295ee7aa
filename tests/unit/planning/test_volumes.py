"""A plan says which volumes its pods' claims get, and a simulation gives them."""

from dataclasses import replace

from kai_sched.model.plan import VolumePlacement
from kai_sched.model.policy import Policy
from kai_sched.model.selectors import NodeSelector, NodeSelectorTerm, Operator, Requirement
from kai_sched.model.volumes import StorageClass, Volume, VolumeClaim
from kai_sched.planning.cycle import plan_cycle
from kai_sched.sim.engine import apply_plan
from tests.builders import GIB, a_group, a_node, a_pod, a_snapshot, a_spec

GREEDY = Policy(use_solver=False)
LOCAL = StorageClass(name="local", waits_for_consumer=True, provisioner="kubernetes.io/no-provisioner")
CLOUD = StorageClass(name="cloud", waits_for_consumer=True, provisioner="csi.example.com")


def a_volume(name, node):
    host = Requirement("kubernetes.io/hostname", Operator.IN, (node,))
    affinity = NodeSelector((NodeSelectorTerm((host,)),))
    return Volume(name=name, storage_class="local", capacity_bytes=GIB, node_affinity=affinity)


def a_claim(name, storage_class="local"):
    return VolumeClaim(key=f"team/{name}", uid=f"uid-{name}", storage_class=storage_class, capacity_bytes=GIB)


def a_world(claims, volumes=(), *, pods=None):
    specs = {f"p{number}": (claim.key.partition("/")[2],) for number, claim in enumerate(claims)}
    specs = pods or specs
    return a_snapshot(
        nodes=(a_node("n0"), a_node("n1")),
        pods=[a_pod(name, a_spec(volume_claims=names)) for name, names in specs.items()],
        groups=[a_group(name) for name in specs],
        volume_claims=tuple(claims),
        volumes=tuple(volumes),
        storage_classes=(LOCAL, CLOUD),
    )


def test_pods_get_the_volumes_of_their_nodes_each_its_own():
    world = a_world([a_claim("a"), a_claim("b")], [a_volume("v0", "n0"), a_volume("v1", "n1")])

    plan = plan_cycle(world, GREEDY)

    assert sorted((bind.node, bind.volumes[0].volume) for bind in plan.binds) == [("n0", "v0"), ("n1", "v1")]
    assert {bind.volumes[0].uid for bind in plan.binds} == {"uid-a", "uid-b"}


def test_one_volume_is_not_given_twice():
    plan = plan_cycle(a_world([a_claim("a"), a_claim("b")], [a_volume("v", "n1")]), GREEDY)

    assert [bind.node for bind in plan.binds] == ["n1"]


def test_pods_of_one_claim_are_put_where_its_volume_is_made():
    world = a_world([a_claim("a", "cloud")], pods={"p0": ("a",), "p1": ("a",)})

    plan = plan_cycle(world, GREEDY)

    assert len({bind.node for bind in plan.binds}) == 1
    assert [bind.volumes for bind in plan.binds] == [
        (VolumePlacement(claim="team/a", uid="uid-a"),),
        (VolumePlacement(claim="team/a", uid="uid-a"),),
    ]


def test_a_simulation_gives_the_volumes():
    world = a_world([a_claim("a"), a_claim("b", "cloud")], [a_volume("v", "n1")])

    plan = plan_cycle(world, GREEDY)
    after = apply_plan(world, plan)

    node_of = {bind.pod: bind.node for bind in plan.binds}
    given, made = after.volume_claims
    assert (given.volume, after.volumes[0].claim) == ("v", "team/a")
    assert (made.volume, made.selected_node) == ("", node_of["team/p1"])
    assert apply_plan(after, plan_cycle(after, GREEDY)) == after


def test_a_plan_without_unbound_claims_says_nothing_of_volumes():
    bound = replace(a_claim("a"), volume="v")

    plan = plan_cycle(a_world([bound], [a_volume("v", "n1")]), GREEDY)

    assert [(bind.node, bind.volumes) for bind in plan.binds] == [("n1", ())]
