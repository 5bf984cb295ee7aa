"""What holds whoever leaves for whom: over crowded clusters, with all stages that make somebody leave."""

from __future__ import annotations

from collections import Counter

from hypothesis import given

from kai_sched.model.plan import Plan
from kai_sched.model.policy import Policy, StageName
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.planning.cycle import improving_plans, plan_cycle
from kai_sched.sim.engine import simulate
from tests.strategies.crowded import crowded_snapshots

STAGES = (StageName.ALLOCATE, StageName.RECLAIM, StageName.PREEMPT)
GREEDY = Policy(stages=STAGES, use_solver=False, advice_units=0)


def decide(snapshot: ClusterSnapshot) -> Plan:
    return plan_cycle(snapshot, GREEDY)


@given(crowded_snapshots())
def test_the_judge_finds_nothing_wrong_with_who_leaves(snapshot: ClusterSnapshot):
    policy = Policy(stages=STAGES)
    for plan in improving_plans(snapshot, policy):
        assert PlanChecker()(snapshot, policy, plan) == ()


@given(crowded_snapshots())
def test_equal_inputs_have_equal_victims(snapshot: ClusterSnapshot):
    assert decide(snapshot) == decide(snapshot)


@given(crowded_snapshots())
def test_without_new_events_all_comes_to_rest_and_nobody_leaves_twice_for_one_gang(snapshot: ClusterSnapshot):
    """For two gangs somebody may: its queue is above its share again once others of it have left, or came back."""
    run = simulate(snapshot, decide, cycles=None)

    assert run.fixed_point_at is not None
    left = Counter((one.pod, one.beneficiary) for plan in run.plans for one in plan.evictions)
    assert [pair for pair, times in left.items() if times > 1] == []


@given(crowded_snapshots())
def test_for_whom_others_leave_is_bound_next(snapshot: ClusterSnapshot):
    run = simulate(snapshot, decide, cycles=None)

    for number, plan in enumerate(run.plans):
        takers = {one.beneficiary for one in plan.evictions}
        bound = {one.pod_group for later in run.plans[number + 1 :] for one in later.binds}
        # Pods with a finalizer never leave here, so that nobody gets their room.
        for_ever = {pod.key for pod in snapshot.pods if pod.has_finalizers}
        stuck = {one.beneficiary for one in plan.evictions if one.pod in for_ever}
        assert takers - stuck <= bound


@given(crowded_snapshots())
def test_nobody_leaves_for_whom_it_has_made_leave(snapshot: ClusterSnapshot):
    run = simulate(snapshot, decide, cycles=None)

    pairs = {(one.beneficiary, one.pod_group) for plan in run.plans for one in plan.evictions}
    assert [pair for pair in pairs if (pair[1], pair[0]) in pairs] == []
