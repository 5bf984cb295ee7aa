"""Instances: synthetic clusters with pending work, each a function of its seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from kai_sched.model.ids import NodeName, PodGroupKey, PodKey, QueueName, TopologyName, Uid
from kai_sched.model.nodes import Node
from kai_sched.model.pods import PodTable
from kai_sched.model.queues import Queue, QueueResource
from kai_sched.model.resources import amounts
from kai_sched.model.snapshot import ClusterSnapshot, Fleet
from kai_sched.model.topology import Level, Topology
from kai_sched.model.workloads import Pod, PodGroup, PodSpec, PodState, SubGroup, TopologyConstraint

NOW = 1_800_000_000.0
GPU = "nvidia.com/gpu"
GIB = 1 << 30
GPUS_PER_NODE = 8
TOPOLOGY = Topology(
    TopologyName("fabric"),
    (Level("zone"), Level("block"), Level("rack"), Level("kubernetes.io/hostname")),
)
_FREE = QueueResource(-1, 1, -1)


@dataclass(frozen=True)
class Shape:
    """Zones, blocks of each, racks of each, nodes of each."""

    zones: int
    blocks: int
    racks: int
    nodes: int


def nodes_of(shape: Shape, most: int | None = None) -> tuple[Node, ...]:
    names = (
        (f"z{zone}", f"z{zone}-b{block}", f"z{zone}-b{block}-r{rack:02d}", node)
        for zone in range(shape.zones)
        for block in range(shape.blocks)
        for rack in range(shape.racks)
        for node in range(shape.nodes)
    )
    nodes = (a_node(*place) for place in names)
    return tuple(sorted(nodes, key=lambda node: node.name))[:most]


def a_node(zone: str, block: str, rack: str, position: int) -> Node:
    name = NodeName(f"{rack}-n{position:02d}")
    labels = {"zone": zone, "block": block, "rack": rack, "kubernetes.io/hostname": name}
    capacity = {"cpu": 128_000, "memory": 2048 * GIB, "pods": 110, GPU: GPUS_PER_NODE}
    return Node(name=name, labels=tuple(sorted(labels.items())), allocatable=amounts(capacity))


def a_spec(gpus: int) -> PodSpec:
    requests = {"cpu": 4000 * gpus, "memory": 32 * GIB * gpus, "pods": 1, GPU: gpus}
    return PodSpec(namespace="bench", requests=amounts(requests))


SPECS = {gpus: a_spec(gpus) for gpus in (1, 2, 4, 8)}


def a_pod(name: str, group: str, gpus: int, *, node: str | None = None, subgroup: str = "") -> Pod:
    return Pod(
        key=PodKey(f"bench/{name}"),
        uid=Uid(f"uid-{name}"),
        spec=SPECS[gpus],
        state=PodState.RUNNING if node else PodState.PENDING,
        group=PodGroupKey(f"bench/{group}"),
        subgroup=subgroup,
        node=NodeName(node) if node else None,
        created_at=NOW - 600,
    )


def a_group(
    name: str,
    minimum: int,
    *,
    required: str = "",
    preferred: str = "",
    priority: int = 50,
    sub_groups: tuple[SubGroup, ...] = (),
    created_at: float = NOW - 600,
) -> PodGroup:
    level = TopologyConstraint(TOPOLOGY.name, required, preferred)
    return PodGroup(
        key=PodGroupKey(f"bench/{name}"),
        uid=Uid(f"uid-g-{name}"),
        queue=QueueName("team"),
        min_member=minimum,
        sub_groups=sub_groups,
        constraint=level if required or preferred else None,
        priority=priority,
        created_at=created_at,
    )


def a_queue(name: str, parent: str | None) -> Queue:
    return Queue(
        name=QueueName(name),
        uid=Uid(f"uid-q-{name}"),
        parent=QueueName(parent) if parent else None,
        gpu=_FREE,
        cpu=_FREE,
        memory=_FREE,
    )


def a_snapshot(nodes: tuple[Node, ...], pods: list[Pod], groups: list[PodGroup]) -> ClusterSnapshot:
    return ClusterSnapshot(
        now=NOW,
        fleet=Fleet(version=1, nodes=nodes, topologies=(TOPOLOGY,)),
        pods=PodTable.sorted_by_key(pods),
        pod_groups=tuple(sorted(groups, key=lambda group: group.key)),
        queues=(a_queue("dept", None), a_queue("team", "dept")),
    )


def one_large_gang() -> ClusterSnapshot:
    """512 pods of 2 GPUs that prefer one rack, on 500 empty nodes."""
    pods = [a_pod(f"p{index:03d}", "gang", 2) for index in range(512)]
    return a_snapshot(nodes_of(Shape(4, 8, 8, 2), 500), pods, [a_group("gang", 512, preferred="rack")])


def fill_with_singles() -> ClusterSnapshot:
    """4000 pods of one GPU, each a gang of its own, on 500 empty nodes."""
    pods = [a_pod(f"p{index:04d}", f"g{index:04d}", 1) for index in range(4000)]
    groups = [a_group(f"g{index:04d}", 1) for index in range(4000)]
    return a_snapshot(nodes_of(Shape(4, 8, 8, 2), 500), pods, groups)


def no_room_for_a_gang() -> ClusterSnapshot:
    """A gang of 10 pods of 8 GPUs on 500 nodes that are full but for single GPUs here and there."""
    nodes = nodes_of(Shape(4, 8, 8, 2), 500)
    running = [
        a_pod(f"r{index:04d}-{gpu}", f"r{index:04d}", 1, node=node.name)
        for index, node in enumerate(nodes)
        for gpu in range(GPUS_PER_NODE - index % 3)
    ]
    groups = [a_group(f"r{index:04d}", 1) for index in range(len(nodes))]
    pods = [a_pod(f"p{index}", "gang", 8) for index in range(10)]
    return a_snapshot(nodes, [*running, *pods], [*groups, a_group("gang", 10)])


def crowded_racks(seed: int = 3) -> ClusterSnapshot:
    """20 gangs on 96 half-full nodes, most tied to one rack: what greedy strands, and spreads."""
    rng = random.Random(seed)
    nodes = nodes_of(Shape(1, 1, 12, 8))
    pods: list[Pod] = []
    groups: list[PodGroup] = []
    for index, node in enumerate(nodes):
        gpus = rng.choice((0, 0, 0, 2, 4))
        if gpus:
            pods.append(a_pod(f"r{index:03d}", f"r{index:03d}", gpus, node=node.name))
            groups.append(a_group(f"r{index:03d}", 1))
    for index in range(20):
        name, size, gpus = f"g{index:02d}", rng.randint(3, 14), rng.choice((1, 2, 4, 8))
        level = {"preferred": "rack"} if rng.random() < 0.7 else {"required": "rack"}
        pods += [a_pod(f"{name}-p{pod:02d}", name, gpus) for pod in range(size)]
        groups.append(a_group(name, size, created_at=NOW - 500 + index, **level))
    return a_snapshot(nodes, pods, groups)


def many_gangs(seed: int = 1) -> ClusterSnapshot:
    """200 gangs of 1,380 pods on 5000 nodes of 8 GPUs that are three quarters full and fragmented."""
    rng = random.Random(seed)
    nodes = nodes_of(Shape(1, 20, 16, 16), 5000)
    free = {node.name: GPUS_PER_NODE for node in nodes}
    pods: list[Pod] = []
    groups: list[PodGroup] = []
    for index, (node, gpus) in enumerate(_running(rng, nodes)):
        free[node.name] -= gpus
        pods.append(a_pod(f"r{index:05d}", f"r{index:05d}", gpus, node=node.name))
        groups.append(a_group(f"r{index:05d}", 1))
    for index, size in enumerate(_gang_sizes(rng, 200, 1380)):
        more, group = _a_gang(rng, index, size)
        pods += more
        groups.append(group)
    return a_snapshot(nodes, pods, groups)


def _running(rng: random.Random, nodes: tuple[Node, ...]) -> Iterator[tuple[Node, int]]:
    for node in nodes:
        left = 0 if rng.random() < 0.15 else GPUS_PER_NODE - rng.choice((0, 0, 0, 0, 1, 2, 4))
        while left:
            gpus = rng.choice([size for size in SPECS if size <= left])
            left -= gpus
            yield node, gpus


def _gang_sizes(rng: random.Random, gangs: int, pods: int) -> list[int]:
    """Many small gangs and a few large ones, ``pods`` in all."""
    sizes = [1] * int(0.4 * gangs)
    sizes += [rng.randint(2, 8) for _ in range(int(0.35 * gangs))]
    sizes += [rng.choice((8, 12, 16, 24, 32)) for _ in range(gangs - len(sizes))]
    while sum(sizes) < pods:
        sizes[rng.randrange(len(sizes) * 3 // 4, len(sizes))] += 1
    while sum(sizes) > pods:
        position = rng.randrange(len(sizes))
        sizes[position] -= sizes[position] > 1
    return sizes


def _a_gang(rng: random.Random, index: int, size: int) -> tuple[list[Pod], PodGroup]:
    name = f"g{index:03d}"
    priority = rng.choice((50, 50, 50, 75, 125))
    created_at = NOW - 500 + index
    if size >= 8 and rng.random() < 0.3:
        return _inference_gang(name, size, priority, created_at)
    gpus = rng.choice((1, 2, 4, 8)) if size < 8 else rng.choice((4, 8))
    level = rng.random()
    fits_rack = size * gpus <= 16 * GPUS_PER_NODE // 2
    group = a_group(
        name,
        size,
        required="rack" if size > 1 and fits_rack and level < 0.4 else "block" if 0.4 <= level < 0.6 else "",
        preferred="rack" if size > 1 and level >= 0.6 else "",
        priority=priority,
        created_at=created_at,
    )
    return [a_pod(f"{name}-p{pod:03d}", name, gpus) for pod in range(size)], group


def _inference_gang(name: str, size: int, priority: int, created_at: float) -> tuple[list[Pod], PodGroup]:
    """A leader, prefill and decode pods: each kind in one rack, all in one block."""
    counts = {"leader": (1, 1), "prefill": (size // 2, 4), "decode": (size - size // 2 - 1, 8)}
    in_rack = TopologyConstraint(TOPOLOGY.name, "rack", "")
    tree = tuple(
        SubGroup(name=part, min_member=count, constraint=in_rack) for part, (count, _) in counts.items()
    )
    pods = [
        a_pod(f"{name}-{part}-{index}", name, gpus, subgroup=part)
        for part, (count, gpus) in counts.items()
        for index in range(count)
    ]
    group = a_group(name, 1, required="block", priority=priority, sub_groups=tree, created_at=created_at)
    return pods, group
