"""Incumbent: the best plan of a decision so far that the checker passes, wherever plans are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kai_sched.model.plan import Blocker, Outcome, Placement, Plan
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot, RefusedPlace
from kai_sched.placement.checker import Violation
from kai_sched.planning.checks.salvage import Check, salvage

_SHOWN_VIOLATIONS = 10
MOST_RETRIES = 4
"""How often a snapshot is decided again without the places that the checker refused."""

__all__ = ["MOST_RETRIES", "Check", "Incumbent"]


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
    refused_places: tuple[RefusedPlace, ...] = ()
    """Where the checker refused groups that have no place in the plan that is kept."""

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
            if self.plan is not None:
                self.refused_places = _places_refused(plan, self.plan, violations)

    def replaces(self, earlier: Incumbent) -> bool:
        """Whether more groups have a place here; then what was refused earlier is told here too."""
        if _served(self.plan) <= _served(earlier.plan):
            return False
        self.refused += earlier.refused
        self.refusals = tuple(dict.fromkeys((*earlier.refusals, *self.refusals)))
        return True


def _served(plan: Plan | None) -> int:
    outcomes = [verdict.outcome for verdict in plan.verdicts] if plan is not None else []
    return sum(outcome in {Outcome.PLACED, Outcome.PIPELINED} for outcome in outcomes)


def _places_refused(offered: Plan, kept: Plan, violations: Sequence[Violation]) -> tuple[RefusedPlace, ...]:
    """Of groups left out the places that violations speak of, or all of them."""
    subjects = {violation.subject for violation in violations}
    found: dict[RefusedPlace, None] = {}
    for verdict in kept.verdicts:
        if verdict.blocker is not Blocker.REFUSED:
            continue
        places = [
            place for place in (*offered.binds, *offered.pipelined) if place.pod_group == verdict.pod_group
        ]
        wrong = [place for place in places if not subjects.isdisjoint(_names_of(place))]
        found |= {RefusedPlace(verdict.pod_group, place.node): None for place in wrong or places}
    return tuple(found)


def _names_of(place: Placement) -> set[str]:
    devices = (device for use in place.claims for device in use.devices)
    return {place.pod, place.node, *(use.claim for use in place.claims), *devices}


def _decisions(plan: Plan) -> tuple[object, ...]:
    outcomes = [(verdict.pod_group, verdict.outcome, verdict.blocker) for verdict in plan.verdicts]
    return plan.binds, plan.pipelined, plan.evictions, plan.deallocations, outcomes
