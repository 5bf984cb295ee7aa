"""Soft scores: kube-scheduler's figures on small fleets."""

import math

import numpy as np
import pytest

from kai_sched.model.selectors import (
    LabelSelector,
    NodeSelectorTerm,
    Operator,
    Requirement,
    Taint,
    Toleration,
)
from kai_sched.model.snapshot import Fleet
from kai_sched.model.workloads import PodAffinityTerm, TopologySpread
from kai_sched.placement.node_table import NodeTable
from kai_sched.placement.rules.dynamic import DynamicRules
from tests.builders import a_node, a_pod, a_spec

HOST = "kubernetes.io/hostname"


def rules_on(*nodes, pods=()):
    return DynamicRules.build(NodeTable.build(Fleet(nodes=nodes)), pods)


def racks(count):
    return [a_node(f"n{i}", labels={"rack": f"r{i // 2}"}) for i in range(count)]


def app(name, **more):
    return a_spec(labels=(("app", name),), **more)


def selector(name):
    return LabelSelector((Requirement("app", Operator.IN, (name,)),))


def test_pods_without_preferences_have_no_score():
    rules = rules_on(*racks(2))
    assert not rules.has_soft_score(a_spec())
    assert rules.soft_score(a_spec()) is None


def test_preferred_node_affinity_adds_weights_and_scales_to_the_best():
    def wants(key, value):
        return NodeSelectorTerm((Requirement(key, Operator.IN, (value,)),))

    spec = a_spec(preferred_node_affinity=((10, wants("rack", "r1")), (30, wants(HOST, "n3"))))
    assert rules_on(*racks(4)).soft_score(spec).tolist() == [0, 0, 2 * 25, 2 * 100]


def test_each_intolerable_soft_taint_counts_against_a_node():
    def soft(*keys):
        return tuple(Taint(key, "", "PreferNoSchedule") for key in keys)

    rules = rules_on(
        a_node("n0"),
        a_node("n1", taints=soft("a")),
        a_node("n2", taints=soft("a", "b")),
        a_node("n3", taints=soft("c")),
    )
    spec = a_spec(tolerations=(Toleration("c", "Exists"),))
    assert rules.soft_score(spec).tolist() == [3 * 100, 3 * 50, 0, 3 * 100]


@pytest.mark.parametrize("field", ["pod_affinity", "pod_anti_affinity"])
def test_preferred_pod_affinity_draws_and_anti_affinity_repels(field):
    term = PodAffinityTerm("rack", selector("db"), ("team",), weight=7)
    rules = rules_on(*racks(4), pods=[a_pod("p", app("db"), node="n2")])
    draws = [0, 0, 200, 200]
    score = rules.soft_score(a_spec(**{field: (term,)})).tolist()
    assert score == (draws if field == "pod_affinity" else draws[::-1])


@pytest.mark.parametrize(
    ("carried", "expected"),
    [
        (
            {"pod_affinity": (PodAffinityTerm("rack", selector("web"), ("team",), weight=7),)},
            [200, 200, 0, 0],
        ),
        ({"pod_affinity": (PodAffinityTerm("rack", selector("web"), ("team",)),)}, [200, 200, 0, 0]),
        (
            {"pod_anti_affinity": (PodAffinityTerm("rack", selector("web"), ("team",), weight=7),)},
            [0, 0, 200, 200],
        ),
    ],
    ids=["preferred", "required", "anti"],
)
def test_what_pods_there_prefer_counts_for_the_newcomer_too(carried, expected):
    rules = rules_on(*racks(4), pods=[a_pod("p", app("db", **carried), node="n0")])
    assert rules.soft_score(app("web")).tolist() == expected
    assert rules.soft_score(app("other")) is None


def test_soft_spread_prefers_domains_with_fewer_pods():
    spread = TopologySpread("rack", 1, selector("web"), is_required=False)
    rules = rules_on(*racks(4), a_node("n4"), pods=[a_pod(f"p{i}", app("web"), node="n0") for i in range(3)])
    score = rules.soft_score(app("web", topology_spread=(spread,)))
    assert score.tolist() == [0, 0, 200, 200, 0]
    assert rules.mask(app("web", topology_spread=(spread,))) is None


def test_soft_spread_weighs_keys_by_how_many_values_they_have():
    by_host = TopologySpread(HOST, 1, selector("web"), is_required=False)
    by_rack = TopologySpread("rack", 1, selector("web"), is_required=False)
    rules = rules_on(*racks(4), pods=[a_pod(f"p{i}", app("web"), node="n0") for i in range(4)])
    score = rules.soft_score(app("web", topology_spread=(by_host, by_rack)))
    hosts, racks_only = round(4 * math.log(6) + 4 * math.log(4)), round(4 * math.log(4))
    assert score[1] == 2 * 100 * (hosts - racks_only) / hosts
    assert score[0] == 0
    assert score[2] == score[3] == 200


def test_only_the_nodes_in_question_set_the_scale():
    term = NodeSelectorTerm((Requirement("rack", Operator.IN, ("r0",)),))
    other = NodeSelectorTerm((Requirement(HOST, Operator.IN, ("n3",)),))
    spec = a_spec(preferred_node_affinity=((90, term), (9, other)))
    within = np.array([False, False, True, True])
    assert rules_on(*racks(4)).soft_score(spec, within)[2:].tolist() == [0, 200]


def test_placing_a_pod_changes_the_score():
    term = PodAffinityTerm("rack", selector("web"), ("team",), weight=1)
    spec = app("web", pod_affinity=(term,))
    rules = rules_on(*racks(4))
    assert rules.soft_score(spec).tolist() == [0, 0, 0, 0]
    rules.place(spec, 3)
    assert rules.soft_score(spec).tolist() == [0, 0, 200, 200]
