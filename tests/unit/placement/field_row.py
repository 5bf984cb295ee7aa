"""Rows of the tests of pod fields: a spec, the nodes that it may use, and the rule that takes the others."""

from __future__ import annotations

from dataclasses import dataclass

from kai_sched.model.policy import Policy
from kai_sched.model.selectors import (
    LabelSelector,
    NodeSelector,
    NodeSelectorTerm,
    Operator,
    Requirement,
    Taint,
)
from kai_sched.model.volumes import StorageClass, Volume, VolumeClaim
from kai_sched.model.workloads import PodAffinityTerm, PodSpec
from kai_sched.placement.rules.elimination import Rule
from tests.builders import GIB, a_node, a_spec

HOST = "kubernetes.io/hostname"
A_POLICY = Policy()
RACKS = tuple(a_node(f"n{i}", labels={"rack": f"r{i // 2}"}) for i in range(4))
ALL = "n0 n1 n2 n3"


def needs(key, operator, *values):
    return Requirement(key, operator, values)


def labelled(**labels):
    return LabelSelector(tuple(needs(key, Operator.IN, value) for key, value in sorted(labels.items())))


def near(key, *, weight=0, namespaces=("team",), **labels):
    return PodAffinityTerm(key, labelled(**labels), namespaces, weight)


def app(name, **more):
    return a_spec(labels=(("app", name),), **more)


def node_named(name):
    return NodeSelector((NodeSelectorTerm(fields=(needs("metadata.name", Operator.IN, name),)),))


def rack(*values):
    return NodeSelector((NodeSelectorTerm((needs("rack", Operator.IN, *values),)),))


def a_claim(name, **more):
    return VolumeClaim(key=f"team/{name}", **{"capacity_bytes": 10 * GIB, "storage_class": "local", **more})


def a_volume(name, node=None, **more):
    affinity = None if node is None else node_named(node)
    return Volume(
        name=name, **{"storage_class": "local", "capacity_bytes": 10 * GIB, "node_affinity": affinity, **more}
    )


LOCAL = StorageClass(name="local", waits_for_consumer=True, provisioner="kubernetes.io/no-provisioner")
CLOUD = StorageClass(name="cloud", waits_for_consumer=True, provisioner="csi.example.com")
TAINT = Taint("dedicated", "infra", "NoSchedule")


@dataclass(frozen=True)
class Row:
    """``without``: what the spec is compared with; by default the same spec with the field's default."""

    field: str
    case: str
    spec: PodSpec
    allowed: str
    rule: Rule
    nodes: tuple = RACKS
    pods: tuple = ()
    world: dict | None = None
    policy: Policy = A_POLICY
    without: PodSpec | None = None
    without_allowed: str = ALL

    def __str__(self):
        return f"{self.field}: {self.case}"
