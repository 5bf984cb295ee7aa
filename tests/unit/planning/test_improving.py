"""How good a plan is said to be: the tiers of the objective, their order, and two bounds as one."""

from __future__ import annotations

from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.rearranging.layout import Layout
from kai_sched.planning.cycle import improving_plans
from kai_sched.planning.improving import _joined
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec, racks

POLICY = Policy(advice_units=0)


def a_world(nodes, **gangs: tuple[int, int]) -> ClusterSnapshot:
    """Name -> (pods, GPUs of each)."""
    pods = [
        a_pod(f"{name}-{number}", a_spec(gpus=gpus), group=name)
        for name, (count, gpus) in gangs.items()
        for number in range(count)
    ]
    groups = [a_group(name, min_member=count) for name, (count, _) in gangs.items()]
    return a_snapshot(nodes=nodes, pods=pods, groups=groups)


def report(world: ClusterSnapshot):
    *_, last = improving_plans(world, POLICY)
    return last.solver


def test_a_plan_that_meets_its_bound_is_optimal():
    found = report(a_world([a_node("a")], g=(1, 4)))

    assert found.status == "OPTIMAL"
    assert dict(found.objective) == dict(found.bound)
    assert dict(found.objective)["gangsOfPriority50"] == 1


def test_a_refusal_that_is_proven_does_not_raise_the_bound():
    found = report(a_world([a_node("a")], fits=(1, 4), never=(1, 9)))

    assert dict(found.bound)["gangsOfPriority50"] == 1
    assert found.status == "OPTIMAL"


def test_tiers_are_in_the_order_of_their_weight():
    found = report(a_world(racks(1, 2), g=(1, 4)))

    names = [name for name, _ in found.objective]
    assert names[0] == "gangsRescued"
    assert names[-4:] == ["evictedPods", "surplusDomains", "openedNodes", "openedBoxes"]


def test_without_the_solver_no_objective_is_claimed():
    *_, last = improving_plans(a_world([a_node("a")], g=(1, 4)), Policy(use_solver=False, advice_units=0))

    assert last.solver.status == "GREEDY"
    assert last.solver.objective == ()


def test_a_later_part_of_a_proof_counts_only_where_the_parts_before_are_reached():
    counted, reached = Layout(0, 1, 0), Layout(2, 3, 1)

    # Fewer domains are possible: what the model says of nodes then is of another layout.
    assert _joined(counted, Layout(1, 5, 5), reached) == Layout(1, 1, 0)
    # The domains are reached, fewer nodes are possible.
    assert _joined(counted, Layout(2, 2, 9), reached) == Layout(0, 2, 0)
    # All is reached.
    assert _joined(counted, reached, reached) == reached
