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
from tests.builders import NOW, a_group, a_pod, a_snapshot, a_spec, racks


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
