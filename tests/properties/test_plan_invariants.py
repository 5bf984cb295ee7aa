"""The invariants of a plan, over random clusters: nothing over-allocated, gangs whole, limits held, replayable."""

import pickle

import numpy as np
from hypothesis import given

from kai_sched.fairness.ledger import Ledger
from kai_sched.fairness.tree import QueueTree
from kai_sched.model.plan import Outcome, Plan
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import PodState
from kai_sched.placement.checker import ViolationKind, check_plan
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.world import World
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.planning.cycle import improving_plans, plan_cycle
from kai_sched.sim.engine import apply_plan, simulate
from tests.builders import a_group, a_node, a_pod, a_queue, a_snapshot, a_spec
from tests.strategies import snapshots

GREEDY = Policy(use_solver=False, advice_units=0)


@given(snapshots())
def test_the_independent_checker_finds_nothing_wrong(snapshot: ClusterSnapshot):
    plan = plan_cycle(snapshot, GREEDY)

    assert check_plan(snapshot, GREEDY, plan) == ()


@given(snapshots())
def test_the_checker_finds_nothing_wrong_with_any_improved_plan(snapshot: ClusterSnapshot):
    check = PlanChecker()
    for plan in improving_plans(snapshot, Policy()):
        assert check(snapshot, Policy(), plan) == ()
        assert limits_broken(snapshot, plan) == []


@given(snapshots())
def test_a_snapshot_replays_to_the_same_plan_also_after_travelling(snapshot: ClusterSnapshot):
    copy = pickle.loads(pickle.dumps(snapshot, protocol=5))

    assert copy == snapshot
    assert plan_cycle(copy, GREEDY) == plan_cycle(snapshot, GREEDY)


@given(snapshots())
def test_every_group_with_a_waiting_pod_has_one_verdict_with_a_reason(snapshot: ClusterSnapshot):
    plan = plan_cycle(snapshot, GREEDY)

    waiting = {pod.group for pod in snapshot.pods if pod.state in (PodState.PENDING, PodState.GATED)}
    assert sorted(v.pod_group for v in plan.verdicts) == sorted(waiting)
    for verdict in plan.verdicts:
        if verdict.outcome in (Outcome.UNPLACED, Outcome.NOT_READY):
            assert verdict.blocker is not None
            assert verdict.message


def limits_broken(snapshot: ClusterSnapshot, plan: Plan) -> list[str]:
    """Queues that end above a limit (or, non-preemptible, above quota) and that this plan added to."""
    tree = QueueTree.build(snapshot.queues)
    group_of = {group.key: group for group in snapshot.pod_groups}
    spec_of = {pod.key: pod.spec for pod in snapshot.pods}
    total: dict[tuple[str, bool], float] = {}
    for placement in (*plan.binds, *plan.pipelined):
        group = group_of[placement.pod_group]
        gpus = float(dict(spec_of[placement.pod].requests).get("nvidia.com/gpu", 0))
        for queue in tree.ancestors(group.queue):
            total[queue, True] = total.get((queue, True), 0) + gpus
            if not group.is_preemptible:
                total[queue, False] = total.get((queue, False), 0) + gpus
    broken = []
    for (name, counts_all), gpus in total.items():
        queue = tree.queues[name]
        bound = queue.gpu.limit if counts_all else queue.gpu.deserved
        if bound >= 0 and gpus > bound:
            broken.append(f"{name}: {gpus} > {bound}")
    return broken


@given(snapshots())
def test_limits_hold_and_fixed_work_stays_within_quota_at_every_ancestor(snapshot: ClusterSnapshot):
    assert limits_broken(snapshot, plan_cycle(snapshot, GREEDY)) == []


def test_the_limit_property_catches_a_scheduler_that_ignores_limits(monkeypatch):
    snapshot = a_snapshot(
        nodes=[a_node("a")],
        pods=[a_pod("p", a_spec(gpus=8), group="g")],
        groups=[a_group("g")],
        queues=(a_queue("dept", parent=None), a_queue("team-a", limit=4)),
    )
    assert limits_broken(snapshot, plan_cycle(snapshot, GREEDY)) == []

    monkeypatch.setattr(Ledger, "over_limit", lambda *_arguments: None)

    assert limits_broken(snapshot, plan_cycle(snapshot, GREEDY)) != []


@given(snapshots())
def test_simulation_reaches_a_fixed_point(snapshot: ClusterSnapshot):
    result = simulate(snapshot, lambda world: plan_cycle(world, GREEDY), cycles=None)

    assert result.fixed_point_at is not None
    last = result.plans[-1]
    assert last.binds == ()
    assert apply_plan(result.final, last) == result.final


def a_full_house() -> ClusterSnapshot:
    """Two gangs of two whole nodes each, on three nodes: only one of them fits."""
    pods = [a_pod(f"{name}-{index}", a_spec(gpus=8), group=name) for name in ("g", "h") for index in range(2)]
    return a_snapshot(
        nodes=[a_node("a"), a_node("b"), a_node("c")],
        pods=pods,
        groups=[a_group("g", min_member=2), a_group("h", min_member=2)],
    )


def test_the_checker_property_catches_an_engine_that_forgets_what_it_gave_away(monkeypatch):
    assert check_plan(a_full_house(), GREEDY, plan_cycle(a_full_house(), GREEDY)) == ()

    monkeypatch.setattr(World, "_count", lambda *_arguments: None)
    plan = plan_cycle(a_full_house(), GREEDY)

    assert ViolationKind.NODE_RESOURCES in {
        violation.kind for violation in check_plan(a_full_house(), GREEDY, plan)
    }


def test_the_checker_property_catches_an_engine_that_leaves_half_a_gang(monkeypatch):
    monkeypatch.setattr(World, "rollback", lambda *_arguments: None)

    plan = plan_cycle(a_full_house(), GREEDY)

    assert ViolationKind.GANG in {violation.kind for violation in check_plan(a_full_house(), GREEDY, plan)}


def test_the_replay_property_catches_an_engine_that_remembers(monkeypatch):
    turn = iter(range(100))
    honest = Boards._cost

    def moody(*arguments):
        cost = honest(*arguments)
        return -cost - np.arange(len(cost)) if next(turn) % 2 else cost

    monkeypatch.setattr(Boards, "_cost", moody)
    snapshot = a_snapshot(
        nodes=[a_node("a"), a_node("b")], pods=[a_pod("p", group="g")], groups=[a_group("g")]
    )

    assert plan_cycle(snapshot, GREEDY) != plan_cycle(snapshot, GREEDY)
