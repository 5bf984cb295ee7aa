"""Rows of what a pod's node must be: its state, what the pod selects, volumes, and the pods beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kai_sched.model.ids import NodeName
from kai_sched.model.nodes import Node
from kai_sched.model.plan import Placement, Plan, VolumePlacement
from kai_sched.model.pods import PodTable
from kai_sched.model.selectors import (
    LabelSelector,
    NodeSelector,
    NodeSelectorTerm,
    Operator,
    Requirement,
    Taint,
)
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.volumes import StorageClass, Volume, VolumeClaim
from kai_sched.model.workloads import HostPort, PodAffinityTerm, TopologySpread
from kai_sched.placement.checker import ViolationKind as Kind
from tests.builders import GIB, a_group, a_node, a_pod, a_snapshot, a_spec
from tests.tamper.row import (
    GREEDY,
    Row,
    Tamper,
    binds,
    nodes_with,
    plan_with,
    specs_with,
    to,
    world_with,
)

HOST: Final = "kubernetes.io/hostname"
LOCAL = StorageClass(name="local", waits_for_consumer=True, provisioner="kubernetes.io/no-provisioner")
CLOUD = StorageClass(name="cloud", waits_for_consumer=True, provisioner="csi.example.com")
CONFIDENTIAL = (("nvidia.com/cc.mode", "on"), ("nvidia.com/cc.mode.state", "on"))
WHOLE = (("nvidia.com/cc.mode", "ppcie"), ("nvidia.com/cc.mode.state", "ppcie"))


def on(name: str) -> NodeSelector:
    return NodeSelector((NodeSelectorTerm((Requirement(HOST, Operator.IN, (name,)),)),))


def near(app: str) -> PodAffinityTerm:
    return PodAffinityTerm(HOST, LabelSelector((Requirement("app", Operator.IN, (app,)),)), ("team",))


def two_pods() -> ClusterSnapshot:
    """Two pods on one node of two; pod ``there`` runs on the same node."""
    pods = [
        a_pod(name, a_spec(labels=(("app", name),)), group=f"g{name}", node=node)
        for name, node in (("a", None), ("b", None), ("there", "n1"))
    ]
    groups = [a_group(f"g{name}") for name in ("a", "b", "there")]
    return a_snapshot(
        nodes=[a_node("n1"), a_node("n2", gpus=0)], pods=pods, groups=groups, config_maps=frozenset()
    )


def with_volumes() -> ClusterSnapshot:
    """Pod a has a bound claim, pod b one that takes volume ``free``, pod c one for which a volume is made."""
    claims = [
        VolumeClaim(key="team/bound", uid="u-bound", storage_class="local", volume="v"),
        VolumeClaim(key="team/open", uid="u-open", storage_class="local", capacity_bytes=GIB),
        VolumeClaim(key="team/new", uid="u-new", storage_class="cloud", capacity_bytes=GIB),
    ]
    volumes = [
        Volume(name="free", storage_class="local", capacity_bytes=GIB, node_affinity=on("n1")),
        Volume(name="v", storage_class="local", csi_driver="disk.example.com", csi_handle="h", phase="Bound"),
    ]
    pods = [
        a_pod(name, a_spec(volume_claims=(claim,)), group=f"g{name}")
        for name, claim in (("a", "bound"), ("b", "open"), ("c", "new"))
    ]
    return a_snapshot(
        nodes=[a_node("n1"), a_node("n2", gpus=0)],
        pods=pods,
        groups=[a_group(f"g{name}") for name in "abc"],
        volume_claims=tuple(claims),
        volumes=tuple(volumes),
        storage_classes=(LOCAL, CLOUD),
    )


def volume_claims_with(name: str, **fields: object) -> Tamper:
    def change(snapshot: ClusterSnapshot) -> ClusterSnapshot:
        claims = tuple(
            replace(one, **fields) if one.key == f"team/{name}" else one  # type: ignore[arg-type]
            for one in snapshot.volume_claims
        )
        return replace(snapshot, volume_claims=claims)

    return world_with(change)


def volumes_with(**fields: object) -> Tamper:
    def change(snapshot: ClusterSnapshot) -> ClusterSnapshot:
        volumes = tuple(replace(one, **fields) for one in snapshot.volumes)  # type: ignore[arg-type]
        return replace(snapshot, volumes=volumes)

    return world_with(change)


def labelled(*labels: tuple[str, str]) -> Tamper:
    def change(snapshot: ClusterSnapshot) -> ClusterSnapshot:
        nodes: tuple[Node, ...] = tuple(
            replace(node, labels=tuple(sorted((*node.labels, *labels)))) for node in snapshot.fleet.nodes
        )
        return replace(snapshot, fleet=replace(snapshot.fleet, nodes=nodes))

    return world_with(change)


def specs_of(**specs: dict[str, object]) -> Tamper:
    """Fields of single pods' specs."""

    def change(snapshot: ClusterSnapshot) -> ClusterSnapshot:
        pods = []
        for pod in snapshot.pods:
            fields = specs.get(pod.key.partition("/")[2], {})
            pods.append(replace(pod, spec=replace(pod.spec, **fields)))  # type: ignore[arg-type]
        return replace(snapshot, pods=PodTable(pods))

    return world_with(change)


