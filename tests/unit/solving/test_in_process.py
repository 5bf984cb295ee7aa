"""Decisions made in process keep to the checker too."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kai_sched.errors import SolverFailed
from kai_sched.model.plan import Blocker, Outcome, Plan
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.checker import Violation, ViolationKind
from kai_sched.solving.in_process import Decider
from kai_sched.solving.incumbent import Check
from tests.builders import NOW, a_group, a_node, a_pod, a_snapshot, a_spec, racks


def a_stranding_snapshot() -> ClusterSnapshot:
    """Greedy puts the early pods into the rack that alone could hold the gang."""
    early = [a_pod(f"early-{n}", a_spec(gpus=8), group=f"early-{n}") for n in range(2)]
    gang = [a_pod(f"gang-{n}", a_spec(gpus=8), group="gang") for n in range(3)]
    groups = [a_group(f"early-{n}", created_at=NOW - 100 + n) for n in range(2)]
    groups.append(a_group("gang", min_member=3, required="rack", created_at=NOW - 50))
    nodes = [*racks(1, 3), *(node for node in racks(2, 2) if node.name.startswith("r1"))]
    return a_snapshot(nodes=nodes, pods=[*early, *gang], groups=groups)


def placed(plan: Plan) -> set[str]:
    return {verdict.pod_group for verdict in plan.verdicts if verdict.outcome is Outcome.PLACED}


def test_an_improved_plan_that_passes_is_the_decision() -> None:
    plan = Decider(Policy()).decide(a_stranding_snapshot())

    assert placed(plan) == {"team/early-0", "team/early-1", "team/gang"}
    assert dict(plan.solver.objective)["gangsRescued"] == 1
    assert plan.solver.status == "OPTIMAL"


def no_gang(_snapshot: ClusterSnapshot, _policy: Policy, plan: Plan) -> Sequence[Violation]:
    """Refuses plans that place the gang."""
    bad = Violation(ViolationKind.GANG, "team/gang", "is half placed")
    return [bad] if "team/gang" in placed(plan) else []


def test_an_improved_plan_that_the_checker_refuses_leaves_the_greedy_one() -> None:
    plan = Decider(Policy(), check=no_gang).decide(a_stranding_snapshot())
    greedy = Decider(Policy(use_solver=False)).decide(a_stranding_snapshot())

    assert plan.binds == greedy.binds
    assert placed(plan) == {"team/early-0", "team/early-1"}
    assert plan.solver.status == "GREEDY"
    assert plan.solver.rejected > greedy.solver.rejected


def test_a_first_plan_that_the_checker_refuses_costs_the_group_that_is_wrong() -> None:
    def no_early(_snapshot: ClusterSnapshot, _policy: Policy, plan: Plan) -> Sequence[Violation]:
        bad = Violation(ViolationKind.GANG, "team/early-0", "is half placed")
        return [bad] if "team/early-0" in placed(plan) else []

    plan = Decider(Policy(use_solver=False), check=no_early).decide(a_stranding_snapshot())

    assert placed(plan) == {"team/early-1"}
    verdict = next(one for one in plan.verdicts if one.pod_group == "team/early-0")
    assert verdict.blocker is Blocker.REFUSED
    assert "gang: team/early-0: is half placed" in verdict.message


def test_a_checker_that_refuses_everything_is_named() -> None:
    bad = Violation(ViolationKind.GANG, "team/gang", "is half placed")

    with pytest.raises(SolverFailed, match="refused every plan; gang: team/gang: is half placed"):
        Decider(Policy(), check=lambda *_: (bad,)).decide(a_stranding_snapshot())


def unless_on(*nodes: str) -> Check:
    """Refuses pods of group ``picky`` that are placed on any other node."""

    def check(_snapshot: ClusterSnapshot, _policy: Policy, plan: Plan) -> Sequence[Violation]:
        return [
            Violation(ViolationKind.NODE_RESOURCES, bind.node, "does not suit it")
            for bind in plan.binds
            if bind.pod_group == "team/picky" and bind.node not in nodes
        ]

    return check


def picky_and_another() -> ClusterSnapshot:
    pods = [a_pod("picky", a_spec(gpus=1), group="picky"), a_pod("other", a_spec(gpus=1), group="other")]
    groups = [a_group("picky", created_at=NOW - 100), a_group("other", created_at=NOW - 50)]
    return a_snapshot(nodes=[a_node(name) for name in ("n1", "n2", "n3")], pods=pods, groups=groups)


def test_a_refused_place_is_not_the_end_the_next_node_is_tried() -> None:
    for node in ("n1", "n2", "n3"):
        plan = Decider(Policy(), check=unless_on(node)).decide(picky_and_another())

        assert placed(plan) == {"team/picky", "team/other"}
        assert {bind.pod: bind.node for bind in plan.binds}["team/picky"] == node
    assert plan.solver.rejected > 0


def test_a_group_that_is_refused_everywhere_hears_so_and_costs_the_others_nothing() -> None:
    plan = Decider(Policy(), check=unless_on()).decide(picky_and_another())

    assert placed(plan) == {"team/other"}
    (verdict,) = [verdict for verdict in plan.verdicts if verdict.pod_group == "team/picky"]
    assert verdict.blocker is Blocker.REFUSED


def test_of_a_gang_only_the_nodes_that_are_wrong_are_left_out() -> None:
    gang = [a_pod(f"picky-{number}", a_spec(gpus=8), group="picky") for number in range(2)]
    snapshot = a_snapshot(
        nodes=[a_node(name) for name in ("n1", "n2", "n3")],
        pods=gang,
        groups=[a_group("picky", min_member=2)],
    )

    plan = Decider(Policy(), check=unless_on("n1", "n3")).decide(snapshot)

    assert {bind.node for bind in plan.binds} == {"n1", "n3"}
