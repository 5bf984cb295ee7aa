"""Builders that read like sentences: nodes, pods, gangs, queues and snapshots with everything unsaid left sane."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from kai_sched.model.ids import NodeName, PodGroupKey, PodKey, QueueName, TopologyName, Uid
from kai_sched.model.nodes import Node
from kai_sched.model.pods import PodTable
from kai_sched.model.queues import Queue, QueueResource
from kai_sched.model.resources import amounts
from kai_sched.model.snapshot import ClusterSnapshot, Fleet
from kai_sched.model.topology import Level, Topology
from kai_sched.model.workloads import Pod, PodGroup, PodSpec, PodState, TopologyConstraint

NOW = 1_800_000_000.0
GIB = 1 << 30
GPU = "nvidia.com/gpu"


def a_node(
    name: str,
    *,
    gpus: int = 8,
    cpu: int = 64_000,
    memory: int = 512 * GIB,
    pods: int = 110,
    labels: dict[str, str] | None = None,
    **more: object,
) -> Node:
    """A ready node with device-plugin GPUs."""
    all_labels = {"kubernetes.io/hostname": name, **(labels or {})}
    return Node(
        name=NodeName(name),
        labels=tuple(sorted(all_labels.items())),
        allocatable=amounts(
            {"cpu": cpu, "memory": memory, "pods": pods, "ephemeral-storage": 1000 * GIB, GPU: gpus}
        ),
        **more,  # type: ignore[arg-type]
    )


def a_spec(
    *, gpus: int = 1, cpu: int = 1000, memory: int = GIB, namespace: str = "team", **more: object
) -> PodSpec:
    """What a pod needs: by default one GPU."""
    return PodSpec(
        namespace=namespace,
        requests=amounts({"cpu": cpu, "memory": memory, "pods": 1, GPU: gpus}),
        **more,  # type: ignore[arg-type]
    )


def a_pod(
    name: str,
    spec: PodSpec | None = None,
    *,
    group: str | None = "",
    node: str | None = None,
    state: PodState | None = None,
    **more: object,
) -> Pod:
    """A pod; its own group unless ``group`` names one (None: another scheduler's)."""
    spec = spec or a_spec()
    key = f"{spec.namespace}/{name}"
    group_key = None if group is None else PodGroupKey(f"{spec.namespace}/{group}" if group else key)
    return Pod(
        key=PodKey(key),
        uid=Uid(f"uid-{key}"),
        spec=spec,
        state=state if state is not None else (PodState.RUNNING if node else PodState.PENDING),
        group=group_key,
        node=NodeName(node) if node else None,
        created_at=NOW - 60,
        **more,  # type: ignore[arg-type]
    )


def a_group(
    name: str,
    *,
    queue: str = "team-a",
    min_member: int = 1,
    namespace: str = "team",
    required: str = "",
    preferred: str = "",
    topology: str = "racks",
    **more: object,
) -> PodGroup:
    """A pod group."""
    constraint = TopologyConstraint(topology, required, preferred) if required or preferred else None
    return PodGroup(
        key=PodGroupKey(f"{namespace}/{name}"),
        uid=Uid(f"uid-pg-{namespace}/{name}"),
        queue=QueueName(queue),
        min_member=min_member,
        constraint=constraint,
        **{"created_at": NOW - 60, **more},  # type: ignore[arg-type]
    )


def a_queue(
    name: str,
    *,
    parent: str | None = "dept",
    gpu: float = -1,
    limit: float = -1,
    weight: float = 1,
    **more: object,
) -> Queue:
    """A queue with quota ``gpu`` (default unlimited) and no bounds on cpu and memory."""
    free = QueueResource(-1, 1, -1)
    return Queue(
        name=QueueName(name),
        uid=Uid(f"uid-q-{name}"),
        parent=QueueName(parent) if parent else None,
        gpu=QueueResource(gpu, weight, limit),
        cpu=free,
        memory=free,
        **more,  # type: ignore[arg-type]
    )


def racks(count: int, nodes_per_rack: int, *, gpus: int = 8) -> tuple[Node, ...]:
    """Nodes labelled ``rack`` r0, r1, ..."""
    return tuple(
        a_node(f"r{rack}-n{index:02d}", gpus=gpus, labels={"rack": f"r{rack}"})
        for rack in range(count)
        for index in range(nodes_per_rack)
    )


def a_snapshot(
    *,
    nodes: Iterable[Node] = (),
    pods: Iterable[Pod] = (),
    groups: Iterable[PodGroup] = (),
    queues: Sequence[Queue] | None = None,
    topologies: Sequence[Topology] | None = None,
    **more: object,
) -> ClusterSnapshot:
    """A snapshot; by default queues dept > team-a and a topology ``racks`` (rack, hostname)."""
    if queues is None:
        queues = (a_queue("dept", parent=None), a_queue("team-a"))
    if topologies is None:
        topologies = (Topology(TopologyName("racks"), (Level("rack"), Level("kubernetes.io/hostname"))),)
    fleet = Fleet(
        version=1, nodes=tuple(sorted(nodes, key=lambda node: node.name)), topologies=tuple(topologies)
    )
    fleet_fields = {key: more.pop(key) for key in ("slices", "device_classes", "taint_rules") if key in more}
    return ClusterSnapshot(
        now=NOW,
        fleet=replace(fleet, **fleet_fields),  # type: ignore[arg-type]
        pods=PodTable.sorted_by_key(pods),
        pod_groups=tuple(sorted(groups, key=lambda group: group.key)),
        queues=tuple(sorted(queues, key=lambda queue: queue.name)),
        **more,  # type: ignore[arg-type]
    )
