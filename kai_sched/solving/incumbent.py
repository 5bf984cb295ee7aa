"""What of a plan the checker must look at again, wherever plans are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kai_sched.model.plan import Plan
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.checker import Violation

Check = Callable[[ClusterSnapshot, Policy, Plan], Sequence[Violation]]


def decides_like(plan: Plan, incumbent: Plan | None) -> bool:
    """Whether a plan changes no decision: the last one of a cycle often only adds how good they are."""
    return incumbent is not None and _decisions(plan) == _decisions(incumbent)


def _decisions(plan: Plan) -> tuple[object, ...]:
    outcomes = [(verdict.pod_group, verdict.outcome, verdict.blocker) for verdict in plan.verdicts]
    return plan.binds, plan.pipelined, plan.evictions, outcomes
