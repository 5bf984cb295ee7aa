"""Plans for the checker, made of placements, and the question which promises they break."""

from __future__ import annotations

from collections.abc import Sequence

from kai_sched.model.ids import NodeName, PodGroupKey, QueueName, Uid
from kai_sched.model.plan import Blocker, ClaimPlacement, Eviction, Outcome, Placement, Plan, Verdict
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import (
    Pod,
)
from kai_sched.placement.checker import Violation, ViolationKind, check_plan
from tests.builders import NOW

POLICY = Policy()
Kind = ViolationKind


def a_placement(pod: Pod, node: str, **more: object) -> Placement:
    claims = tuple(
        ClaimPlacement(claim=ref.claim, uid=Uid(f"uid-{ref.claim}"), devices=())
        for ref in pod.claims
        if ref.claim
    )
    fields: dict[str, object] = {"claims": claims, **more}
    assert pod.group is not None
    return Placement(
        pod=pod.key,
        uid=pod.uid,
        pod_group=pod.group,
        node=NodeName(node),
        **fields,  # type: ignore[arg-type]
    )


def a_plan(
    binds: Sequence[Placement] = (),
    pipelined: Sequence[Placement] = (),
    evictions: Sequence[Eviction] = (),
    unplaced: Sequence[str] = (),
) -> Plan:
    bound = {placement.pod_group for placement in binds}
    waiting = {placement.pod_group for placement in pipelined} - bound
    evicted = {eviction.pod_group for eviction in evictions} - bound - waiting
    outcomes = {
        **dict.fromkeys(bound, Outcome.PLACED),
        **dict.fromkeys(waiting, Outcome.PIPELINED),
        **dict.fromkeys(evicted, Outcome.UNPLACED),
        **{PodGroupKey(f"team/{name}"): Outcome.UNPLACED for name in unplaced},
    }
    return Plan(
        now=NOW,
        binds=tuple(binds),
        pipelined=tuple(pipelined),
        evictions=tuple(evictions),
        verdicts=tuple(
            Verdict(
                pod_group=key,
                queue=QueueName("team-a"),
                outcome=outcome,
                blocker=Blocker.CAPACITY if outcome is Outcome.UNPLACED else None,
            )
            for key, outcome in sorted(outcomes.items())
        ),
    )


def kinds(snapshot: ClusterSnapshot, plan: Plan) -> set[ViolationKind]:
    return {violation.kind for violation in check_plan(snapshot, POLICY, plan)}


def violations(snapshot: ClusterSnapshot, plan: Plan, kind: ViolationKind) -> list[Violation]:
    return [violation for violation in check_plan(snapshot, POLICY, plan) if violation.kind is kind]
