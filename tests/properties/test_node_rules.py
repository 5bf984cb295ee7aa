"""Node rules against a reference that looks at one node at a time and knows no arrays, tallies or caches."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kai_sched.model.ids import NodeName
from kai_sched.model.snapshot import Fleet
from kai_sched.model.workloads import PodSpec, PodState
from kai_sched.placement.node_table import NodeTable
from kai_sched.placement.rules.dynamic import DynamicRules
from kai_sched.placement.rules.static import StaticFacts, static_mask
from tests.builders import a_pod
from tests.properties.node_rules_draws import (
    LONELY_SPECS,
    NODE_SELECTORS,
    NODES,
    SPECS,
)
from tests.properties.node_rules_reference import (
    disks_free,
    has_company,
    is_even,
    may_join,
    may_run_alone,
    nobody_repels,
    ports_free,
    selected,
)


def a_table(nodes):
    return NodeTable.build(Fleet(nodes=nodes))


def full_mask(rules, spec, table):
    mask = rules.mask(spec)
    return [True] * len(table) if mask is None else mask.tolist()


@given(NODES, NODE_SELECTORS)
def test_a_node_selector_matches_what_each_node_says_by_itself(nodes, selector):
    spec = PodSpec(namespace="team", required_node_affinity=selector)
    assert a_table(nodes).match(selector).tolist() == [selected(node, spec) for node in nodes]


@given(NODES, LONELY_SPECS)
def test_the_static_mask_is_what_each_node_says_by_itself(nodes, spec):
    found = static_mask(a_table(nodes), StaticFacts(), spec)
    assert found.allowed.tolist() == [may_run_alone(node, spec) for node in nodes]
    assert sum(each.count for each in found.eliminated) == len(nodes) - int(found.allowed.sum())


@given(st.data())
def test_dynamic_masks_follow_pods_that_come_and_go_in_every_fork(data):
    nodes = data.draw(NODES)
    table = a_table(nodes)
    specs = data.draw(st.lists(SPECS, min_size=2, max_size=4))
    some_spec, some_node = st.sampled_from(specs), st.integers(0, len(nodes) - 1)
    first = data.draw(st.lists(st.tuples(some_spec, some_node), max_size=3))
    pods = [a_pod(f"p{i}", spec, node=f"n{node}") for i, (spec, node) in enumerate(first)]
    worlds = [(DynamicRules.build(table, pods), list(first))]
    for _ in range(data.draw(st.integers(3, 12))):
        rules, present = data.draw(st.sampled_from(worlds))
        match data.draw(st.sampled_from(["place", "remove", "fork", "ask"])):
            case "place":
                pair = data.draw(st.tuples(some_spec, some_node))
                rules.place(*pair)
                present.append(pair)
            case "remove" if present:
                pair = present.pop(data.draw(st.integers(0, len(present) - 1)))
                rules.remove(*pair)
            case "fork":
                worlds.append((rules.fork(), list(present)))
            case _:
                rules.mask(data.draw(some_spec))
    for rules, present in worlds:
        residents = [(spec, nodes[node]) for spec, node in present]
        for spec in specs:
            expected = [may_join(node, spec, residents, nodes) for node in nodes]
            assert full_mask(rules, spec, table) == expected
            assert rules.touches(spec) or all(expected)


@given(NODES, st.lists(SPECS, min_size=2, max_size=4), st.data())
def test_placing_and_removing_leaves_no_trace(nodes, specs, data):
    table = a_table(nodes)
    resident = a_pod("r", specs[0], node="n0")
    rules = DynamicRules.build(table, [resident, *(a_pod(f"p{i}", spec) for i, spec in enumerate(specs))])
    scores = [rules.soft_score(spec) for spec in specs]
    masks = [full_mask(rules, spec, table) for spec in specs]
    moves = data.draw(
        st.lists(st.tuples(st.sampled_from(specs), st.integers(0, len(nodes) - 1)), min_size=1, max_size=5)
    )
    for move in moves:
        rules.place(*move)
    for move in data.draw(st.permutations(moves)):
        rules.remove(*move)

    assert [full_mask(rules, spec, table) for spec in specs] == masks
    for spec, before in zip(specs, scores, strict=True):
        after = rules.soft_score(spec)
        assert (before is None) == (after is None)
        assert before is None or np.array_equal(before, after)


@given(NODES, st.lists(SPECS, min_size=1, max_size=3), st.data())
def test_names_and_order_of_nodes_do_not_matter(nodes, specs, data):
    order = data.draw(st.permutations(range(len(nodes))))
    renamed = tuple(replace(nodes[old], name=NodeName(f"m{position}")) for position, old in enumerate(order))
    placed = data.draw(
        st.lists(st.tuples(st.sampled_from(specs), st.integers(0, len(nodes) - 1)), max_size=4)
    )
    one = DynamicRules.build(
        a_table(nodes), [a_pod(f"p{i}", s, node=f"n{n}") for i, (s, n) in enumerate(placed)]
    )
    other = DynamicRules.build(
        a_table(renamed),
        [a_pod(f"p{i}", s, node=f"m{order.index(n)}") for i, (s, n) in enumerate(placed)],
    )
    for spec in specs:
        static = static_mask(a_table(nodes), StaticFacts(), spec).allowed
        static_renamed = static_mask(a_table(renamed), StaticFacts(), spec).allowed
        assert [static[old] for old in order] == static_renamed.tolist()
        mask, mask_renamed = full_mask(one, spec, nodes), full_mask(other, spec, renamed)
        assert [mask[old] for old in order] == mask_renamed


@given(NODES, SPECS)
def test_pods_that_are_leaving_do_not_count_for_spread_but_do_for_affinity(nodes, spec):
    table = a_table(nodes)
    leaving = DynamicRules.build(table, [a_pod("p", spec, node="n0", state=PodState.RELEASING)])
    residents = [(spec, nodes[0])]
    expected = [
        ports_free(node, spec, residents)
        and disks_free(node, spec, residents)
        and nobody_repels(node, spec, residents)
        and has_company(node, spec, residents)
        and is_even(node, spec, [], nodes)
        for node in nodes
    ]
    assert full_mask(leaving, spec, table) == expected
