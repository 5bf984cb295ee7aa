"""Gangs larger than every domain: counting refutes them, whatever else this cycle has seated that nobody may move."""

from __future__ import annotations

import pytest

from kai_sched.model.plan import Outcome, Plan, Verdict
from kai_sched.model.policy import Policy
from kai_sched.model.workloads import GpuShare
from kai_sched.planning.cycle import plan_cycle
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec

RACK_SIZE = 3


def planned(*others: object, members: int) -> Plan:
    """Two racks of three nodes, a gang of whole nodes that needs one rack, and others of this cycle."""
    nodes = [
        a_node(f"r{rack}-n{node}", labels={"rack": f"r{rack}"}, gpu_memory_mib=80_000)
        for rack in range(2)
        for node in range(RACK_SIZE)
    ]
    gang = [a_pod(f"big-{number}", a_spec(gpus=8), group="big") for number in range(members)]
    groups = [
        a_group("big", min_member=members, required="rack"),
        *(a_group(pod.key[5:], priority=100) for pod in others),
    ]
    return plan_cycle(a_snapshot(nodes=nodes, pods=[*gang, *others], groups=groups), Policy())


def verdict_of(plan: Plan) -> Verdict:
    return next(verdict for verdict in plan.verdicts if verdict.pod_group == "team/big")


@pytest.mark.parametrize("is_beside_a_share", [False, True])
def test_a_gang_larger_than_every_domain_is_refuted_and_the_plan_is_known_to_be_the_best(is_beside_a_share):
    share = a_pod("part", a_spec(gpus=0, gpu_share=GpuShare(portion_micros=500_000)))

    plan = planned(*([share] if is_beside_a_share else []), members=RACK_SIZE + 1)

    verdict = verdict_of(plan)
    assert (verdict.outcome, verdict.is_proof) == (Outcome.UNPLACED, True)
    assert dict(plan.solver.bound)["gangsRescued"] == 0
    assert plan.solver.status == "OPTIMAL"


def test_a_gang_that_fills_a_domain_is_placed():
    assert verdict_of(planned(members=RACK_SIZE)).outcome is Outcome.PLACED
