"""Rows of the fields that speak of nodes, of pods near by, of ports and of configuration."""

from __future__ import annotations

from dataclasses import replace

from kai_sched.model.policy import Policy
from kai_sched.model.resources import amounts
from kai_sched.model.selectors import (
    NodeSelector,
    Taint,
    Toleration,
)
from kai_sched.model.workloads import HostPort, TopologySpread
from kai_sched.placement.rules.elimination import Rule
from tests.builders import GPU, a_node, a_pod, a_spec
from tests.unit.placement.field_row import (
    HOST,
    RACKS,
    TAINT,
    Row,
    app,
    labelled,
    near,
    node_named,
    rack,
)

ROWS_OF_NODES = [
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
