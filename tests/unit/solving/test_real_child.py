"""The child as it is, killed in the middle of its work."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

import pytest

from kai_sched.model.plan import Plan
from kai_sched.model.policy import Policy, SolverBudget
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.checker import Violation, check_plan
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.solving.in_process import Decider
from kai_sched.solving.process import SolverProcess
from kai_sched.solving.stats import Ending
from tests.builders import NOW, a_group, a_pod, a_snapshot, a_spec, racks

pytestmark = pytest.mark.solver
PATIENT = Policy(solver=SolverBudget(deterministic_time=60.0, deterministic_time_per_model=20.0))


def a_snapshot_that_takes_long() -> ClusterSnapshot:
    """Gangs of odd sizes that prefer one rack of many half-full ones: seconds of work after the greedy plan."""
    nodes = racks(40, 8)
    pods = [
        a_pod(f"old-{number}", a_spec(gpus=(number * 7) % 6), group=None, node=node.name)
        for number, node in enumerate(nodes)
        if (number * 7) % 6
    ]
    groups = []
    for number in range(60):
        name, size = f"gang-{number:02d}", 5 + number * 11 % 13
        groups.append(a_group(name, min_member=size, preferred="rack", created_at=NOW - 1000 + number))
        pods += [a_pod(f"{name}-{one}", a_spec(gpus=1 + number % 4), group=name) for one in range(size)]
    return a_snapshot(nodes=nodes, pods=pods, groups=groups)


async def test_a_real_child_killed_while_it_improves_leaves_the_greedy_plan() -> None:
    snapshot = a_snapshot_that_takes_long()
    checker = PlanChecker()
    killed: list[int] = []

    def check(seen: ClusterSnapshot, policy: Policy, plan: Plan) -> Sequence[Violation]:
        if not killed and solver.process_id is not None:
            killed.append(solver.process_id)
            os.kill(solver.process_id, signal.SIGKILL)
        return checker(seen, policy, plan)

    async with SolverProcess(check=check) as solver:
        decision = await solver.decide(snapshot, PATIENT, 60)

        assert decision.ending is Ending.DIED
        assert decision.plan is not None
        assert not decision.plan.solver.reproducible
        greedy = Decider(Policy(use_solver=False)).decide(snapshot)
        assert decision.plan.binds == greedy.binds
        assert decision.plan.solver.status == "GREEDY"
        assert check_plan(snapshot, PATIENT, decision.plan) == ()
        assert solver.stats.endings[Ending.DIED] == 1
        assert solver.process_id not in {None, *killed}

        again = await solver.decide(snapshot, Policy(), 60)

    assert again.ending is Ending.FINISHED
    assert again.plan is not None
    assert again.plan.solver.bound


async def test_a_real_child_at_its_deadline_leaves_the_greedy_plan() -> None:
    snapshot = a_snapshot_that_takes_long()
    async with SolverProcess() as solver:
        # Once without solving, so that the child is surely up.
        greedy = await solver.decide(snapshot, Policy(use_solver=False), 60)
        # Time for the first plan on a machine as busy as this one, and not for all that could follow.
        decision = await solver.decide(snapshot, PATIENT, 3.0 + 3.0 * (greedy.first_plan_seconds or 0.0))

    assert decision.ending is Ending.DEADLINE
    assert decision.plan is not None
    assert decision.plan.binds
    assert not decision.plan.solver.reproducible
    assert solver.stats.endings[Ending.DEADLINE] == 1
