"""Nodes and pod specs to draw from, with every field that a node rule reads."""

from dataclasses import replace

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
from kai_sched.model.workloads import HostPort, PodAffinityTerm, PodSpec, TopologySpread

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
