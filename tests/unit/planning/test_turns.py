"""Turns: what one gang costs it costs itself, in counted work, and who was not reached goes first next time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kai_sched.model.plan import Blocker, Outcome, Plan, TurnEnd, Verdict
from kai_sched.model.pods import PodTable
from kai_sched.model.policy import Policy, SolverBudget
from kai_sched.model.rests import Postponed
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import SubGroup
from kai_sched.planning.cycle import plan_cycle
from kai_sched.planning.stages import allocate
from tests.builders import a_group, a_node, a_pod, a_queue, a_snapshot, a_spec

POLICY = Policy(use_solver=False)


def with_work(units: int) -> Policy:
    return replace(POLICY, solver=SolverBudget(work=units))


def of_many_shapes(count: int, *, queues: tuple[str, ...] = ("team-a",)) -> ClusterSnapshot:
    """One pod a group, no two alike, the queues in turn; all of them fit."""
    groups = [
        a_group(f"g{number:03d}", queue=queues[number % len(queues)], created_at=float(number))
        for number in range(count)
    ]
    pods = [
        a_pod(f"p{number:03d}", a_spec(gpus=0, memory=number + 1), group=f"g{number:03d}")
        for number in range(count)
    ]
    return a_snapshot(
        nodes=[a_node(f"n{number}") for number in range(8)],
        pods=pods,
        groups=groups,
        queues=[a_queue("dept", parent=None), *(a_queue(name) for name in queues)],
    )


def verdict_of(plan: Plan, group: str) -> Verdict:
    return next(verdict for verdict in plan.verdicts if verdict.pod_group == f"team/{group}")


def ends(plan: Plan, end: TurnEnd) -> list[str]:
    return [group for group, how in plan.turns if how is end]


def test_a_cycle_with_work_for_all_leaves_nobody_out():
    plan = plan_cycle(of_many_shapes(60), POLICY)

    assert len(plan.binds) == 60
    assert plan.turns == ()
    assert plan.contained == ()


def test_who_is_not_reached_is_told_so_and_all_are_reached_in_some_cycles():
    snapshot = of_many_shapes(120)
    policy = with_work(2_000)
    bound: set[str] = set()
    cycles = 0
    while len(bound) < 120:
        cycles += 1
        assert cycles < 30
        waiting = replace(
            snapshot, pods=PodTable.sorted_by_key(pod for pod in snapshot.pods if pod.key not in bound)
        )
        plan = plan_cycle(waiting, policy)
        for group in ends(plan, TurnEnd.NOT_REACHED):
            verdict = next(verdict for verdict in plan.verdicts if verdict.pod_group == group)
            assert verdict.blocker is Blocker.DELAYED
            assert "its turn did not come" in verdict.message
        bound |= {placement.pod for placement in plan.binds}

    assert cycles > 1


def test_no_queue_takes_more_than_half_of_the_first_round():
    """Queue a has a hundred pods that were there first; the one of queue b is placed all the same."""
    snapshot = of_many_shapes(100, queues=("team-a",))
    late = a_group("zz", queue="team-b", created_at=1e6)
    snapshot = replace(
        snapshot,
        pods=PodTable.sorted_by_key([*snapshot.pods, a_pod("zz", a_spec(gpus=0), group="zz")]),
        pod_groups=(*snapshot.pod_groups, late),
        queues=(*snapshot.queues, a_queue("team-b")),
    )

    plan = plan_cycle(snapshot, with_work(2_200))

    assert ends(plan, TurnEnd.NOT_REACHED)
    assert verdict_of(plan, "zz").outcome is Outcome.PLACED


def test_the_same_snapshot_gives_the_same_plan_where_work_runs_out():
    snapshot = of_many_shapes(120)

    assert plan_cycle(snapshot, with_work(2_500)) == plan_cycle(snapshot, with_work(2_500))


def test_who_had_a_turn_goes_after_those_who_had_none_and_keeps_its_verdict():
    snapshot = of_many_shapes(120)
    first = plan_cycle(snapshot, with_work(2_000))
    unlucky = set(ends(first, TurnEnd.NOT_REACHED))
    lucky = [verdict for verdict in first.verdicts if verdict.pod_group not in unlucky]
    told = [replace(verdict, message="as told before") for verdict in lucky]

    again = replace(
        snapshot, postponed=tuple(Postponed(pod_group=one.pod_group, verdict=one) for one in told)
    )
    second = plan_cycle(again, with_work(2_000))

    placed = {placement.pod_group for placement in second.binds}
    assert placed & unlucky
    rested = ends(second, TurnEnd.RESTED)
    assert rested
    assert set(rested) <= {verdict.pod_group for verdict in lucky}
    assert verdict_of(second, rested[0].removeprefix("team/")).message == "as told before"


def test_who_spent_too_much_is_not_tried_before_its_time():
    snapshot = of_many_shapes(2)
    verdict = Verdict(
        pod_group=snapshot.pod_groups[0].key,
        queue=snapshot.pod_groups[0].queue,
        outcome=Outcome.UNPLACED,
        blocker=Blocker.DEVICES,
        message="the device search was given up",
    )
    postponed = Postponed(pod_group=verdict.pod_group, verdict=verdict, not_before=snapshot.now + 10)

    plan = plan_cycle(replace(snapshot, postponed=(postponed,)), POLICY)
    later = plan_cycle(replace(snapshot, postponed=(postponed,), now=snapshot.now + 10), POLICY)

    assert verdict_of(plan, "g000") == verdict
    assert [placement.pod for placement in plan.binds] == ["team/p001"]
    assert len(later.binds) == 2


def test_a_failure_in_deciding_one_gang_costs_that_gang_only(monkeypatch: pytest.MonkeyPatch):
    """A mistake of ours, planted."""
    place_core = allocate.place_core

    def failing(ground, gang):
        if gang.group.key == "team/g001":
            pod = gang.core_pods()[0]
            ground.seat(pod, ground.world.base.shape_of(pod), 0)
            raise KeyError("planted")
        return place_core(ground, gang)

    monkeypatch.setattr(allocate, "place_core", failing)

    plan = plan_cycle(of_many_shapes(3), POLICY)

    assert [placement.pod for placement in plan.binds] == ["team/p000", "team/p002"]
    assert [(found.pod_group, found.error) for found in plan.contained] == [("team/g001", "KeyError")]
    verdict = verdict_of(plan, "g001")
    assert verdict.blocker is Blocker.DELAYED
    assert "failed (KeyError)" in verdict.message


def test_a_tree_deeper_than_python_calls_costs_its_group_only():
    """Where groups are read such a tree is refused; the core stands it all the same."""
    depth = 20_000
    chain = tuple(
        SubGroup(name=f"s{number}", parent=f"s{number - 1}" if number else "", min_member=None)
        for number in range(depth)
    )
    deep = replace(a_group("deep"), sub_groups=chain)
    snapshot = a_snapshot(
        nodes=[a_node("n")],
        pods=[
            replace(a_pod("d", group="deep"), subgroup=f"s{depth - 1}"),
            a_pod("other", group="other"),
        ],
        groups=[deep, a_group("other")],
    )

    plan = plan_cycle(snapshot, POLICY)

    assert [placement.pod for placement in plan.binds] == ["team/other"]
    assert [found.error for found in plan.contained] == ["RecursionError"]
    assert verdict_of(plan, "deep").blocker is Blocker.DELAYED
