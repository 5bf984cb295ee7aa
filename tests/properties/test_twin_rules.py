"""The judge's own rules of nodes and neighbours, against a reference that looks at one node at a time."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kai_sched.placement.checker import ViolationKind, check_plan, neighbours, node_rules
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec
from tests.properties.node_rules_draws import LONELY_SPECS, NODES, SPECS
from tests.properties.node_rules_reference import may_join, may_run_alone
from tests.unit.placement.field_row import TAINT, app, near
from tests.unit.placement.plans import POLICY, a_placement, a_plan

RULES = {ViolationKind.STATIC_RULE, ViolationKind.DYNAMIC_RULE}


def allowed_by_judge(nodes, residents, spec):
    """For each node whether the judge lets a pod be there beside the residents."""
    pods = [a_pod(f"r{i}", other, node=node.name) for i, (other, node) in enumerate(residents)]
    pod = a_pod("new", spec)
    snapshot = a_snapshot(nodes=nodes, pods=[*pods, pod], groups=[a_group("new")])
    return [
        not any(
            one.kind in RULES for one in check_plan(snapshot, POLICY, a_plan([a_placement(pod, node.name)]))
        )
        for node in nodes
    ]


@given(NODES, LONELY_SPECS)
def test_alone_a_pod_may_be_where_each_node_says(nodes, spec):
    assert allowed_by_judge(nodes, [], spec) == [may_run_alone(node, spec) for node in nodes]


@given(st.data())
def test_beside_others_a_pod_may_be_where_the_reference_says(data):
    nodes = data.draw(NODES)
    specs = data.draw(st.lists(SPECS, min_size=2, max_size=4))
    some = st.tuples(st.sampled_from(specs), st.sampled_from(nodes))
    residents = data.draw(st.lists(some, max_size=6))

    for spec in specs:
        expected = [may_run_alone(node, spec) and may_join(node, spec, residents, nodes) for node in nodes]
        assert allowed_by_judge(nodes, residents, spec) == expected


@pytest.mark.parametrize(
    ("module", "name", "blind"),
    [
        (node_rules, "repelling_taint", lambda *_, **__: None),
        (neighbours.Neighbours, "_has_company", lambda *_: True),
        (neighbours.Neighbours, "_repelled_by", lambda *_: ()),
    ],
)
def test_the_properties_catch_a_judge_that_forgets_a_rule(monkeypatch, module, name, blind):
    nodes = [replace(a_node("n0"), taints=(TAINT,)), a_node("n1")]
    lonely, shy = app("a", pod_affinity=(near("kubernetes.io/hostname", app="b"),)), a_spec()
    hermit = a_spec(pod_anti_affinity=(near("kubernetes.io/hostname", app="c"),))
    cases = [([], shy), ([], lonely), ([(hermit, nodes[1])], app("c"))]

    def answers():
        return [allowed_by_judge(nodes, residents, spec) for residents, spec in cases]

    expected = [
        [may_run_alone(node, spec) and may_join(node, spec, residents, nodes) for node in nodes]
        for residents, spec in cases
    ]
    assert answers() == expected

    monkeypatch.setattr(module, name, blind)

    assert answers() != expected