def decided(name: str, *volumes: VolumePlacement) -> Tamper:
    return binds(lambda one: replace(one, volumes=volumes), only=name)


def _same_volume_twice(snapshot: ClusterSnapshot, plan: Plan) -> tuple[ClusterSnapshot, Plan]:
    second = VolumeClaim(key="team/new", uid="u-new", storage_class="local", capacity_bytes=GIB)
    claims = tuple(second if one.key == second.key else one for one in snapshot.volume_claims)
    taken = (VolumePlacement(claim="team/new", uid="u-new", volume="free"),)  # type: ignore[arg-type]
    return replace(snapshot, volume_claims=claims), decided("c", *taken)(snapshot, plan)[1]


def _apart(snapshot: ClusterSnapshot, plan: Plan) -> tuple[ClusterSnapshot, Plan]:
    """Pod a uses the claim of pod c, too, on the other node."""
    mine = next(one.volumes for one in plan.binds if one.pod == "team/c")

    def change(one: Placement) -> Placement:
        return replace(one, node=NodeName("n2"), volumes=mine) if one.pod == "team/a" else one

    world, _ = specs_with(["a"], volume_claims=("new",))(snapshot, plan)
    return world, replace(plan, binds=tuple(map(change, plan.binds)))


def _later(plan: Plan) -> Plan:
    return replace(plan, binds=(), pipelined=plan.binds)


_ALONE: Final = "a pod's node is one that its own fields admit"
_ROLES: Final = "GPU pods go to GPU workers where nodes have roles"
_MODE: Final = "GPUs in a confidential mode serve confidential pods, in some modes one pod alone"
_DISKS: Final = "a pod's volumes can be had on its node"
_DECIDED: Final = "every claim that waits for its first consumer gets one volume that serves it"
_BESIDE: Final = "a pod's node is one that the pods there admit"
_TAINT: Final = Taint("dedicated", "infra", "NoSchedule")
_NOBODY: Final = (Requirement("rack", Operator.EXISTS),)

