"""Rows of evictions: who leaves may be made to, within the rights of whom it leaves for, and never for nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from kai_sched.model.ids import PodGroupKey, QueueName, Uid
from kai_sched.model.plan import Eviction, Plan
from kai_sched.model.policy import Policy, StageName
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.checker import ViolationKind as Kind
from tests.scenarios.eviction_stories import it, n, run, singles, teams, world
from tests.tamper.row import Row, Tamper, plan_with, world_with

POLICY: Final = Policy(
    stages=(StageName.ALLOCATE, StageName.RECLAIM, StageName.PREEMPT), use_solver=False, advice_units=0
)


def reclaiming() -> ClusterSnapshot:
    """team/it of team-a takes four GPUs back from team-b, which has eight gangs of one."""
    return world(n(), *singles(8), it(4))


def preempting() -> ClusterSnapshot:
    """team/it takes two of eight GPUs from gangs of its own queue."""
    return world(n(), *singles(8, queue="team-a"), it(2, priority=90), queues=teams(8, 0))


def shrinking() -> ClusterSnapshot:
    """A gang of two nodes leaves as a whole."""
    return world(n(2), run("g", ["n0", "n1"], 8), it(1, 4))


def group_with(name: str, **fields: Any) -> Tamper:
    """One group is different from what the engine believed; ``name``: how its name begins."""

    def change(snapshot: ClusterSnapshot) -> ClusterSnapshot:
        groups = tuple(
            replace(group, **fields) if group.key.startswith(f"team/{name}") else group
            for group in snapshot.pod_groups
        )
        return replace(snapshot, pod_groups=groups)

    return world_with(change)


def queue_with(name: str, **fields: Any) -> Tamper:
    def change(snapshot: ClusterSnapshot) -> ClusterSnapshot:
        queues = tuple(replace(queue, **fields) if queue.name == name else queue for queue in snapshot.queues)
        return replace(snapshot, queues=queues)

    return world_with(change)


def quota_of(name: str, deserved: float) -> Tamper:
    """A queue has another quota than the engine believed."""

    def change(snapshot: ClusterSnapshot) -> ClusterSnapshot:
        queues = tuple(
            replace(queue, gpu=replace(queue.gpu, deserved=deserved)) if queue.name == name else queue
            for queue in snapshot.queues
        )
        return replace(snapshot, queues=queues)

    return world_with(change)


def one_more(plan: Plan) -> Plan:
    """Another gang leaves, too."""
    last = plan.evictions[-1]
    extra = Eviction(
        pod="team/s7-0",  # type: ignore[arg-type]
        uid=Uid("uid-team/s7-0"),
        pod_group=PodGroupKey("team/s7"),
        stage=last.stage,
        beneficiary=last.beneficiary,
    )
    verdict = next(one for one in plan.verdicts if one.pod_group == "team/s0")
    return replace(
        plan,
        evictions=(*plan.evictions, extra),
        verdicts=(*plan.verdicts, replace(verdict, pod_group=PodGroupKey("team/s7"))),
    )


def each_eviction(**fields: Any) -> Tamper:
    return plan_with(
        lambda plan: replace(plan, evictions=tuple(replace(one, **fields) for one in plan.evictions))
    )


def without_last(plan: Plan) -> Plan:
    """One pod of the gang stays."""
    assert len(plan.evictions) > 1
    return replace(plan, evictions=plan.evictions[:-1])


def nobody_seated(plan: Plan) -> Plan:
    """They leave, and nobody gets the room."""
    assert plan.pipelined
    verdicts = tuple(
        replace(one, outcome="Unplaced", blocker="Capacity") if one.pod_group == "team/it" else one  # type: ignore[arg-type]
        for one in plan.verdicts
    )
    return replace(plan, pipelined=(), verdicts=verdicts)


def a_smaller_share(plan: Plan) -> Plan:
    """The plan itself says that team-a has less."""
    shares = tuple(
        replace(one, fair_share=replace(one.fair_share, gpu=3.0)) if one.queue == "team-a" else one
        for one in plan.shares
    )
    return replace(plan, shares=shares)


ROWS_OF_EVICTIONS: Final[list[Row]] = [
    Row(
        Kind.EVICTION,
        "only work that may be taken back leaves",
        "the victims may not be",
        reclaiming,
        group_with("s", is_preemptible=False),
        "no gang that may be taken back",
        POLICY,
    ),
    Row(
        Kind.EVICTION,
        "nobody leaves for nothing",
        "the beneficiary gets no place",
        reclaiming,
        plan_with(nobody_seated),
        "gets no place by it",
        POLICY,
    ),
    Row(
        Kind.EVICTION,
        "nobody leaves for nothing",
        "a beneficiary that does not exist",
        reclaiming,
        each_eviction(beneficiary=None),
        "nobody that is known",
        POLICY,
    ),
    Row(
        Kind.EVICTION,
        "a queue is reclaimed from while it holds too much",
        "one more leaves",
        reclaiming,
        plan_with(one_more),
        "holds no more than its share",
        POLICY,
    ),
    Row(
        Kind.EVICTION,
        "a queue is reclaimed from while it holds too much",
        "its quota is all that it holds",
        reclaiming,
        quota_of("team-b", 8),
        "holds no more than its share",
        POLICY,
    ),
    Row(
        Kind.EVICTION,
        "who reclaims stays within its fair share",
        "its fair share is smaller",
        reclaiming,
        plan_with(a_smaller_share),
        "above its fair share",
        POLICY,
    ),
    Row(
        Kind.EVICTION,
        "a queue reclaims from others",
        "it is of the victims' queue",
        reclaiming,
        group_with("it", queue=QueueName("team-b")),
        "of its own queue",
        POLICY,
    ),
    Row(
        Kind.EVICTION,
        "who has not run for long enough stays",
        "the queue protects what it runs",
        reclaiming,
        queue_with("team-b", reclaim_min_runtime_seconds=1e6),
        "has not run for as long as it may",
        POLICY,
    ),
    Row(
        Kind.EVICTION,
        "who has not run for long enough stays",
        "the department protects what it runs",
        reclaiming,
        queue_with("dept", reclaim_min_runtime_seconds=1e6),
        "has not run for as long as it may",
        POLICY,
    ),
    Row(
        Kind.EVICTION,
        "who is worth less is preempted",
        "the victims are worth as much",
        preempting,
        group_with("s", priority=90),
        "is worth no less",
        POLICY,
    ),
    Row(
        Kind.EVICTION,
        "who is preempted is of the same queue",
        "the victims are of another",
        preempting,
        group_with("s", queue=QueueName("team-b")),
        "of another queue",
        POLICY,
    ),
    Row(
        Kind.EVICTION,
        "who has not run for long enough stays",
        "the queue protects it from its own",
        preempting,
        queue_with("team-a", preempt_min_runtime_seconds=1e6),
        "has not run for as long as it may",
        POLICY,
    ),
    Row(
        Kind.EVICTION,
        "stages that make nobody leave do not",
        "allocate evicts",
        reclaiming,
        each_eviction(stage=StageName.ALLOCATE),
        "makes nobody leave",
        POLICY,
    ),
    Row(
        Kind.GANG,
        "a gang keeps its minimum or leaves whole",
        "half of it stays",
        shrinking,
        plan_with(without_last),
        "keeps 1 pods where others leave",
        POLICY,
    ),
]
"""Each: a plan of the stages reclaim and preempt."""
