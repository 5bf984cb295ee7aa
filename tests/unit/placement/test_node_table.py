"""The node table: label columns and selectors as Kubernetes evaluates them."""

import numpy as np
import pytest

from kai_sched.model.selectors import NodeSelector, NodeSelectorTerm, Operator, Requirement, Taint
from kai_sched.model.snapshot import Fleet
from kai_sched.placement.node_table import NodeTable
from tests.builders import GPU, a_node


def a_table(*nodes, extra=()):
    return NodeTable.build(Fleet(nodes=nodes), extra)


def needs(key, operator, *values):
    return Requirement(key, operator, values)


TABLE = a_table(
    a_node("n0", labels={"disk": "ssd", "gen": "3"}),
    a_node("n1", labels={"disk": "hdd", "gen": "10"}),
    a_node("n2", labels={"gen": "old"}),
)


@pytest.mark.parametrize(
    ("requirement", "matched"),
    [
        (needs("disk", Operator.IN, "ssd", "nvme"), [0]),
        (needs("disk", Operator.NOT_IN, "ssd"), [1, 2]),
        (needs("disk", Operator.EXISTS), [0, 1]),
        (needs("disk", Operator.DOES_NOT_EXIST), [2]),
        (needs("gen", Operator.GT, "3"), [1]),
        (needs("gen", Operator.GT, "2"), [0, 1]),
        (needs("gen", Operator.LT, "10"), [0]),
        (needs("gen", Operator.LT, "x"), []),
        (needs("gen", Operator.GT, "1", "2"), []),
        (needs("absent", Operator.GT, "1"), []),
        (needs("disk", Operator.IN), []),
        (needs("disk", Operator.NOT_IN), []),
        (needs("disk", Operator.EXISTS, "ssd"), []),
    ],
    ids=str,
)
def test_a_requirement_matches_as_in_kubernetes(requirement, matched):
    assert np.flatnonzero(TABLE.match(requirement)).tolist() == matched


@pytest.mark.parametrize(
    ("fields", "matched"),
    [
        ((needs("metadata.name", Operator.IN, "n1"),), [1]),
        ((needs("metadata.name", Operator.NOT_IN, "n1"),), [0, 2]),
        ((needs("metadata.name", Operator.IN, "n7"),), []),
        ((needs("metadata.name", Operator.NOT_IN, "n7"),), [0, 1, 2]),
        ((needs("metadata.name", Operator.IN, "n1", "n2"),), []),
        ((needs("metadata.name", Operator.EXISTS),), []),
        ((needs("spec.x", Operator.NOT_IN, "n1"),), [0, 1, 2]),
    ],
    ids=str,
)
def test_fields_know_the_name_and_exactly_one_value(fields, matched):
    assert np.flatnonzero(TABLE.match(NodeSelectorTerm(fields=fields))).tolist() == matched


def test_terms_are_alternatives_and_their_parts_must_all_hold():
    both = NodeSelectorTerm((needs("disk", Operator.EXISTS),), (needs("metadata.name", Operator.IN, "n1"),))
    other = NodeSelectorTerm((needs("gen", Operator.IN, "old"),))
    assert TABLE.match(both).tolist() == [False, True, False]
    assert TABLE.match(NodeSelector((both, other))).tolist() == [False, True, True]


def test_an_empty_term_and_a_selector_without_terms_match_nothing():
    assert not TABLE.match(NodeSelectorTerm()).any()
    assert not TABLE.match(NodeSelector(())).any()


def test_a_term_with_an_unreadable_requirement_matches_nothing():
    term = NodeSelectorTerm((needs("disk", Operator.IN, "ssd"), needs("gen", Operator.GT, "x")))
    assert not TABLE.match(term).any()


def test_the_axis_holds_what_nodes_have_and_what_pods_ask_for():
    table = a_table(a_node("n0", gpus=4), a_node("n1", gpus=0), extra=("example.com/nic",))
    assert table.axis == ("cpu", "memory", "ephemeral-storage", "pods", "example.com/nic", GPU)
    assert table.allocatable[:, table.position_of[GPU]].tolist() == [4, 0]
    assert table.allocatable[:, table.position_of["example.com/nic"]].tolist() == [0, 0]


def test_nodes_with_equal_taints_share_a_code():
    taint = Taint("dedicated", "infra", "NoSchedule")
    table = a_table(a_node("n0"), a_node("n1", taints=(taint,)), a_node("n2"))
    assert table.taint_codes.tolist() == [0, 1, 0]
    assert table.taint_sets == ((), (taint,))


def test_shared_answers_cannot_be_changed_by_a_caller():
    with pytest.raises(ValueError, match="read-only"):
        TABLE.match(needs("disk", Operator.EXISTS))[0] = False
