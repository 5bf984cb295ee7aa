"""Clusters in which much runs already, in queues whose quotas have changed since, and others wait for room."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from kai_sched.model.ids import PodGroupKey, PodKey, QueueName, Uid
from kai_sched.model.pods import PodTable
from kai_sched.model.policy import Policy
from kai_sched.model.queues import Queue
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import HOLDS_ROOM, Pod, PodGroup
from kai_sched.planning.cycle import plan_cycle
from kai_sched.sim.engine import apply_plan
from tests.builders import GPU, NOW, a_group, a_pod, a_queue, a_spec
from tests.strategies.clusters import groups, snapshots

LEAVES = ("team-a", "team-b", "lone")


@st.composite
def crowded_snapshots(draw: st.DrawFn) -> ClusterSnapshot:
    """What ``snapshots`` draws, carried out once in queues without bounds, nodes filled up; then newcomers."""
    before = draw(snapshots())
    free = tuple(replace(queue, gpu=replace(queue.gpu, deserved=-1.0, limit=-1.0)) for queue in before.queues)
    easy = replace(before, queues=free)
    begun = apply_plan(easy, plan_cycle(easy, Policy(use_solver=False, advice_units=0)))
    running = tuple(_aged(draw, group) for group in begun.pod_groups)
    fillers = _fillers(draw, begun)
    names = [str(node.name) for node in begun.fleet.nodes]
    newcomers = [_renamed(draw, *draw(groups(index, names))) for index in range(draw(st.integers(1, 3)))]
    waiting = [pod for _, found in newcomers for pod in found if pod.node is None and not pod.claims]
    every = (*running, *(group for _, group in fillers), *(group for group, _ in newcomers))
    return replace(
        begun,
        queues=draw(tight_quota_trees()),
        pod_groups=tuple(sorted(every, key=lambda one: one.key)),
        pods=PodTable.sorted_by_key([*begun.pods, *(pod for pod, _ in fillers), *waiting]),
    )


@st.composite
def tight_quota_trees(draw: st.DrawFn) -> tuple[Queue, ...]:
    """As ``quota_trees``, with quotas that somebody is short of; some queues protect what has just begun."""
    quota = st.sampled_from([0.0, 1.0, 2.0, 4.0, 8.0, -1.0])
    limit = st.sampled_from([-1.0] * 9 + [4.0])
    runtime = st.sampled_from([None, None, None, 60.0, 6000.0])

    def queue(name: str, parent: str | None) -> Queue:
        deserved, most = draw(quota), draw(limit)
        return a_queue(
            name,
            parent=parent,
            gpu=min(deserved, most) if most >= 0 else deserved,
            limit=most,
            weight=draw(st.sampled_from([0.0, 1.0, 1.0, 2.0])),
            preempt_min_runtime_seconds=draw(runtime),
            reclaim_min_runtime_seconds=draw(runtime),
        )

    return (queue("dept", None), queue("team-a", "dept"), queue("team-b", "dept"), queue("lone", None))


def _aged(draw: st.DrawFn, group: PodGroup) -> PodGroup:
    return replace(
        group,
        queue=QueueName(draw(st.sampled_from(LEAVES))),
        is_preemptible=draw(st.sampled_from([True, True, True, False])),
        priority=draw(st.sampled_from([40, 50, 75])),
        last_start_at=draw(st.sampled_from([None, NOW - 5, NOW - 500, NOW - 50_000])),
    )


def _fillers(draw: st.DrawFn, snapshot: ClusterSnapshot) -> list[tuple[Pod, PodGroup]]:
    """Gangs of one pod on GPUs of device plugins that are free still."""
    found: list[tuple[Pod, PodGroup]] = []
    for node in snapshot.fleet.nodes:
        used = sum(
            int(dict(pod.spec.requests).get(GPU, 0)) + len(pod.gpu_groups)
            for pod in snapshot.pods
            if pod.node == node.name and pod.state in HOLDS_ROOM
        )
        left = int(dict(node.allocatable).get(GPU, 0)) - used - draw(st.sampled_from([0, 0, 0, 1, 2]))
        while left > 0:
            size = draw(st.sampled_from([one for one in (1, 1, 2, 4, 8) if one <= left]))
            name = f"fill-{node.name}-{left}"
            found.append(
                (a_pod(name, a_spec(gpus=size, cpu=100), node=node.name), _aged(draw, a_group(name)))
            )
            left -= size
    return found


def _renamed(draw: st.DrawFn, group: PodGroup, pods: list[Pod]) -> tuple[PodGroup, list[Pod]]:
    key = PodGroupKey(f"{group.key}-new")
    changed = replace(
        group,
        key=key,
        uid=Uid(f"{group.uid}-new"),
        priority=draw(st.sampled_from([50, 90, 100])),
        is_preemptible=draw(st.sampled_from([True, True, False])),
    )
    return changed, [
        replace(pod, key=PodKey(f"{pod.key}-new"), uid=Uid(f"{pod.uid}-new"), group=key) for pod in pods
    ]