ROWS_OF_RULES: Final = [
    Row(Kind.STATIC_RULE, _ALONE, "cordons forgotten", two_pods, nodes_with(is_cordoned=True), "is cordoned"),
    Row(
        Kind.STATIC_RULE, _ALONE, "readiness forgotten", two_pods, nodes_with(is_ready=False), "is not ready"
    ),
    Row(
        Kind.STATIC_RULE,
        _ALONE,
        "taints forgotten",
        two_pods,
        nodes_with(taints=(_TAINT,)),
        "taint dedicated",
    ),
    Row(
        Kind.STATIC_RULE,
        _ALONE,
        "node selectors forgotten",
        two_pods,
        specs_with(node_selector=(("rack", "r"),)),
        "wants rack=r",
    ),
    Row(
        Kind.STATIC_RULE,
        _ALONE,
        "node affinity forgotten",
        two_pods,
        specs_with(required_node_affinity=NodeSelector((NodeSelectorTerm(_NOBODY),))),
        "node affinity excludes it",
    ),
    Row(
        Kind.STATIC_RULE,
        _ALONE,
        "config maps forgotten",
        two_pods,
        specs_with(config_maps=("c",)),
        "ConfigMap c does not exist",
    ),
    Row(
        Kind.STATIC_RULE,
        _MODE,
        "modes forgotten",
        two_pods,
        labelled(*CONFIDENTIAL),
        "in a confidential mode",
    ),
    Row(Kind.STATIC_RULE, _MODE, "part of a whole node", two_pods, labelled(*WHOLE), "go to one pod"),
    Row(
        Kind.STATIC_RULE,
        _MODE,
        "trusted environments forgotten",
        two_pods,
        specs_with(runtime_class="kata-snp"),
        "trusted execution environment",
    ),
    Row(
        Kind.STATIC_RULE,
        _DISKS,
        "a claim that does not exist",
        with_volumes,
        specs_with(volume_claims=("x",)),
        "PersistentVolumeClaim x does not exist",
    ),
    Row(
        Kind.STATIC_RULE,
        _DISKS,
        "a claim that is being deleted",
        with_volumes,
        volume_claims_with("bound", is_deleting=True),
        "is being deleted",
    ),
    Row(
        Kind.STATIC_RULE,
        _DISKS,
        "a volume of another node",
        with_volumes,
        volumes_with(node_affinity=on("n2")),
        "which it does not reach",
    ),
    Row(
        Kind.STATIC_RULE,
        _DISKS,
        "a volume of another zone",
        with_volumes,
        lambda snapshot, plan: labelled(("topology.kubernetes.io/zone", "z1"))(
            volumes_with(labels=(("topology.kubernetes.io/zone", "z2"),))(snapshot, plan)[0], plan
        ),
        "which it does not reach",
    ),
    Row(
        Kind.STATIC_RULE,
        _DISKS,
        "a claim made for another pod",
        with_volumes,
        specs_with(["a"], ephemeral_claims=(("bound", "u-x"),)),
        "was not made for it",
    ),
    Row(
        Kind.STATIC_RULE,
        _DISKS,
        "a node without the driver",
        with_volumes,
        nodes_with(missing_drivers=("disk.example.com",)),
        "lacks CSI driver",
    ),
    Row(
        Kind.STATIC_RULE,
        _DISKS,
        "no volume to be had",
        with_volumes,
        volumes_with(is_deleting=True),
        "can get no volume there",
    ),
    Row(Kind.DYNAMIC_RULE, _DECIDED, "no volume decided", with_volumes, decided("b"), "without volume are"),
    Row(
        Kind.DYNAMIC_RULE,
        _DECIDED,
        "a volume that is too small",
        with_volumes,
        volume_claims_with("open", capacity_bytes=2 * GIB),
        "does not serve claim",
    ),
    Row(
        Kind.DYNAMIC_RULE,
        _DECIDED,
        "a claim made again since",
        with_volumes,
        volume_claims_with("open", uid="newer"),
        "has uid newer",
    ),
    Row(
        Kind.DYNAMIC_RULE,
        _DECIDED,
        "one volume for two claims",
        with_volumes,
        _same_volume_twice,
        "is given to",
    ),
    Row(
        Kind.DYNAMIC_RULE,
        _DECIDED,
        "a volume made where its class allows none",
        with_volumes,
        world_with(
            lambda snapshot: replace(
                snapshot, storage_classes=(LOCAL, replace(CLOUD, allowed_topologies=on("n2")))
            )
        ),
        "no volume can be made",
    ),
    Row(Kind.DYNAMIC_RULE, _DECIDED, "pods of one claim apart", with_volumes, _apart, "for another pod"),
    Row(
        Kind.DYNAMIC_RULE,
        _DECIDED,
        "volumes for pods that wait",
        with_volumes,
        plan_with(_later),
        "yet volumes are bound",
    ),
    Row(
        Kind.DYNAMIC_RULE,
        _BESIDE,
        "one host port twice",
        two_pods,
        specs_with(host_ports=(HostPort(80),)),
        "host port 80/TCP is taken",
    ),
    Row(
        Kind.DYNAMIC_RULE,
        _BESIDE,
        "one disk for two writers",
        two_pods,
        specs_with(inline_volumes=(("gcePersistentDisk", "d", False),)),
        "is in use there",
    ),
    Row(
        Kind.DYNAMIC_RULE,
        _BESIDE,
        "a claim for one pod shared",
        with_volumes,
        lambda snapshot, plan: specs_with(["a", "b"], volume_claims=("bound",))(
            volume_claims_with("bound", access_modes=("ReadWriteOncePod",))(snapshot, plan)[0], plan
        ),
        "is for one pod",
    ),
    Row(
        Kind.DYNAMIC_RULE,
        _BESIDE,
        "more volumes than a node can have",
        with_volumes,
        nodes_with(attachable=(("disk.example.com", 0),)),
        "0 is the most",
    ),
    Row(
        Kind.DYNAMIC_RULE,
        _BESIDE,
        "anti-affinity forgotten",
        two_pods,
        specs_of(a={"pod_anti_affinity": (near("there"),)}),
        "its anti-affinity avoids",
    ),
    Row(
        Kind.DYNAMIC_RULE,
        _BESIDE,
        "anti-affinity of those who are there forgotten",
        two_pods,
        specs_of(there={"pod_anti_affinity": (near("a"),)}),
        "whose anti-affinity avoids it",
    ),
    Row(
        Kind.DYNAMIC_RULE,
        _BESIDE,
        "affinity forgotten",
        two_pods,
        specs_of(a={"pod_affinity": (near("nobody"),)}),
        "that its affinity asks for",
    ),
    Row(
        Kind.DYNAMIC_RULE,
        _BESIDE,
        "spread forgotten",
        two_pods,
        specs_with(
            labels=(("app", "x"),),
            topology_spread=(
                TopologySpread(HOST, 1, LabelSelector((Requirement("app", Operator.IN, ("x",)),)), True),
            ),
        ),
        "too unevenly",
    ),
]


def with_roles() -> ClusterSnapshot:
    """A GPU worker, a CPU worker that has GPUs, too, and a pod for GPUs."""
    nodes = [
        a_node("n1", labels={"node-role.kubernetes.io/gpu-worker": ""}),
        a_node("n2", labels={"node-role.kubernetes.io/cpu-worker": ""}),
    ]
    return a_snapshot(nodes=nodes, pods=[a_pod("p", group="g")], groups=[a_group("g")])


ROWS_OF_RULES.append(
    Row(
        Kind.STATIC_RULE,
        _ROLES,
        "roles forgotten",
        with_roles,
        to("n2"),
        "lacks the label node-role.kubernetes.io/gpu-worker",
        policy=replace(GREEDY, restrict_node_scheduling=True),
    )
)
