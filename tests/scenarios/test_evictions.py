"""Who leaves for whom: the stages reclaim and preempt, story by story."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kai_sched.model.plan import Outcome, Plan
from kai_sched.model.policy import Policy, StageName
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.planning.cycle import plan_cycle
from tests.scenarios.eviction_stories import PREEMPT, RECLAIM, Story

STORIES = {
    **{f"reclaim: {name}": (StageName.RECLAIM, story) for name, story in RECLAIM.items()},
    **{f"preempt: {name}": (StageName.PREEMPT, story) for name, story in PREEMPT.items()},
}


def plan_of(story: Story, *stages: StageName) -> Plan:
    policy = Policy(stages=(StageName.ALLOCATE, *stages))
    plan = plan_cycle(story.snapshot, policy)
    assert PlanChecker()(story.snapshot, policy, plan) == ()
    return plan


@pytest.mark.parametrize("name", STORIES)
def test_those_leave_who_should_and_nobody_else(name: str):
    stage, make = STORIES[name]
    story = make()

    plan = plan_of(story, stage)

    assert sorted(one.pod.removeprefix("team/") for one in plan.evictions) == sorted(story.leave)
    assert {one.stage for one in plan.evictions} <= {stage}
    outcome = next(one.outcome for one in plan.verdicts if one.pod_group == "team/it")
    assert (outcome in {Outcome.PLACED, Outcome.PIPELINED}) == story.runs


@pytest.mark.parametrize("name", STORIES)
def test_without_the_stage_nobody_leaves(name: str):
    story = STORIES[name][1]()

    assert plan_of(story).evictions == ()


@pytest.mark.parametrize(
    "make", [story for group in (RECLAIM, PREEMPT) for story in group.values()], ids=[*RECLAIM, *PREEMPT]
)
def test_who_leaves_hears_for_whom_and_who_gets_the_room_hears_from_whom(make: Callable[[], Story]):
    plan = plan_of(make(), StageName.RECLAIM, StageName.PREEMPT)

    told = {one.pod_group: one.message for one in plan.verdicts}
    for eviction in plan.evictions:
        assert eviction.beneficiary is not None
        assert eviction.beneficiary in told[eviction.pod_group]
        assert "for it" in told[eviction.beneficiary]
