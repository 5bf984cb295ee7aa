"""Stories of the stages reclaim and preempt: who leaves for team/it, worked out by hand from KAI's rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kai_sched.model.nodes import Node
from kai_sched.model.queues import Queue
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import GpuShare, Pod, PodGroup, PodState, SubGroup
from tests.builders import NOW, a_group, a_node, a_pod, a_queue, a_snapshot, a_spec, racks

Group = tuple[list[Pod], PodGroup]
HOUR = 3600.0


@dataclass(frozen=True)
class Story:
    """``leave``: names of the pods that are evicted, in any order; ``runs``: whether team/it gets a place."""

    snapshot: ClusterSnapshot
    leave: Sequence[str]
    runs: bool = True


def it(pods: int = 1, gpus: int = 1, *, minimum: int | None = None, **more: Any) -> Group:
    """Who waits, of team-a."""
    keys = {
        "queue",
        "required",
        "preferred",
        "priority",
        "is_preemptible",
        "created_at",
        "preemption_delay_seconds",
        "last_eviction_at",
        "sub_groups",
        "min_sub_group",
    }
    of_group = {key: more.pop(key) for key in keys & more.keys()}
    subgroup = more.pop("subgroup", "")
    members = [
        a_pod(f"it-{number}", a_spec(gpus=gpus, **more), group="it", subgroup=subgroup)
        for number in range(pods)
    ]
    return members, a_group("it", min_member=pods if minimum is None else minimum, **of_group)


def run(
    name: str,
    where: Sequence[str],
    gpus: int = 1,
    *,
    queue: str = "team-b",
    minimum: int | None = None,
    hours: float = 1.0,
    **more: Any,
) -> Group:
    """Who runs, a pod on each of these nodes, for so long."""
    of_group = {key: more.pop(key) for key in {"priority", "is_preemptible", "problem"} & more.keys()}
    members = [
        a_pod(f"{name}-{number}", a_spec(gpus=gpus, **more), group=name, node=node)
        for number, node in enumerate(where)
    ]
    group = a_group(
        name,
        queue=queue,
        min_member=len(where) if minimum is None else minimum,
        created_at=NOW - hours * HOUR,
        last_start_at=NOW - hours * HOUR,
        **of_group,
    )
    return members, group


def teams(a: float = 4, b: float = 4, **of_b: Any) -> list[Queue]:
    """Two teams with quotas."""
    return [a_queue("dept", parent=None), a_queue("team-a", gpu=a), a_queue("team-b", gpu=b, **of_b)]


def two_departments(**quota: float) -> list[Queue]:
    """Each with two teams."""
    names = {"dept-1": None, "dept-2": None, "team-a": "dept-1", "team-c": "dept-1"}
    names |= {"team-b": "dept-2", "team-d": "dept-2"}
    return [
        a_queue(name, parent=parent, gpu=quota.get(name.replace("-", "_"), 4))
        for name, parent in names.items()
    ]


def world(
    nodes: Sequence[Node], *groups: Group, queues: Sequence[Queue] | None = None, **more: Any
) -> ClusterSnapshot:
    return a_snapshot(
        nodes=nodes,
        pods=[pod for pods, _ in groups for pod in pods],
        groups=[group for _, group in groups],
        queues=queues or teams(),
        **more,
    )


def singles(count: int, node: str = "n0", **more: Any) -> list[Group]:
    """Gangs of one pod with one GPU; the later the name, the longer it runs."""
    return [run(f"s{number}", [node], hours=1.0 + number, **more) for number in range(count)]


def n(count: int = 1, **more: Any) -> list[Node]:
    return [a_node(f"n{number}", **more) for number in range(count)]


def with_min_runtime(queues: list[Queue], name: str, **seconds: float) -> list[Queue]:
    return [replace(queue, **seconds) if queue.name == name else queue for queue in queues]  # type: ignore[arg-type]


LOW, HIGH = {"priority": 40}, {"priority": 90}
MINE = {"queue": "team-a"}

RECLAIM: dict[str, Callable[[], Story]] = {
    "a queue below its share takes one GPU back, from who has lost least": lambda: Story(
        world(n(), *singles(8), it()), ["s0-0"]
    ),
    "it takes back all of its share at once": lambda: Story(
        world(n(), *singles(8), it(4)), ["s0-0", "s1-0", "s2-0", "s3-0"]
    ),
    "beyond its fair share nobody leaves": lambda: Story(world(n(), *singles(8), it(5)), [], runs=False),
    "a pod above its fair share gets nothing either": lambda: Story(
        world(n(), *singles(8), it(1, 5)), [], runs=False
    ),
    "a queue within its quota loses nothing to who has used its own up": lambda: Story(
        world(n(), *singles(4), run("mine", ["n0"] * 4, **MINE), it()), [], runs=False
    ),
    "a queue within its quota loses nothing to a queue without quota": lambda: Story(
        world(n(gpus=4), *singles(4), it(), queues=teams(0, 4)), [], runs=False
    ),
    "what nobody has a quota for is divided evenly, and taken back evenly": lambda: Story(
        world(n(), *singles(8), it(4), queues=teams(0, 0)), ["s0-0", "s1-0", "s2-0", "s3-0"]
    ),
    "weights say how much of it": lambda: Story(
        world(n(), *singles(8), it(3), queues=teams(0, 0, weight=3)), [], runs=False
    ),
    "and no more": lambda: Story(
        world(n(), *singles(8), it(2), queues=teams(0, 0, weight=3)), ["s0-0", "s1-0"]
    ),
    "work that cannot be taken back is not": lambda: Story(
        world(n(), *singles(8, is_preemptible=False), it()), [], runs=False
    ),
    "of two gangs the one of lower priority leaves, however long it ran": lambda: Story(
        world(n(), run("a", ["n0"] * 4, **HIGH), run("b", ["n0"] * 4, hours=90, **LOW), it(2)),
        ["b-0", "b-1", "b-2", "b-3"],
    ),
    "of two gangs of one priority the one that loses less work": lambda: Story(
        world(n(), run("a", ["n0"] * 4, hours=5), run("b", ["n0"] * 4, hours=2), it(2)),
        ["b-0", "b-1", "b-2", "b-3"],
    ),
    "one gang rather than two, though two lose less work": lambda: Story(
        world(n(), run("big", ["n0"], 2, hours=9), *singles(6), it(1, 2)), ["big-0"]
    ),
    "an elastic gang loses what is above its minimum, the last pods first": lambda: Story(
        world(n(), run("el", ["n0"] * 8, minimum=4), it(3)), ["el-7", "el-6", "el-5"]
    ),
    "an elastic gang keeps its minimum where something else is enough": lambda: Story(
        world(n(), run("el", ["n0"] * 6, minimum=5), *singles(2, priority=40), it(2)), ["el-5", "s0-0"]
    ),
    "a gang without surplus leaves as a whole": lambda: Story(
        world(n(2), run("g", ["n0", "n1"], 8), it(1, 4)), ["g-0", "g-1"]
    ),
    "who gives a node whole leaves, not who is spread over many": lambda: Story(
        world(
            n(2),
            *(run(f"x{k}", ["n0"], hours=1 + k) for k in range(8)),
            run("whole", ["n1"], 8, hours=50),
            it(1, 8),
            queues=teams(8, 8),
        ),
        ["whole-0"],
    ),
    "on a busier node nobody leaves if a freer one needs fewer": lambda: Story(
        world(
            n(2),
            *singles(8),
            *(run(f"y{k}", ["n1"], hours=1) for k in range(6)),
            it(1, 3),
            queues=teams(8, 8),
        ),
        ["y0-0"],
    ),
    "a gang that must lie in one rack clears one rack": lambda: Story(
        world(
            racks(2, 2),
            run("a", ["r0-n00"], 8, hours=1),
            run("b", ["r0-n01"], 8, hours=9),
            run("c", ["r1-n00"], 8, hours=2),
            run("d", ["r1-n01"], 8, hours=3),
            it(2, 8, required="rack"),
            queues=teams(16, 16),
        ),
        ["c-0", "d-0"],
    ),
    "a gang is reclaimed for only where it then fits": lambda: Story(
        world(n(), *singles(8), it(1, 4, node_selector=(("zone", "nowhere"),))), [], runs=False
    ),
    "the limit of its queue is no reason to make others leave": lambda: Story(
        world(
            n(),
            *singles(8),
            it(3),
            queues=[
                a_queue("dept", parent=None),
                a_queue("team-a", gpu=2, limit=2),
                a_queue("team-b", gpu=4),
            ],
        ),
        [],
        runs=False,
    ),
    "under a common limit, who holds too much of it leaves": lambda: Story(
        world(
            n(2),
            *singles(8),
            it(2),
            queues=[
                a_queue("dept", parent=None, limit=8),
                a_queue("team-a", gpu=4),
                a_queue("team-b", gpu=4),
            ],
        ),
        ["s0-0", "s1-0"],
    ),
    "a department takes back from another department": lambda: Story(
        world(
            n(2),
            *(run(f"b{k}", ["n0"], hours=1 + k) for k in range(8)),
            *(run(f"d{k}", ["n1"], queue="team-d", hours=20 + k) for k in range(8)),
            it(2),
            queues=two_departments(dept_1=8, dept_2=8),
        ),
        ["b0-0", "b1-0"],
    ),
    "within its department a team takes from its sister, not from the other department": lambda: Story(
        world(
            n(2),
            *(run(f"c{k}", ["n0"], queue="team-c", hours=50 + k) for k in range(8)),
            *(run(f"b{k}", ["n1"], hours=1) for k in range(4)),
            *(run(f"d{k}", ["n1"], queue="team-d", hours=1) for k in range(4)),
            it(2),
            queues=two_departments(dept_1=8, dept_2=8),
        ),
        ["c0-0", "c1-0"],
    ),
    "who has not run for long enough keeps its minimum": lambda: Story(
        world(
            n(),
            run("young", ["n0"] * 4, hours=0.1),
            run("old", ["n0"] * 4, hours=9),
            it(2),
            queues=with_min_runtime(teams(), "team-b", reclaim_min_runtime_seconds=HOUR),
        ),
        ["old-0", "old-1", "old-2", "old-3"],
    ),
    "but not what it has above it": lambda: Story(
        world(
            n(),
            run("young", ["n0"] * 8, minimum=5, hours=0.1),
            it(2),
            queues=with_min_runtime(teams(), "team-b", reclaim_min_runtime_seconds=HOUR),
        ),
        ["young-7", "young-6"],
    ),
    "a minimum runtime is inherited": lambda: Story(
        world(
            n(),
            *singles(8),
            it(),
            queues=with_min_runtime(teams(), "dept", reclaim_min_runtime_seconds=100 * HOUR),
        ),
        [],
        runs=False,
    ),
    "who must wait before it makes others leave waits": lambda: Story(
        world(n(), *singles(8), it(preemption_delay_seconds=300.0)), [], runs=False
    ),
    "and asks once the time is over": lambda: Story(
        world(n(), *singles(8), it(preemption_delay_seconds=30.0)), ["s0-0"]
    ),
    "a time that begins anew when it was evicted itself": lambda: Story(
        world(n(), *singles(8), it(preemption_delay_seconds=30.0, last_eviction_at=NOW - 10)), [], runs=False
    ),
    "pods of other schedulers never leave": lambda: Story(
        world(
            n(),
            ([a_pod(f"f{k}", a_spec(gpus=1), group=None, node="n0") for k in range(8)], a_group("none")),
            it(),
        ),
        [],
        runs=False,
    ),
    "what cannot be read still can be taken back, as a whole": lambda: Story(
        world(n(), run("odd", ["n0"] * 8, minimum=2, problem="spec.subGroups: wrong"), it(2)),
        [f"odd-{k}" for k in range(8)],
    ),
    "work that may not go above quota takes back only within quota": lambda: Story(
        world(n(), *singles(8), it(3, is_preemptible=False), queues=teams(2, 2)), [], runs=False
    ),
    "and within quota it does": lambda: Story(
        world(n(), *singles(8), it(2, is_preemptible=False), queues=teams(2, 2)), ["s0-0", "s1-0"]
    ),
    "a pod above a minimum that runs may ask as well": lambda: Story(
        world(
            n(),
            *singles(7),
            (
                [
                    a_pod("it-0", a_spec(), group="it", node="n0"),
                    a_pod("it-1", a_spec(), group="it"),
                ],
                a_group("it", min_member=1),
            ),
        ),
        ["s0-0"],
    ),
    "parts of GPUs are taken back as well": lambda: Story(
        world(
            n(gpus=1),
            (
                [
                    replace(
                        a_pod("half", a_spec(gpus=0, gpu_share=GpuShare(portion_micros=500_000)), node="n0"),
                        gpu_groups=("g0",),
                    )
                ],
                a_group("half", queue="team-b"),
            ),
            it(),
            queues=teams(1, 0),
        ),
        ["half"],
    ),
    "a subgroup above what is needed leaves whole": lambda: Story(
        world(n(2), _trees("g", ("n0", "n0", "n1", "n1"), 4), it(1, 8), queues=teams(8, 8)),
        ["g-2", "g-3"],
    ),
    "a gang that is releasing already is waited for, nobody else leaves": lambda: Story(
        world(
            n(2),
            *(run(f"b{k}", ["n0"], hours=1) for k in range(8)),
            (
                [
                    a_pod("gone", a_spec(gpus=8), node="n1", state=PodState.RELEASING),
                ],
                a_group("gone", queue="team-b"),
            ),
            it(1, 4),
        ),
        [],
    ),
}


def _trees(name: str, where: Sequence[str], gpus: int) -> Group:
    """Two subgroups of two pods each, one of which is enough."""
    pods = [
        replace(
            a_pod(f"{name}-{number}", a_spec(gpus=gpus), group=name, node=node),
            subgroup="x" if number < 2 else "y",
        )
        for number, node in enumerate(where)
    ]
    group = replace(
        a_group(name, queue="team-b", min_member=0, last_start_at=NOW - HOUR),
        min_sub_group=1,
        sub_groups=(SubGroup(name="x", min_member=2), SubGroup(name="y", min_member=2)),
    )
    return pods, group


PREEMPT: dict[str, Callable[[], Story]] = {
    "who is worth more makes who is worth less leave": lambda: Story(
        world(n(), *singles(8, **MINE), it(priority=90), queues=teams(8, 0)), ["s0-0"]
    ),
    "who is worth as much does not": lambda: Story(
        world(n(), *singles(8, **MINE), it(), queues=teams(8, 0)), [], runs=False
    ),
    "who is worth less does not": lambda: Story(
        world(n(), *singles(8, priority=60, **MINE), it(), queues=teams(8, 0)), [], runs=False
    ),
    "not in another queue": lambda: Story(
        world(n(), *singles(8, **LOW), it(priority=90), queues=teams(0, 8)), [], runs=False
    ),
    "not what cannot be taken back": lambda: Story(
        world(n(), *singles(8, is_preemptible=False, **MINE), it(priority=90), queues=teams(8, 0)),
        [],
        runs=False,
    ),
    "the lowest priority leaves first": lambda: Story(
        world(
            n(),
            run("a", ["n0"] * 4, priority=60, hours=1, **MINE),
            run("b", ["n0"] * 4, priority=50, hours=90, **MINE),
            it(1, 4, priority=90),
            queues=teams(8, 0),
        ),
        ["b-0", "b-1", "b-2", "b-3"],
    ),
    "a queue at its limit makes room in itself": lambda: Story(
        world(
            n(2),
            *singles(8, **MINE),
            it(2, priority=90),
            queues=[a_queue("dept", parent=None), a_queue("team-a", gpu=8, limit=8)],
        ),
        ["s0-0", "s1-0"],
    ),
    "more than its limit nobody can make room for": lambda: Story(
        world(
            n(2),
            *singles(8, **MINE),
            it(9, priority=90),
            queues=[a_queue("dept", parent=None), a_queue("team-a", gpu=8, limit=8)],
        ),
        [],
        runs=False,
    ),
    "an elastic gang shrinks": lambda: Story(
        world(n(), run("el", ["n0"] * 8, minimum=2, **MINE), it(1, 2, priority=90), queues=teams(8, 0)),
        ["el-7", "el-6"],
    ),
    "a fully elastic gang may lose all": lambda: Story(
        world(n(), run("el", ["n0"] * 8, minimum=0, **MINE), it(1, 8, priority=90), queues=teams(8, 0)),
        [f"el-{k}" for k in range(8)],
    ),
    "who has not run for long enough keeps its minimum": lambda: Story(
        world(
            n(),
            *singles(8, **MINE),
            it(priority=90),
            queues=with_min_runtime(teams(8, 0), "team-a", preempt_min_runtime_seconds=1.5 * HOUR),
        ),
        ["s1-0"],
    ),
    "a minimum runtime against other queues does not count": lambda: Story(
        world(
            n(),
            *singles(8, **MINE),
            it(priority=90),
            queues=with_min_runtime(teams(8, 0), "team-a", reclaim_min_runtime_seconds=90 * HOUR),
        ),
        ["s0-0"],
    ),
    "work that may not go above quota does not preempt above it": lambda: Story(
        world(
            n(),
            *singles(8, **MINE),
            it(3, priority=125, is_preemptible=False),
            queues=teams(2, 0),
        ),
        [],
        runs=False,
    ),
    "nobody leaves where it would not help": lambda: Story(
        world(n(2, gpus=4), *singles(4, **MINE), it(1, 8, priority=90), queues=teams(8, 0)), [], runs=False
    ),
    "who waits longest among equals is served first, the other finds nobody left": lambda: Story(
        world(
            n(gpus=1),
            *singles(1, **MINE),
            it(priority=90),
            ([a_pod("late", a_spec())], a_group("late", priority=90, created_at=NOW - 1)),
            queues=teams(8, 0),
        ),
        ["s0-0"],
    ),
    "within one rack": lambda: Story(
        world(
            racks(2, 2),
            run("a", ["r0-n00"], 8, hours=5, **MINE),
            run("b", ["r0-n01"], 8, hours=5, **MINE),
            run("c", ["r1-n00"], 8, hours=1, **MINE),
            it(2, 8, required="rack", priority=90),
            queues=teams(32, 0),
        ),
        ["c-0"],
    ),
}
