"""Limits and quotas are judged again over the queue tree, and planted breaches are seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kai_sched.model.devices import ClaimAllocation, DeviceResult
from kai_sched.model.ids import NodeName, PodGroupKey, QueueName
from kai_sched.model.plan import ClaimPlacement, Outcome, Placement, Plan, Verdict
from kai_sched.model.policy import Policy
from kai_sched.model.queues import Queue
from kai_sched.model.workloads import Pod
from kai_sched.placement.checker import ViolationKind
from kai_sched.planning.checks.plan_checker import PlanChecker
from tests.builders import NOW, a_group, a_node, a_pod, a_queue, a_snapshot, a_spec
from tests.unit.planning.accounts import a_claim, a_request, with_claims


def found(
    queues: Sequence[Queue], *, gpus: int = 4, running: int = 0, preemptible: bool = True
) -> set[tuple[str, str]]:
    """(kind, queue) of the violations of a plan that binds one pod of ``gpus`` GPUs in queue team-a."""
    pod = a_pod("p", a_spec(gpus=gpus), group="g")
    pods = [pod]
    groups = [a_group("g", is_preemptible=preemptible)]
    if running:
        pods.append(a_pod("r", a_spec(gpus=running), group="r", node="n1"))
        groups.append(a_group("r", is_preemptible=preemptible))
    snapshot = a_snapshot(nodes=[a_node("n1", gpus=16)], pods=pods, groups=groups, queues=queues)
    violations = PlanChecker()(snapshot, Policy(), binding(pod))
    return {(violation.kind, violation.subject) for violation in violations}


def binding(*pods: Pod) -> Plan:
    group = PodGroupKey(str(pods[0].group))
    placements = tuple(
        Placement(pod=pod.key, uid=pod.uid, pod_group=group, node=NodeName("n1")) for pod in pods
    )
    verdict = Verdict(pod_group=group, queue=QueueName("team-a"), outcome=Outcome.PLACED)
    return Plan(now=NOW, binds=placements, verdicts=(verdict,))


def test_a_plan_within_every_bound_is_fine() -> None:
    queues = [a_queue("dept", parent=None, gpu=8, limit=8), a_queue("team-a", gpu=4, limit=4)]

    assert found(queues) == set()
    assert found(queues, preemptible=False) == set()


def test_a_limit_passed_in_the_queue_itself_counts_what_runs() -> None:
    queues = [a_queue("dept", parent=None), a_queue("team-a", limit=7)]

    assert found(queues, running=3) == set()
    assert found(queues, running=4) == {(ViolationKind.QUEUE_LIMIT, "team-a")}


@pytest.mark.parametrize(("limit", "is_fine"), [(4, True), (3, False)])
def test_claims_that_the_plan_gives_devices_to_count_once(limit: int, is_fine: bool) -> None:
    claims = [a_claim(f"c{number}", a_request(count=2)) for number in range(2)]
    pods = [with_claims(a_pod(f"p{n}", a_spec(gpus=0), group="g"), f"c{n}") for n in range(2)]
    snapshot = a_snapshot(
        nodes=[a_node("n1", gpus=0)],
        pods=pods,
        claims=tuple(claims),
        groups=[a_group("g")],
        queues=[a_queue("dept", parent=None), a_queue("team-a", limit=limit)],
    )
    plan = binding(*pods)
    given = [
        replace(
            bind,
            claims=(
                ClaimPlacement(
                    claim=claim.key,
                    uid=claim.uid,
                    devices=(),
                    allocation=ClaimAllocation(
                        results=tuple(
                            DeviceResult(request="r", driver="d", pool="n", device=f"{claim.key}-{number}")
                            for number in range(2)
                        )
                    ),
                ),
            ),
        )
        for bind, claim in zip(plan.binds, claims, strict=True)
    ]

    found = PlanChecker()(snapshot, Policy(), replace(plan, binds=tuple(given)))
    violations = [str(violation) for violation in found if violation.kind is ViolationKind.QUEUE_LIMIT]

    broken = "queue-limit: team-a: gpu: 0 allocated + 4 planned > 3"
    assert violations == ([] if is_fine else [broken])


def test_a_limit_passed_in_an_ancestor() -> None:
    queues = [a_queue("dept", parent=None, limit=3), a_queue("team-a")]

    assert found(queues) == {(ViolationKind.QUEUE_LIMIT, "dept")}


def test_non_preemptible_work_above_deserved_quota_of_an_ancestor() -> None:
    queues = [a_queue("dept", parent=None, gpu=3), a_queue("team-a", gpu=8)]

    assert found(queues) == set()
    assert found(queues, preemptible=False) == {(ViolationKind.NON_PREEMPTIBLE_OVER_QUOTA, "dept")}


def test_a_queue_already_over_its_limit_may_take_work_without_gpus() -> None:
    queues = [a_queue("dept", parent=None), a_queue("team-a", limit=1)]

    assert found(queues, gpus=0, running=4) == set()


def test_the_other_checks_are_made_too() -> None:
    queues = [a_queue("dept", parent=None), a_queue("team-a")]

    assert found(queues, gpus=17) == {(ViolationKind.NODE_RESOURCES, "n1")}
