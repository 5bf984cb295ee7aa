"""Gangs that step aside are part of the snapshot: the plan says so, and gives their room to others."""

from __future__ import annotations

from kai_sched.model.ids import PodGroupKey
from kai_sched.model.plan import Blocker, Outcome, Plan
from kai_sched.model.policy import Policy
from kai_sched.model.rests import Rest
from kai_sched.model.workloads import PodState
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.planning.completing import is_incomplete
from kai_sched.planning.cycle import plan_cycle
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec

WORDS = "pod team/doomed: 422 policy: requests must equal limits"
WHOLE_NODE = a_spec(gpus=8)


def a_rest(group: str, *, keeps_room: bool = False) -> Rest:
    return Rest(pod_group=PodGroupKey(f"team/{group}"), reason=WORDS, keeps_room=keeps_room)


def verdict_of(plan: Plan, group: str):
    return next(verdict for verdict in plan.verdicts if verdict.pod_group == f"team/{group}")


def test_a_resting_gang_says_what_refused_it_and_others_have_its_room():
    pods = [a_pod("a-doomed", WHOLE_NODE), a_pod("fine", WHOLE_NODE)]
    groups = [a_group("a-doomed", priority=100), a_group("fine")]
    world = {"nodes": [a_node("n1")], "pods": pods, "groups": groups}

    before = plan_cycle(a_snapshot(**world), Policy())
    snapshot = a_snapshot(**world, rests=(a_rest("a-doomed"),))
    plan = plan_cycle(snapshot, Policy())

    assert [bind.pod for bind in before.binds] == ["team/a-doomed"]
    assert [bind.pod for bind in plan.binds] == ["team/fine"]
    doomed = verdict_of(plan, "a-doomed")
    assert (doomed.outcome, doomed.blocker) == (Outcome.UNPLACED, Blocker.DELAYED)
    assert doomed.message == WORDS
    assert PlanChecker()(snapshot, Policy(), plan) == ()


def test_a_gang_that_is_completed_keeps_its_room_and_is_not_called_placed():
    pods = [
        a_pod("g-0", WHOLE_NODE, group="g", node="n1"),
        a_pod("g-1", WHOLE_NODE, group="g", node="n2", state=PodState.BINDING),
        a_pod("other", WHOLE_NODE),
    ]
    groups = [a_group("g", min_member=2), a_group("other")]
    snapshot = a_snapshot(
        nodes=[a_node("n1"), a_node("n2")],
        pods=pods,
        groups=groups,
        rests=(a_rest("g", keeps_room=True),),
    )

    plan = plan_cycle(snapshot, Policy())

    assert plan.binds == ()
    assert verdict_of(plan, "g").blocker is Blocker.DELAYED
    assert verdict_of(plan, "other").blocker is Blocker.CAPACITY
    assert PlanChecker()(snapshot, Policy(), plan) == ()


def test_what_is_wrong_with_the_object_itself_is_said_rather_than_that_it_rests():
    snapshot = a_snapshot(
        nodes=[a_node("n1")],
        pods=[a_pod("p", group="g")],
        groups=[a_group("g", queue="nowhere")],
        rests=(a_rest("g"),),
    )

    assert verdict_of(plan_cycle(snapshot, Policy()), "g").blocker is Blocker.QUEUE_NOT_FOUND


def test_only_a_gang_that_runs_in_part_and_lacks_its_minimum_is_incomplete():
    group = a_group("g", min_member=2)
    waiting = [a_pod(f"g-{n}", group="g") for n in range(3)]
    running = a_pod("g-r", group="g", node="n1")

    assert not is_incomplete(group, waiting, ())
    assert is_incomplete(group, waiting, {waiting[0].key})
    assert not is_incomplete(group, waiting, {waiting[0].key, waiting[1].key})
    assert is_incomplete(group, [running, *waiting], ())
    assert not is_incomplete(group, [running, *waiting], {waiting[0].key})
