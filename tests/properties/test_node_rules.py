"""Node rules against a reference that looks at one node at a time and knows no arrays, tallies or caches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kai_sched.model.ids import NodeName
from kai_sched.model.nodes import Node
from kai_sched.model.selectors import (
    LabelSelector,
    NodeSelector,
    NodeSelectorTerm,
    Operator,
    Requirement,
    Taint,
    Toleration,
)
from kai_sched.model.snapshot import Fleet
from kai_sched.model.workloads import HostPort, PodAffinityTerm, PodSpec, PodState, TopologySpread
from kai_sched.placement.node_table import NodeTable
from kai_sched.placement.rules.dynamic import DynamicRules
from kai_sched.placement.rules.static import StaticFacts, static_mask
from tests.builders import a_pod

# Most draws leave most things out: a node that everything keeps away shows nothing about any one rule.
KEYS = st.sampled_from(["zone", "rack"])
VALUES = st.sampled_from(["a", "b", "1", "2", "03"])


def few(strategy, most=2):
    return st.lists(strategy, max_size=most).map(tuple)


def some(strategy, most=2):
    return st.lists(strategy, min_size=1, max_size=most).map(tuple)


def rarely(strategy, otherwise=()):
    return st.integers(0, 3).flatmap(lambda draw: strategy if draw == 0 else st.just(otherwise))


def labels_of(**choices):
    """Labels with some keys left out."""
    values = st.fixed_dictionaries({key: st.sampled_from([*values, None]) for key, values in choices.items()})
    return values.map(lambda drawn: tuple(sorted((key, value) for key, value in drawn.items() if value)))


NODE_LABELS = labels_of(zone=["a", "b", "b"], rack=["1", "2", "03", "a"])
POD_LABELS = labels_of(app=["x", "x", "y"], tier=["x", "y"])
EFFECTS = st.sampled_from(["NoSchedule", "NoExecute", "PreferNoSchedule"])
TAINTS = st.builds(Taint, st.sampled_from(["k", "m"]), st.sampled_from(["", "x", "7"]), EFFECTS)
TOLERATIONS = st.builds(
    Toleration,
    st.sampled_from(["", "k", "m", "node.kubernetes.io/unschedulable", "node.kubernetes.io/not-ready"]),
    st.sampled_from(["", "Equal", "Exists", "Gt", "Lt", "Odd"]),
    st.sampled_from(["", "x", "5", "9"]),
    st.sampled_from(["", "NoSchedule", "NoExecute"]),
)
REQUIREMENTS = st.builds(
    Requirement, KEYS, st.sampled_from([Operator.IN, Operator.NOT_IN]), some(VALUES)
) | st.builds(Requirement, KEYS, st.sampled_from(list(Operator)), few(VALUES, 1))
NAME_REQUIREMENTS = st.builds(
    Requirement,
    st.just("metadata.name"),
    st.sampled_from([Operator.IN, Operator.NOT_IN]),
    st.sampled_from([("n0",), ("n1",), ("n9",), ("n0", "n1")]),
)
TERMS = st.builds(NodeSelectorTerm, few(REQUIREMENTS), rarely(some(NAME_REQUIREMENTS, 1)))
NODE_SELECTORS = st.builds(NodeSelector, few(TERMS))
POD_REQUIREMENTS = st.builds(
    Requirement,
    st.sampled_from(["app", "tier"]),
    st.sampled_from([Operator.IN, Operator.IN, Operator.NOT_IN]),
    some(st.sampled_from(["x", "y"])),
)
SELECTORS = rarely(
    st.sampled_from([None, LabelSelector()]),
    otherwise=LabelSelector((Requirement("app", Operator.IN, ("x",)),)),
) | st.builds(LabelSelector, some(POD_REQUIREMENTS))
AFFINITY_TERMS = st.builds(
    PodAffinityTerm,
    KEYS,
    SELECTORS,
    st.sampled_from([(), ("team",), ("team", "other"), ("other",)]),
    rarely(st.just(5), otherwise=0),
)
SPREADS = st.builds(
    TopologySpread,
    KEYS,
    st.integers(1, 2),
    SELECTORS,
    rarely(st.just(False), otherwise=True),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
)
PORTS = st.builds(
    HostPort,
    st.integers(80, 81),
    st.sampled_from(["TCP", "UDP"]),
    st.sampled_from(["", "0.0.0.0", "10.0.0.1"]),
)
DISKS = st.tuples(
    st.sampled_from(["gcePersistentDisk", "awsElasticBlockStore"]), st.sampled_from(["d", "e"]), st.booleans()
)
NODES = st.lists(
    st.builds(
        lambda labels, taints, is_cordoned, is_ready: Node(
            name=NodeName("?"), labels=labels, taints=taints, is_cordoned=is_cordoned, is_ready=is_ready
        ),
        NODE_LABELS,
        rarely(some(TAINTS)),
        rarely(st.just(True), otherwise=False),
        rarely(st.just(False), otherwise=True),
    ),
    min_size=1,
    max_size=5,
).map(lambda nodes: tuple(replace(node, name=NodeName(f"n{index}")) for index, node in enumerate(nodes)))
LONELY_SPECS = st.builds(
    PodSpec,
    namespace=st.just("team"),
    node_selector=rarely(some(st.tuples(KEYS, VALUES))),
    required_node_affinity=st.none() | NODE_SELECTORS,
    tolerations=few(TOLERATIONS, 3),
)


def specs_with(**more):
    """Pods of two namespaces with one kind of field."""
    return st.builds(
        PodSpec,
        namespace=rarely(st.just("other"), otherwise="team"),
        labels=POD_LABELS,
        node_selector=rarely(some(st.tuples(KEYS, VALUES), 1)),
        tolerations=rarely(some(TOLERATIONS, 1)),
        **more,
    )


SPECS = (
    specs_with()
    | specs_with(pod_affinity=some(AFFINITY_TERMS))
    | specs_with(pod_anti_affinity=some(AFFINITY_TERMS))
    | specs_with(topology_spread=some(SPREADS))
    | specs_with(host_ports=some(PORTS))
    | specs_with(inline_volumes=some(DISKS))
)

# ---- the reference -------------------------------------------------------------------------------------------


def holds(requirement, value):
    wanted = requirement.values
    match requirement.operator:
        case Operator.IN:
            return bool(wanted) and value in wanted
        case Operator.NOT_IN:
            return bool(wanted) and value not in wanted
        case Operator.EXISTS:
            return not wanted and value is not None
        case Operator.DOES_NOT_EXIST:
            return not wanted and value is None
        case _:
            if len(wanted) != 1 or not wanted[0].isdigit() or value is None or not value.isdigit():
                return False
            more = int(value) > int(wanted[0])
            less = int(value) < int(wanted[0])
            return more if requirement.operator is Operator.GT else less


def tolerated(taint, tolerations):
    for toleration in tolerations:
        if toleration.effect not in ("", taint.effect) or toleration.key not in ("", taint.key):
            continue
        if toleration.operator == "Exists":
            return True
        if toleration.operator in ("", "Equal") and toleration.value == taint.value:
            return True
        if toleration.operator in ("Gt", "Lt") and toleration.value.isdigit() and taint.value.isdigit():
            difference = int(taint.value) - int(toleration.value)
            if difference > 0 if toleration.operator == "Gt" else difference < 0:
                return True
    return False


def untainted(node, spec):
    return all(
        taint.effect == "PreferNoSchedule" or tolerated(taint, spec.tolerations) for taint in node.taints
    )


def selected(node, spec):
    labels = dict(node.labels)
    if any(labels.get(key) != value for key, value in spec.node_selector):
        return False
    if spec.required_node_affinity is None:
        return True
    for term in spec.required_node_affinity.terms:
        parts = [holds(each, labels.get(each.key)) for each in term.expressions]
        parts += [len(each.values) == 1 and holds(each, node.name) for each in term.fields]
        if parts and all(parts):
            return True
    return False


def may_run_alone(node, spec):
    cordon = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")
    sick = Taint("node.kubernetes.io/not-ready", "", "NoSchedule")
    if node.is_cordoned and not tolerated(cordon, spec.tolerations):
        return False
    if not node.is_ready and not tolerated(sick, spec.tolerations):
        return False
    return untainted(node, spec) and selected(node, spec)


def speaks_of(selector, spec):
    labels = dict(spec.labels)
    return selector is not None and all(holds(each, labels.get(each.key)) for each in selector.requirements)


def term_speaks_of(term, spec):
    return (not term.namespaces or spec.namespace in term.namespaces) and speaks_of(term.selector, spec)


def hard(terms):
    return [term for term in terms if term.weight == 0]


def same_place(one, other, key):
    mine, theirs = dict(one.labels), dict(other.labels)
    return key in mine and key in theirs and mine[key] == theirs[key]


def ports_free(node, spec, residents):
    for other, where in residents:
        for mine in spec.host_ports:
            for theirs in other.host_ports:
                overlap = mine.host_ip == theirs.host_ip or {mine.host_ip, theirs.host_ip} & {"", "0.0.0.0"}
                if where is node and (mine.port, mine.protocol) == (theirs.port, theirs.protocol) and overlap:
                    return False
    return True


def disks_free(node, spec, residents):
    for other, where in residents:
        for kind, name, read_only in spec.inline_volumes:
            for their_kind, their_name, their_read_only in other.inline_volumes:
                both_read = read_only and their_read_only and kind == "gcePersistentDisk"
                if where is node and (kind, name) == (their_kind, their_name) and not both_read:
                    return False
    return True


def nobody_repels(node, spec, residents):
    for other, where in residents:
        for term in hard(spec.pod_anti_affinity):
            if term_speaks_of(term, other) and same_place(node, where, term.topology_key):
                return False
        for term in hard(other.pod_anti_affinity):
            if term_speaks_of(term, spec) and same_place(node, where, term.topology_key):
                return False
    return True


def has_company(node, spec, residents):
    terms = hard(spec.pod_affinity)
    if any(term.topology_key not in dict(node.labels) for term in terms):
        return False
    friends = [(o, w) for o, w in residents if all(term_speaks_of(term, o) for term in terms)]
    if all(any(same_place(node, w, term.topology_key) for _, w in friends) for term in terms):
        return True
    counted = any(term.topology_key in dict(w.labels) for _, w in friends for term in terms)
    return not counted and all(term_speaks_of(term, spec) for term in terms)


def is_even(node, spec, residents, nodes):
    constraints = [each for each in spec.topology_spread if each.is_required]
    keys = [each.topology_key for each in constraints]
    for each in constraints:
        counts = {}
        for other_node in nodes:
            labels = dict(other_node.labels)
            if any(key not in labels for key in keys):
                continue
            if each.honours_node_affinity and not selected(other_node, spec):
                continue
            if each.honours_node_taints and not untainted(other_node, spec):
                continue
            value = labels[each.topology_key]
            counts.setdefault(value, 0)
            for other, where in residents:
                counts[value] += (
                    where is other_node
                    and other.namespace == spec.namespace
                    and each.selector is not None
                    and len(each.selector.requirements) > 0
                    and speaks_of(each.selector, other)
                )
        value = dict(node.labels).get(each.topology_key)
        lowest = min(counts.values(), default=0) if len(counts) >= each.min_domains else 0
        if value is None or counts.get(value, 0) + speaks_of(each.selector, spec) - lowest > each.max_skew:
            return False
    return True


def may_join(node, spec, residents, nodes):
    return (
        ports_free(node, spec, residents)
        and disks_free(node, spec, residents)
        and nobody_repels(node, spec, residents)
        and has_company(node, spec, residents)
        and is_even(node, spec, residents, nodes)
    )


# ---- properties ----------------------------------------------------------------------------------------------


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
