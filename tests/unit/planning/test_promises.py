"""Room that was found for a gang in an earlier cycle is its own, before others have their turn."""

from __future__ import annotations

from dataclasses import replace

from kai_sched.model.plan import Plan
from kai_sched.model.policy import Policy, StageName
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import PodState
from kai_sched.planning.cycle import plan_cycle
from kai_sched.sim.engine import simulate
from tests.builders import NOW, a_group, a_node, a_pod, a_queue, a_snapshot, a_spec

EVICTING = Policy(stages=(StageName.ALLOCATE, StageName.RECLAIM), advice_units=0)


def two_for_one_node(**promised: object) -> ClusterSnapshot:
    """Both want all of n0; team/first is worth more, team/late was promised the node."""
    late = replace(a_pod("late", a_spec(gpus=8)), **{"nominated_node": "n0", **promised})  # type: ignore[arg-type]
    return a_snapshot(
        nodes=[a_node("n0")],
        pods=[a_pod("first", a_spec(gpus=8)), late],
        groups=[a_group("first", priority=90), a_group("late", created_at=NOW - 5)],
    )


def bound(plan: Plan) -> list[str]:
    return [str(one.pod) for one in plan.binds]


def test_who_was_promised_a_node_goes_first():
    assert bound(plan_cycle(two_for_one_node(), EVICTING)) == ["team/late"]


def test_who_was_promised_nothing_does_not():
    assert bound(plan_cycle(two_for_one_node(nominated_node=None), EVICTING)) == ["team/first"]


def test_a_node_that_is_gone_is_no_promise():
    assert bound(plan_cycle(two_for_one_node(nominated_node="n9"), EVICTING)) == ["team/first"]


def test_where_nobody_is_made_to_leave_it_is_a_wish():
    policy = replace(EVICTING, stages=(StageName.ALLOCATE,))

    assert bound(plan_cycle(two_for_one_node(), policy)) == ["team/first"]


def test_a_promise_does_not_lift_a_limit():
    snapshot = replace(
        two_for_one_node(),
        queues=(a_queue("dept", parent=None), a_queue("team-a", limit=4)),
    )

    assert bound(plan_cycle(snapshot, EVICTING)) == []


def test_a_gang_of_which_one_pod_was_promised_nothing_waits_for_its_turn():
    snapshot = two_for_one_node()
    other = replace(a_pod("late-1", a_spec(gpus=0)), group="team/late")  # type: ignore[arg-type]
    groups = tuple(
        replace(one, min_member=2) if one.key == "team/late" else one for one in snapshot.pod_groups
    )
    pods = type(snapshot.pods).sorted_by_key([*snapshot.pods, other])

    assert bound(plan_cycle(replace(snapshot, pods=pods, pod_groups=groups), EVICTING)) == ["team/first"]


def test_while_others_leave_still_the_room_stays_promised():
    leaving = a_pod("gone", a_spec(gpus=8), node="n0", state=PodState.RELEASING)
    snapshot = two_for_one_node()
    groups = tuple(sorted((*snapshot.pod_groups, a_group("gone")), key=lambda one: one.key))
    pods = type(snapshot.pods).sorted_by_key([*snapshot.pods, leaving])

    plan = plan_cycle(replace(snapshot, pods=pods, pod_groups=groups), EVICTING)

    assert [(one.pod, one.waits_for) for one in plan.pipelined] == [("team/late", ("team/gone",))]
    assert plan.binds == plan.evictions == ()


def test_a_pod_above_the_minimum_is_promised_its_node_as_well():
    runs = a_pod("late-0", a_spec(gpus=1), group="late", node="n1")
    snapshot = two_for_one_node()
    pods = [replace(pod, group="team/late") if pod.key == "team/late" else pod for pod in snapshot.pods]  # type: ignore[arg-type]
    nodes = (a_node("n0"), a_node("n1"))

    plan = plan_cycle(
        replace(
            snapshot,
            fleet=replace(snapshot.fleet, nodes=nodes),
            pods=type(snapshot.pods).sorted_by_key([*pods, runs]),
        ),
        EVICTING,
    )

    assert bound(plan) == ["team/late"]


def test_a_promise_ends_with_being_bound_and_with_being_evicted():
    """Else who comes back would go first, on the node that others have by now."""
    policy = replace(EVICTING, stages=(StageName.ALLOCATE, StageName.RECLAIM, StageName.PREEMPT))
    snapshot = a_snapshot(
        nodes=[a_node("n0", gpus=1)],
        pods=[replace(a_pod("low"), nominated_node="n0"), a_pod("high")],  # type: ignore[arg-type]
        groups=[a_group("low", priority=40), a_group("high", priority=90, created_at=NOW - 5)],
    )

    run = simulate(snapshot, lambda one: plan_cycle(one, policy), cycles=None)

    assert [bound(plan) for plan in run.plans] == [["team/low"], [], ["team/high"], []]
    assert [len(plan.evictions) for plan in run.plans] == [0, 1, 0, 0]
    assert run.final.pods[0].nominated_node is None
