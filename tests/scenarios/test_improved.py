"""What improving is for: gangs that greedy strands or spreads, and rules that it must not bend for them."""

from __future__ import annotations

from kai_sched.model.plan import Blocker, Plan
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.planning.cycle import improving_plans, plan_cycle
from tests.builders import NOW, a_group, a_node, a_pod, a_queue, a_snapshot, a_spec, racks


def two_racks(small: int, large: int) -> list:
    """Nodes l0, l1, ... of the large rack come first by name, which is where greedy goes."""
    return [
        *(a_node(f"s{number}", labels={"rack": "small"}) for number in range(small)),
        *(a_node(f"l{number}", labels={"rack": "large"}) for number in range(large)),
    ]


def decide(snapshot: ClusterSnapshot) -> Plan:
    """The last plan; every plan on the way must pass the checker, queues included."""
    check = PlanChecker()
    for plan in improving_plans(snapshot, Policy()):
        assert check(snapshot, Policy(), plan) == ()
    return plan


def greedily(snapshot: ClusterSnapshot) -> Plan:
    return plan_cycle(snapshot, Policy(use_solver=False))


def nodes_of(plan: Plan, group: str) -> list[str]:
    return sorted(bind.node for bind in plan.binds if bind.pod_group == f"team/{group}")


def a_gang(name: str, pods: int, gpus: int, number: int, **more: object) -> tuple[list, object]:
    members = [a_pod(f"{name}-{one}", a_spec(gpus=gpus), group=name) for one in range(pods)]
    return members, a_group(name, min_member=pods, created_at=NOW - 100 + number, **more)


def a_cluster(nodes: list, *gangs: tuple[list, object], **more: object) -> ClusterSnapshot:
    return a_snapshot(
        nodes=nodes,
        pods=[pod for pods, _ in gangs for pod in pods],
        groups=[group for _, group in gangs],
        **more,
    )


def test_a_gang_that_greedy_strands_gets_the_rack_that_an_earlier_one_can_spare():
    snapshot = a_cluster(
        two_racks(2, 3),
        a_gang("loose", 2, 8, 0),
        a_gang("tied", 3, 8, 1, required="rack"),
    )

    before, after = greedily(snapshot), decide(snapshot)

    assert nodes_of(before, "loose") == ["l0", "l1"]
    assert nodes_of(before, "tied") == []
    assert nodes_of(after, "tied") == ["l0", "l1", "l2"]
    assert nodes_of(after, "loose") == ["s0", "s1"]
    assert after.solver.status == "OPTIMAL"
    assert after.solver.bound == after.solver.objective


def test_single_pods_are_swept_out_of_the_rack_that_a_gang_needs():
    singles = [a_gang(f"single-{number}", 1, 8, number) for number in range(2)]
    snapshot = a_cluster(two_racks(2, 3), *singles, a_gang("tied", 3, 8, 9, required="rack"))

    before, after = greedily(snapshot), decide(snapshot)

    assert nodes_of(before, "tied") == []
    assert nodes_of(after, "tied") == ["l0", "l1", "l2"]
    assert sorted(nodes_of(after, "single-0") + nodes_of(after, "single-1")) == ["s0", "s1"]
    assert dict(after.solver.objective)["gangsRescued"] == 1


def test_a_gang_with_a_preferred_rack_is_drawn_together_when_an_earlier_one_makes_way():
    snapshot = a_cluster(
        two_racks(3, 4),
        a_gang("loose", 2, 8, 0),
        a_gang("wide", 4, 8, 1, preferred="rack"),
        a_gang("third", 1, 8, 2),
    )

    before, after = next(improving_plans(snapshot, Policy())), decide(snapshot)

    assert dict(before.solver.objective)["surplusDomains"] == 1
    assert nodes_of(after, "wide") == ["l0", "l1", "l2", "l3"]
    assert len(nodes_of(after, "loose")) + len(nodes_of(after, "third")) == 3
    assert dict(after.solver.objective)["surplusDomains"] == 0


def test_two_spread_gangs_exchange_places():
    nodes = [a_node(f"{rack}{n}", gpus=4, labels={"rack": rack}) for rack in "abc" for n in range(2)]
    snapshot = a_cluster(
        nodes,
        a_gang("one", 3, 2, 0, preferred="rack"),
        a_gang("two", 5, 2, 1, preferred="rack"),
        a_gang("three", 4, 2, 2, preferred="rack"),
    )

    after = decide(snapshot)

    best = dict(after.solver.bound)["surplusDomains"]
    assert dict(after.solver.objective)["surplusDomains"] == best
    assert after.solver.status == "OPTIMAL"


def test_a_plan_that_greedy_had_right_is_proven_and_not_solved():
    snapshot = a_cluster(racks(2, 2), a_gang("g", 2, 8, 0, required="rack"))

    plan = decide(snapshot)

    assert plan.solver.status == "OPTIMAL"
    assert plan.solver.models == 0
    assert plan.solver.objective == plan.solver.bound == plan.solver.greedy_objective


def a_strict_pair(**bounds: float) -> tuple:
    return (a_queue("dept", parent=None), a_queue("team-a", **bounds))


def test_no_room_is_made_for_a_gang_above_its_queues_limit():
    snapshot = a_cluster(
        two_racks(2, 3),
        a_gang("loose", 2, 8, 0),
        a_gang("tied", 3, 8, 1, required="rack"),
        queues=a_strict_pair(limit=32),
    )

    plan = decide(snapshot)

    verdict = next(one for one in plan.verdicts if one.pod_group == "team/tied")
    assert verdict.blocker is Blocker.QUEUE_LIMIT
    assert nodes_of(plan, "tied") == []


def test_no_room_is_made_for_fixed_work_above_deserved_quota():
    snapshot = a_cluster(
        two_racks(2, 3),
        a_gang("loose", 2, 8, 0),
        a_gang("tied", 3, 8, 1, required="rack", is_preemptible=False, priority=40),
        queues=a_strict_pair(gpu=16),
    )

    plan = decide(snapshot)

    verdict = next(one for one in plan.verdicts if one.pod_group == "team/tied")
    assert verdict.blocker is Blocker.NON_PREEMPTIBLE_OVER_QUOTA
    assert nodes_of(plan, "loose") != []


def test_the_gang_first_in_the_fair_order_gets_the_room_not_the_larger_number():
    # Greedy strands "tied" and seats the three after it; in its turn it goes before them, and they wait.
    snapshot = a_cluster(
        two_racks(2, 3),
        *(a_gang(f"single-{number}", 1, 8, number) for number in range(2)),
        a_gang("tied", 3, 8, 5, required="rack"),
        *(a_gang(f"later-{number}", 1, 8, 10 + number) for number in range(3)),
    )

    before, after = greedily(snapshot), decide(snapshot)

    assert [bool(nodes_of(before, f"later-{number}")) for number in range(3)] == [True, True, True]
    assert len(nodes_of(after, "tied")) == 3
    assert [bool(nodes_of(after, f"later-{number}")) for number in range(3)] == [False, False, False]
    assert after.solver.objective > after.solver.greedy_objective


def test_the_same_snapshot_gives_the_same_last_plan_byte_for_byte():
    snapshot = a_cluster(
        two_racks(3, 4),
        a_gang("loose", 2, 8, 0),
        a_gang("wide", 4, 8, 1, preferred="rack"),
        a_gang("third", 1, 8, 2),
    )

    assert repr(decide(snapshot)) == repr(decide(snapshot))
