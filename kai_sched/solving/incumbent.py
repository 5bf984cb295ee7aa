"""Incumbent: the best plan of a decision so far that the checker passes, wherever plans are kept."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kai_sched.model.plan import Plan
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.planning.checks.salvage import Check, salvage

_SHOWN_VIOLATIONS = 10

__all__ = ["Check", "Incumbent"]


@dataclass(slots=True)
class Incumbent:
    """What is kept of the plans that one decision offers, each better than the one before."""

    snapshot: ClusterSnapshot
    policy: Policy
    check: Check
    plan: Plan | None = None
    refused: int = 0
    """Plans that the checker refused."""
    refusals: tuple[str, ...] = ()
    """Violations of refused plans, in words."""

    @property
    def result(self) -> Plan | None:
        """The plan that is kept, with the refused ones counted in its report."""
        if self.plan is None or not self.refused:
            return self.plan
        report = self.plan.solver
        return replace(self.plan, solver=replace(report, rejected=report.rejected + self.refused))

    def offer(self, plan: Plan) -> None:
        """Keep a plan if the checker passes it; of the first one, what it passes.

        The last plan of a cycle often only adds how good the decisions are: then there is nothing to check again.
        """
        if self.plan is not None and _decisions(plan) == _decisions(self.plan):
            self.plan = plan
            return
        violations = self.check(self.snapshot, self.policy, plan)
        if not violations:
            self.plan = plan
            return
        self.refused += 1
        words = (str(violation) for violation in violations[:_SHOWN_VIOLATIONS])
        self.refusals = tuple(dict.fromkeys((*self.refusals, *words)))
        if self.plan is None:
            self.plan = salvage(self.snapshot, self.policy, plan, self.check)


def _decisions(plan: Plan) -> tuple[object, ...]:
    outcomes = [(verdict.pod_group, verdict.outcome, verdict.blocker) for verdict in plan.verdicts]
    return plan.binds, plan.pipelined, plan.evictions, plan.deallocations, outcomes
