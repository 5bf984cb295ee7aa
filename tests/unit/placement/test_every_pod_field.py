"""Every field of a pod that decides where it may run, one row each.

A row says which nodes the pod may use. Each row is also run without its field: then the pod must be allowed more,
so a rule that is taken out cannot go unnoticed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import pytest

from kai_sched.model.policy import Policy
from kai_sched.model.resources import amounts
from kai_sched.model.selectors import (
    LabelSelector,
    NodeSelector,
    NodeSelectorTerm,
    Operator,
    Requirement,
    Taint,
    Toleration,
)
from kai_sched.model.volumes import StorageCapacity, StorageClass, Volume, VolumeClaim
from kai_sched.model.workloads import HostPort, PodAffinityTerm, PodSpec, TopologySpread
from kai_sched.placement.node_table import NodeTable
from kai_sched.placement.rules.dynamic import DynamicRules
from kai_sched.placement.rules.elimination import Rule
from kai_sched.placement.rules.static import StaticFacts, static_mask
from tests.builders import GIB, GPU, a_node, a_pod, a_snapshot, a_spec

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


ROWS = [
    Row(
        "node_selector",
        "every label must have its value",
        a_spec(node_selector=(("rack", "r1"),)),
        "n2 n3",
        Rule.NODE_AFFINITY,
    ),
    Row(
        "required_node_affinity",
        "one of the terms must match",
        a_spec(required_node_affinity=NodeSelector((*rack("r0").terms, *node_named("n3").terms))),
        "n0 n1 n3",
        Rule.NODE_AFFINITY,
    ),
    Row(
        "tolerations",
        "untolerated taints keep it off, also NoExecute, not PreferNoSchedule",
        a_spec(tolerations=(Toleration("dedicated", "Exists", "", "NoSchedule"),)),
        "n0 n1 n2",
        Rule.TAINT_TOLERATION,
        nodes=(
            a_node("n0"),
            a_node("n1", taints=(TAINT,)),
            a_node("n2", taints=(Taint("x", "", "PreferNoSchedule"),)),
            a_node("n3", taints=(Taint("dedicated", "infra", "NoExecute"),)),
        ),
        without_allowed="n0 n2",
    ),
    Row(
        "tolerations",
        "a cordoned node needs its own toleration",
        a_spec(),
        "n1 n3",
        Rule.NODE_UNSCHEDULABLE,
        nodes=(a_node("n0", is_cordoned=True), a_node("n1"), a_node("n2", is_cordoned=True), a_node("n3")),
        without=a_spec(tolerations=(Toleration("node.kubernetes.io/unschedulable", "Exists"),)),
    ),
    Row(
        "tolerations",
        "a node that is not ready counts as tainted so",
        a_spec(),
        "n1 n2 n3",
        Rule.NODE_READY,
        nodes=(a_node("n0", is_ready=False), a_node("n1"), a_node("n2"), a_node("n3")),
        without=a_spec(tolerations=(Toleration("node.kubernetes.io/not-ready", "Exists"),)),
    ),
    Row(
        "tolerations",
        "a node that cannot be reached is kept from by the taint that it has, not by one that it might have",
        a_spec(tolerations=(Toleration("node.kubernetes.io/not-ready", "Exists"),)),
        "n1 n2 n3",
        Rule.NODE_READY,
        nodes=(
            a_node("n0", is_ready=False, taints=(Taint("node.kubernetes.io/unreachable", "", "NoSchedule"),)),
            a_node("n1"),
            a_node("n2"),
            a_node("n3"),
        ),
        without=a_spec(tolerations=(Toleration("node.kubernetes.io/unreachable", "Exists"),)),
    ),
    Row(
        "pod_affinity",
        "company in the same rack",
        a_spec(pod_affinity=(near("rack", app="db"),)),
        "n2 n3",
        Rule.INTER_POD_AFFINITY,
        pods=(a_pod("db", app("db"), node="n2"),),
    ),
    Row(
        "pod_affinity",
        "one pod must match all terms together",
        a_spec(pod_affinity=(near("rack", app="db"), near(HOST, tier="hot"))),
        "n2",
        Rule.INTER_POD_AFFINITY,
        pods=(
            a_pod("a", app("db"), node="n0"),
            a_pod("b", a_spec(labels=(("app", "db"), ("tier", "hot"))), node="n2"),
        ),
    ),
    Row(
        "pod_affinity",
        "nobody there yet: only the pod that selects itself may start",
        app("web", pod_affinity=(near("rack", app="db"),)),
        "",
        Rule.INTER_POD_AFFINITY,
        without=app("db", pod_affinity=(near("rack", app="db"),)),
    ),
    Row(
        "pod_affinity",
        "pods of other namespaces are no company",
        a_spec(pod_affinity=(near("rack", app="db"),)),
        "",
        Rule.INTER_POD_AFFINITY,
        pods=(a_pod("db", app("db", namespace="other"), node="n2"),),
        without=a_spec(pod_affinity=(near("rack", namespaces=(), app="db"),)),
        without_allowed="n2 n3",
    ),
    Row(
        "pod_anti_affinity",
        "its own terms keep it away",
        a_spec(pod_anti_affinity=(near("rack", app="noisy"),)),
        "n0 n1",
        Rule.INTER_POD_AFFINITY,
        pods=(a_pod("x", app("noisy"), node="n3"),),
    ),
    Row(
        "pod_anti_affinity",
        "terms of pods already there keep it away",
        app("web"),
        "n1 n2 n3",
        Rule.INTER_POD_AFFINITY,
        pods=(a_pod("x", a_spec(pod_anti_affinity=(near(HOST, app="web"),)), node="n0"),),
        without=app("batch"),
    ),
    Row(
        "pod_anti_affinity",
        "nodes without the key pass",
        a_spec(pod_anti_affinity=(near("rack", app="noisy"),)),
        "n3",
        Rule.INTER_POD_AFFINITY,
        nodes=(*(a_node(f"n{i}", labels={"rack": "r"}) for i in range(3)), a_node("n3")),
        pods=(a_pod("x", app("noisy"), node="n1"), a_pod("y", app("noisy"), node="n3")),
    ),
    Row(
        "topology_spread",
        "the skew stays within its bound",
        app("web", topology_spread=(TopologySpread("rack", 1, labelled(app="web"), is_required=True),)),
        "n2 n3",
        Rule.POD_TOPOLOGY_SPREAD,
        pods=(a_pod("a", app("web"), node="n0"),),
    ),
    Row(
        "topology_spread",
        "fewer domains than minDomains: the minimum is zero",
        app("web", topology_spread=(TopologySpread("rack", 1, labelled(app="web"), True, min_domains=3),)),
        "",
        Rule.POD_TOPOLOGY_SPREAD,
        pods=(a_pod("a", app("web"), node="n0"), a_pod("b", app("web"), node="n2")),
        without=app("web", topology_spread=(TopologySpread("rack", 1, labelled(app="web"), True, 2),)),
    ),
    Row(
        "topology_spread",
        "domains that node affinity rules out do not count",
        app(
            "web",
            node_selector=(("rack", "r0"),),
            topology_spread=(TopologySpread("rack", 1, labelled(app="web"), is_required=True),),
        ),
        "n0 n1",
        Rule.NODE_AFFINITY,
        pods=(a_pod("a", app("web"), node="n0"),),
        without=app(
            "web",
            topology_spread=(TopologySpread("rack", 1, labelled(app="web"), is_required=True),),
        ),
        without_allowed="n2 n3",
    ),
    Row(
        "topology_spread",
        "domains behind taints count unless nodeTaintsPolicy is Honor",
        app("web", topology_spread=(TopologySpread("rack", 1, labelled(app="web"), is_required=True),)),
        "",
        Rule.POD_TOPOLOGY_SPREAD,
        nodes=(*RACKS[:2], *(replace(node, taints=(TAINT,)) for node in RACKS[2:])),
        pods=(a_pod("a", app("web"), node="n0"),),
        without=app(
            "web",
            topology_spread=(
                TopologySpread("rack", 1, labelled(app="web"), is_required=True, honours_node_taints=True),
            ),
        ),
        without_allowed="n0 n1",
    ),
    Row(
        "topology_spread",
        "nodes without the label are out",
        app("web", topology_spread=(TopologySpread("row", 1, labelled(app="web"), is_required=True),)),
        "n1",
        Rule.POD_TOPOLOGY_SPREAD,
        nodes=(a_node("n0"), a_node("n1", labels={"row": "a"}), a_node("n2"), a_node("n3")),
    ),
    Row(
        "host_ports",
        "the port is taken on an overlapping address",
        a_spec(host_ports=(HostPort(80, host_ip="10.0.0.1"),)),
        "n2 n3",
        Rule.NODE_PORTS,
        pods=(
            a_pod("a", a_spec(host_ports=(HostPort(80),)), node="n0"),
            a_pod("b", a_spec(host_ports=(HostPort(80, host_ip="10.0.0.1"),)), node="n1"),
            a_pod("c", a_spec(host_ports=(HostPort(80, host_ip="10.0.0.2"),)), node="n2"),
            a_pod("d", a_spec(host_ports=(HostPort(80, "UDP"), HostPort(81))), node="n3"),
        ),
    ),
    Row(
        "inline_volumes",
        "a disk is mounted once or by readers only",
        a_spec(inline_volumes=(("gcePersistentDisk", "d", True),)),
        "n1 n2 n3",
        Rule.VOLUME_RESTRICTIONS,
        pods=(
            a_pod("a", a_spec(inline_volumes=(("gcePersistentDisk", "d", False),)), node="n0"),
            a_pod("b", a_spec(inline_volumes=(("gcePersistentDisk", "d", True),)), node="n1"),
        ),
    ),
    Row(
        "inline_volumes",
        "an EBS volume is not even shared by readers",
        a_spec(inline_volumes=(("awsElasticBlockStore", "d", True),)),
        "n0 n2 n3",
        Rule.VOLUME_RESTRICTIONS,
        pods=(a_pod("b", a_spec(inline_volumes=(("awsElasticBlockStore", "d", True),)), node="n1"),),
    ),
    Row(
        "volume_claims",
        "a bound claim goes where its volume is",
        a_spec(volume_claims=("data",)),
        "n2",
        Rule.VOLUME_BINDING,
        world={"volume_claims": (a_claim("data", volume="pv"),), "volumes": (a_volume("pv", "n2"),)},
    ),
    Row(
        "volume_claims",
        "a claim that does not exist serves no node",
        a_spec(volume_claims=("data",)),
        "",
        Rule.VOLUME_BINDING,
    ),
    Row(
        "volume_claims",
        "a claim being deleted serves no node",
        a_spec(volume_claims=("data",)),
        "",
        Rule.VOLUME_BINDING,
        world={
            "volume_claims": (a_claim("data", volume="pv", is_deleting=True),),
            "volumes": (a_volume("pv"),),
        },
    ),
    Row(
        "volume_claims",
        "a claim that its volume is not bound to yet serves no node",
        a_spec(volume_claims=("data",)),
        "",
        Rule.VOLUME_BINDING,
        world={
            "volume_claims": (a_claim("data", volume="pv", problem="is not bound to it yet"),),
            "volumes": (a_volume("pv"),),
        },
    ),
    Row(
        "ephemeral_claims",
        "the claim that an older pod of that name left serves no node",
        a_spec(volume_claims=("p-data",), ephemeral_claims=(("p-data", "new"),)),
        "",
        Rule.VOLUME_BINDING,
        world={
            "volume_claims": (a_claim("p-data", volume="pv", owner_uid="old"),),
            "volumes": (a_volume("pv"),),
        },
    ),
    Row(
        "volume_claims",
        "a volume that was reserved for an earlier claim of that name is not free",
        a_spec(volume_claims=("data",)),
        "n2",
        Rule.VOLUME_BINDING,
        world={
            "storage_classes": (LOCAL,),
            "volume_claims": (a_claim("data", access_modes=("ReadWriteOnce",), uid="new"),),
            "volumes": (
                a_volume("pv1", "n1", claim="team/data", claim_uid="old"),
                a_volume("pv2", "n2", claim="team/data", claim_uid="new"),
            ),
        },
    ),
    Row(
        "volume_claims",
        "a free volume must have the claim's attributes class",
        a_spec(volume_claims=("data",)),
        "n2",
        Rule.VOLUME_BINDING,
        world={
            "storage_classes": (LOCAL,),
            "volume_claims": (a_claim("data", attributes_class="gold"),),
            "volumes": (a_volume("pv1", "n1"), a_volume("pv2", "n2", attributes_class="gold")),
        },
    ),
    Row(
        "volume_claims",
        "a driver that must be on the node keeps pods with its volumes off nodes without it",
        a_spec(volume_claims=("data",)),
        "n1 n2",
        Rule.NODE_VOLUME_LIMITS,
        nodes=(
            a_node("n0", missing_drivers=("csi", "other")),
            a_node("n1", missing_drivers=("other",)),
            a_node("n2"),
        ),
        without_allowed="n0 n1 n2",
        world={
            "volume_claims": (a_claim("data", volume="pv"),),
            "volumes": (a_volume("pv", csi_driver="csi", csi_handle="h"),),
        },
    ),
    Row(
        "volume_claims",
        "an unbound claim whose class binds at once must be bound first",
        a_spec(volume_claims=("data",)),
        "",
        Rule.VOLUME_BINDING,
        world={
            "volume_claims": (a_claim("data", storage_class="now"),),
            "storage_classes": (StorageClass(name="now", provisioner="csi.example.com"),),
        },
    ),
    Row(
        "volume_claims",
        "a claim without class must be bound first",
        a_spec(volume_claims=("data",)),
        "",
        Rule.VOLUME_BINDING,
        world={"volume_claims": (a_claim("data", storage_class=""),)},
    ),
    Row(
        "volume_claims",
        "a waiting claim needs a free volume that fits in size, mode, access and labels",
        a_spec(volume_claims=("data",)),
        "n3",
        Rule.VOLUME_BINDING,
        world={
            "storage_classes": (LOCAL,),
            "volume_claims": (
                a_claim(
                    "data",
                    access_modes=("ReadWriteOnce",),
                    selector=LabelSelector((Requirement("fast", Operator.IN, ("yes",)),)),
                ),
            ),
            "volumes": (
                a_volume("small", "n0", capacity_bytes=GIB, labels=(("fast", "yes"),)),
                a_volume("block", "n1", volume_mode="Block", labels=(("fast", "yes"),)),
                a_volume("slow", "n2", access_modes=("ReadWriteOnce",)),
                a_volume("good", "n3", access_modes=("ReadWriteOnce",), labels=(("fast", "yes"),)),
                a_volume("used", "n0", claim="team/x", access_modes=("ReadWriteOnce",)),
                a_volume("gone", "n1", phase="Released", access_modes=("ReadWriteOnce",)),
            ),
        },
    ),
    Row(
        "volume_claims",
        "a volume reserved for the claim is the only one",
        a_spec(volume_claims=("data",)),
        "n1",
        Rule.VOLUME_BINDING,
        world={
            "storage_classes": (LOCAL,),
            "volume_claims": (a_claim("data"),),
            "volumes": (a_volume("free", "n0"), a_volume("own", "n1", claim="team/data")),
        },
    ),
    Row(
        "volume_claims",
        "two waiting claims need two volumes of one node",
        a_spec(volume_claims=("a", "b")),
        "n1",
        Rule.VOLUME_BINDING,
        world={
            "storage_classes": (LOCAL,),
            "volume_claims": (a_claim("a"), a_claim("b", capacity_bytes=5 * GIB)),
            "volumes": (
                a_volume("x", "n0"),
                a_volume("y", "n1"),
                a_volume("z", "n1", capacity_bytes=5 * GIB),
                a_volume("s1", "n2", capacity_bytes=5 * GIB),
                a_volume("s2", "n2", capacity_bytes=5 * GIB),
            ),
        },
    ),
    Row(
        "volume_claims",
        "a class provisions in its allowed topologies only",
        a_spec(volume_claims=("data",)),
        "n0 n1",
        Rule.VOLUME_BINDING,
        world={
            "storage_classes": (replace(CLOUD, allowed_topologies=rack("r0")),),
            "volume_claims": (a_claim("data", storage_class="cloud"),),
        },
    ),
    Row(
        "volume_claims",
        "a class with capacity tracking provisions where there is room",
        a_spec(volume_claims=("data",)),
        "n2 n3",
        Rule.VOLUME_BINDING,
        world={
            "storage_classes": (replace(CLOUD, has_capacity_tracking=True),),
            "volume_claims": (a_claim("data", storage_class="cloud"),),
            "storage_capacities": (
                StorageCapacity(storage_class="cloud", nodes=labelled(rack="r0"), capacity_bytes=GIB),
                StorageCapacity(storage_class="cloud", nodes=labelled(rack="r1"), capacity_bytes=10 * GIB),
                StorageCapacity(
                    storage_class="cloud",
                    nodes=labelled(rack="r0"),
                    capacity_bytes=90 * GIB,
                    maximum_volume_bytes=GIB,
                ),
                StorageCapacity(storage_class="cloud", nodes=None, capacity_bytes=90 * GIB),
                StorageCapacity(storage_class="other", nodes=LabelSelector(), capacity_bytes=90 * GIB),
            ),
        },
    ),
    Row(
        "volume_claims",
        "a claim whose node is selected stays there",
        a_spec(volume_claims=("data",)),
        "n1",
        Rule.VOLUME_BINDING,
        world={
            "storage_classes": (CLOUD,),
            "volume_claims": (a_claim("data", storage_class="cloud", selected_node="n1"),),
        },
    ),
    Row(
        "volume_claims",
        "a volume of another zone is out of reach; a node without zone is not asked",
        a_spec(volume_claims=("data",)),
        "n0 n2 n3",
        Rule.VOLUME_ZONE,
        nodes=(
            a_node("n0", labels={"topology.kubernetes.io/zone": "a"}),
            a_node("n1", labels={"topology.kubernetes.io/zone": "b"}),
            a_node("n2", labels={"topology.kubernetes.io/zone": "c"}),
            a_node("n3"),
        ),
        world={
            "volume_claims": (a_claim("data", volume="pv"),),
            "volumes": (a_volume("pv", labels=(("failure-domain.beta.kubernetes.io/zone", "a__c"),)),),
        },
    ),
    Row(
        "volume_claims",
        "a ReadWriteOncePod claim in use rules out every node",
        a_spec(volume_claims=("data",)),
        "",
        Rule.VOLUME_RESTRICTIONS,
        pods=(a_pod("user", a_spec(volume_claims=("data",)), node="n0"),),
        world={
            "volume_claims": (a_claim("data", volume="pv", access_modes=("ReadWriteOncePod",)),),
            "volumes": (a_volume("pv"),),
        },
    ),
    Row(
        "volume_claims",
        "a node attaches no more volumes than its CSI driver allows, each counted once",
        a_spec(volume_claims=("b",)),
        "n1 n2 n3",
        Rule.NODE_VOLUME_LIMITS,
        nodes=tuple(a_node(f"n{i}", attachable=(("csi", 1),) if i < 3 else ()) for i in range(4)),
        pods=(
            a_pod("x", a_spec(volume_claims=("a",)), node="n0"),
            a_pod("y", a_spec(volume_claims=("b",)), node="n1"),
            a_pod("z", a_spec(volume_claims=("a",)), node="n3"),
        ),
        world={
            "volume_claims": (a_claim("a", volume="pva"), a_claim("b", volume="pvb")),
            "volumes": (
                a_volume("pva", csi_driver="csi", csi_handle="a"),
                a_volume("pvb", csi_driver="csi", csi_handle="b"),
            ),
        },
    ),
    Row(
        "config_maps",
        "every ConfigMap must exist",
        a_spec(config_maps=("settings", "gone")),
        "",
        Rule.CONFIG_MAP,
        world={"config_maps": frozenset({"team/settings"})},
    ),
    Row(
        "runtime_class",
        "a confidential GPU runtime needs its TEE and a settled confidential mode",
        a_spec(gpus=1, runtime_class="kata-qemu-nvidia-gpu-snp"),
        "n0",
        Rule.CONFIDENTIAL,
        nodes=tuple(
            a_node(
                f"n{i}",
                labels={
                    "amd.feature.node.kubernetes.io/snp": tee,
                    "nvidia.com/cc.mode": mode,
                    "nvidia.com/cc.mode.state": state,
                    "nvidia.com/cc.ready.state": "true",
                },
            )
            for i, (tee, mode, state) in enumerate(
                (("true", "on", "on"), ("false", "on", "on"), ("true", "off", "off"), ("true", "on", "ppcie"))
            )
        ),
        without_allowed="n2",
    ),
    Row(
        "requests",
        "restricted scheduling keeps GPU pods on GPU workers and MIG pods on MIG nodes",
        replace(a_spec(), requests=amounts({"nvidia.com/mig-1g.5gb": 1, "cpu": 1})),
        "n1",
        Rule.NODE_ROLE,
        nodes=(
            a_node("n0", labels={"node-role.kubernetes.io/gpu-worker": ""}),
            a_node(
                "n1",
                labels={
                    "node-role.kubernetes.io/gpu-worker": "",
                    "node-role.kubernetes.io/mig-enabled": "",
                },
            ),
            a_node("n2", labels={"node-role.kubernetes.io/cpu-worker": ""}),
            a_node("n3", labels={"node-role.kubernetes.io/cpu-worker": ""}),
        ),
        policy=Policy(restrict_node_scheduling=True),
        without=replace(a_spec(), requests=amounts({GPU: 1, "cpu": 1})),
        without_allowed="n0 n1",
    ),
]


def allowed_nodes(row, spec):
    """Names of the nodes that static and dynamic rules allow, and the rules that took the others."""
    snapshot = a_snapshot(nodes=row.nodes, pods=(*row.pods, a_pod("new", spec)), **(row.world or {}))
    table = NodeTable.build(snapshot.fleet)
    static = static_mask(table, StaticFacts.of(snapshot, row.policy), spec)
    dynamic = DynamicRules.of(table, snapshot)
    mask = dynamic.mask(spec)
    allowed = static.allowed if mask is None else static.allowed & mask
    eliminations = (*static.eliminated, *dynamic.eliminations(spec, static.allowed))
    assert sum(each.count for each in eliminations) == len(table) - int(allowed.sum())
    return " ".join(table.nodes[index].name for index in np.flatnonzero(allowed)), {
        each.rule for each in eliminations
    }


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_field_is_honoured(row):
    allowed, rules = allowed_nodes(row, row.spec)
    assert allowed == row.allowed
    assert row.rule in rules


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_without_the_field_other_nodes_are_allowed(row):
    default = {field.name: field.default for field in fields(PodSpec)}
    without = row.without or replace(row.spec, **{row.field: default[row.field]})
    allowed, _ = allowed_nodes(row, without)
    assert allowed == row.without_allowed
    assert allowed != row.allowed


# Fields that no node rule reads, and where they are honoured.
ELSEWHERE = {
    "namespace": "part of every rule above that speaks of pods or claims",
    "labels": "read by the affinity and spread rows",
    "gpu_share": "counted by the engines",
    "extended": "its sums are requests; which claim is made for it: tests of extended resources",
    "preferred_node_affinity": "a preference: tests of soft scores",
    "unsupported": "a verdict, not a node rule",
}


def test_every_field_of_a_pod_spec_has_a_row():
    assert {row.field for row in ROWS} | set(ELSEWHERE) == {field.name for field in fields(PodSpec)}
