"""Full clusters of gangs at random, in queues that hold more than theirs, and one gang of a queue that is owed room."""

from __future__ import annotations

import random
from dataclasses import dataclass

from kai_sched.model.ids import NodeName, PodGroupKey, PodKey, QueueName, TopologyName, Uid
from kai_sched.model.nodes import Node
from kai_sched.model.pods import PodTable
from kai_sched.model.queues import Queue, QueueResource
from kai_sched.model.resources import amounts
from kai_sched.model.snapshot import ClusterSnapshot, Fleet
from kai_sched.model.topology import Level, Topology
from kai_sched.model.workloads import Pod, PodGroup, PodSpec, PodState, TopologyConstraint

NOW = 1_800_000_000.0
GPU = "nvidia.com/gpu"
GPUS = 8
NODES_A_RACK = 10
IT = PodGroupKey("team/it")
_FREE = QueueResource(-1, 1, -1)


@dataclass(frozen=True)
class Wish:
    """What waits: so many pods of so many GPUs, in one rack or anywhere."""

    pods: int
    gpus: int
    is_in_one_rack: bool = False

    def __str__(self) -> str:
        return f"{self.pods} x {self.gpus}{' in one rack' if self.is_in_one_rack else ''}"


WISHES = (Wish(1, 1), Wish(1, 8), Wish(4, 8), Wish(8, 2), Wish(3, 8, is_in_one_rack=True))


def a_spec(gpus: int) -> PodSpec:
    return PodSpec(namespace="team", requests=amounts({"cpu": 1000, "memory": 1 << 30, "pods": 1, GPU: gpus}))


def a_queue(name: str, quota: float, parent: str | None = "dept") -> Queue:
    return Queue(
        name=QueueName(name),
        uid=Uid(f"uid-{name}"),
        parent=QueueName(parent) if parent else None,
        gpu=QueueResource(quota, 1, -1),
        cpu=_FREE,
        memory=_FREE,
    )


def a_full_cluster(nodes: int, wish: Wish, seed: int) -> ClusterSnapshot:
    """Gangs of one to four pods of one to eight GPUs until every node is full; three of four may shrink or not."""
    dice = random.Random(seed)
    specs = {gpus: a_spec(gpus) for gpus in (1, 2, 4, 8)}
    free = dict.fromkeys(range(nodes), GPUS)
    pods: list[Pod] = []
    groups: list[PodGroup] = []
    while True:
        gpus, size = dice.choice((1, 1, 2, 4, 8)), dice.choice((1, 1, 2, 4))
        places = [node for node, left in free.items() if left >= gpus]
        if not places:
            smaller = [node for node, left in free.items() if left]
            if not smaller:
                break
            gpus, places = 1, smaller
        name = f"g{len(groups):04d}"
        chosen = [dice.choice(places) for _ in range(size)]
        seated = 0
        for node in chosen:
            if free[node] >= gpus:
                free[node] -= gpus
                pods.append(_running(f"{name}-{seated}", name, specs[gpus], node))
                seated += 1
        if seated:
            groups.append(_group(name, dice, seated))
    wanted = [_waiting(number, specs[wish.gpus]) for number in range(wish.pods)]
    capacity = float(nodes * GPUS)
    return ClusterSnapshot(
        fleet=Fleet(
            nodes=tuple(_node(number) for number in range(nodes)),
            topologies=(Topology(TopologyName("racks"), (Level("rack"), Level("kubernetes.io/hostname"))),),
        ),
        pods=PodTable.sorted_by_key([*pods, *wanted]),
        pod_groups=tuple(sorted((*groups, _it(wish)), key=lambda group: group.key)),
        queues=(
            a_queue("dept", capacity, None),
            a_queue("team-a", capacity / 2),
            a_queue("team-b", capacity / 4),
            a_queue("team-c", capacity / 4),
        ),
        now=NOW,
    )


def _node(number: int) -> Node:
    name = f"n{number:03d}"
    labels = {"kubernetes.io/hostname": name, "rack": f"r{number // NODES_A_RACK:02d}"}
    capacity = {"cpu": 256_000, "memory": 1 << 42, "pods": 110, GPU: GPUS}
    return Node(name=NodeName(name), labels=tuple(sorted(labels.items())), allocatable=amounts(capacity))


def _running(name: str, group: str, spec: PodSpec, node: int) -> Pod:
    return Pod(
        key=PodKey(f"team/{name}"),
        uid=Uid(f"uid-{name}"),
        spec=spec,
        state=PodState.RUNNING,
        group=PodGroupKey(f"team/{group}"),
        node=NodeName(f"n{node:03d}"),
        created_at=NOW - 1000,
    )


def _group(name: str, dice: random.Random, size: int) -> PodGroup:
    began = NOW - dice.expovariate(1 / 36_000)
    return PodGroup(
        key=PodGroupKey(f"team/{name}"),
        uid=Uid(f"uid-pg-{name}"),
        queue=QueueName(dice.choice(("team-b", "team-c"))),
        min_member=dice.choice((size, size, size, 1)),
        priority=dice.choice((40, 50, 50, 75)),
        created_at=began,
        last_start_at=began,
    )


def _waiting(number: int, spec: PodSpec) -> Pod:
    return Pod(
        key=PodKey(f"team/it-{number}"),
        uid=Uid(f"uid-it-{number}"),
        spec=spec,
        state=PodState.PENDING,
        group=IT,
        created_at=NOW - 60,
    )


def _it(wish: Wish) -> PodGroup:
    return PodGroup(
        key=IT,
        uid=Uid("uid-pg-it"),
        queue=QueueName("team-a"),
        min_member=wish.pods,
        constraint=TopologyConstraint("racks", "rack", "") if wish.is_in_one_rack else None,
        created_at=NOW - 60,
    )
