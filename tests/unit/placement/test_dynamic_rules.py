"""Dynamic rules: the fast path, forks, and corners that a random search seldom meets."""

import numpy as np

from kai_sched.model.selectors import LabelSelector, Operator, Requirement
from kai_sched.model.snapshot import Fleet
from kai_sched.model.volumes import Volume, VolumeClaim
from kai_sched.model.workloads import PodAffinityTerm, PodState, TopologySpread
from kai_sched.placement.node_table import NodeTable
from kai_sched.placement.rules.dynamic import DynamicRules
from kai_sched.placement.rules.volumes import VolumesView
from tests.builders import a_node, a_pod, a_spec

HOST = "kubernetes.io/hostname"


def a_table(*nodes):
    return NodeTable.build(Fleet(nodes=nodes))


def racks(count):
    return a_table(*(a_node(f"n{i}", labels={"rack": f"r{i // 2}"}) for i in range(count)))


def app(name, **more):
    return a_spec(labels=(("app", name),), **more)


def near(key, name):
    return PodAffinityTerm(key, LabelSelector((Requirement("app", Operator.IN, (name,)),)), ("team",))


def allowed(rules, spec):
    return np.flatnonzero(rules.mask(spec)).tolist()


def test_pods_that_no_rule_speaks_of_take_the_fast_path():
    shy = app("shy", pod_anti_affinity=(near(HOST, "noisy"),))
    rules = DynamicRules.build(racks(4), [a_pod("p", shy, node="n0"), a_pod("q", shy)])

    assert not rules.touches(app("web"))
    assert rules.mask(app("web")) is None
    assert rules.touches(shy)
    assert rules.touches(app("noisy"))
    assert rules.eliminations(app("web"), np.ones(4, dtype=bool)) == ()


def test_a_pending_pods_anti_affinity_is_known_before_it_is_placed():
    shy, noisy = app("shy", pod_anti_affinity=(near("rack", "noisy"),)), app("noisy")
    rules = DynamicRules.build(racks(4), [a_pod("q", shy)])

    assert rules.touches(noisy)
    assert allowed(rules, noisy) == [0, 1, 2, 3]
    rules.place(shy, 1)
    assert allowed(rules, noisy) == [2, 3]


def test_a_spec_never_seen_before_brings_its_anti_affinity_along():
    noisy = app("noisy")
    rules = DynamicRules.build(racks(4), ())
    assert rules.mask(noisy) is None

    rules.place(app("shy", pod_anti_affinity=(near("rack", "noisy"),)), 1)

    assert allowed(rules, noisy) == [2, 3]


def test_a_fork_does_not_see_what_happens_in_the_other():
    shy = app("shy", pod_anti_affinity=(near(HOST, "shy"),))
    rules = DynamicRules.build(racks(4), [a_pod("p", shy, node="n0")])
    assert allowed(rules, shy) == [1, 2, 3]
    fork = rules.fork()

    fork.place(shy, 1)
    rules.place(shy, 2)

    assert allowed(fork, shy) == [2, 3]
    assert allowed(rules, shy) == [1, 3]


def test_a_tally_first_read_in_a_fork_knows_what_happened_before_it():
    shy = app("shy", pod_anti_affinity=(near(HOST, "shy"),))
    rules = DynamicRules.build(racks(4), ())
    rules.place(shy, 3)
    fork = rules.fork()
    fork.place(shy, 0)
    fork.remove(shy, 3)

    assert allowed(fork, shy) == [1, 2, 3]
    assert allowed(rules, shy) == [0, 1, 2]


def test_an_empty_spread_selector_counts_nobody():
    everyone = TopologySpread("rack", 1, LabelSelector(), is_required=True)
    spec = app("web", topology_spread=(everyone,))
    pods = [a_pod(f"p{i}", app("web"), node="n0") for i in range(5)]

    assert allowed(DynamicRules.build(racks(4), pods), spec) == [0, 1, 2, 3]


def test_company_outside_one_of_the_keys_still_means_the_pod_is_not_the_first():
    table = a_table(
        a_node("n0", labels={"rack": "r0", "row": "a"}),
        a_node("n1", labels={"rack": "r1", "row": "a"}),
        a_node("n2", labels={"rack": "r2"}),
    )
    spec = app("web", pod_affinity=(near("rack", "web"), near("row", "web")))
    rules = DynamicRules.build(table, ())
    assert allowed(rules, spec) == [0, 1]

    rules.place(app("web"), 2)

    assert allowed(rules, spec) == []


def test_releasing_pods_can_be_taken_out_for_the_future():
    spread = TopologySpread(
        "rack", 1, LabelSelector((Requirement("app", Operator.EXISTS),)), is_required=True
    )
    spec = app("web", topology_spread=(spread,), pod_anti_affinity=(near(HOST, "web"),))
    rules = DynamicRules.build(racks(4), [a_pod("p", spec, node="n0", state=PodState.RELEASING)])
    assert allowed(rules, spec) == [1, 2, 3]

    rules.remove(spec, 0, is_leaving=True)

    assert allowed(rules, spec) == [0, 1, 2, 3]


def test_volumes_count_once_a_node_and_forks_keep_their_own_count():
    table = a_table(*(a_node(f"n{i}", attachable=(("csi", 1),)) for i in range(2)))
    claims = {f"team/{name}": VolumeClaim(key=f"team/{name}", volume=name) for name in "ab"}
    volumes = {name: Volume(name=name, csi_driver="csi", csi_handle=name) for name in "ab"}
    one, other = a_spec(volume_claims=("a",)), a_spec(volume_claims=("b",))
    rules = DynamicRules.build(table, [a_pod("p", one, node="n0")], VolumesView(claims, volumes))
    assert (allowed(rules, one), allowed(rules, other)) == ([0, 1], [1])

    fork = rules.fork()
    fork.place(one, 0)
    fork.remove(one, 0)
    assert allowed(fork, other) == [1]
    fork.remove(one, 0)
    fork.place(other, 1)

    assert (allowed(fork, one), allowed(fork, other)) == ([0], [0, 1])
    assert (allowed(rules, one), allowed(rules, other)) == ([0, 1], [1])


def test_eliminations_say_how_many_nodes_each_rule_took():
    shy = app("shy", pod_anti_affinity=(near("rack", "shy"),))
    rules = DynamicRules.build(racks(6), [a_pod("p", shy, node="n0")])
    within = np.array([True, True, True, False, True, True])

    texts = [str(each) for each in rules.eliminations(shy, within)]

    assert texts == ["2 have pods that its anti-affinity avoids (per rack)"]
