"""Salvage: what of a refused plan can be carried out, so that one group's broken promise costs that group only.

The checker refuses a plan as a whole. A mistake of the engines (or a cluster that nobody thought of) would otherwise
come again in every cycle, and nobody would be served. Groups are added back in the plan's order as long as the checker
passes what is kept; gangs stay whole, because a group is kept with all its placements or with none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from kai_sched.model.ids import PodGroupKey
from kai_sched.model.plan import Blocker, Deallocation, Outcome, Plan, Verdict
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.checker import Violation

Check = Callable[[ClusterSnapshot, Policy, Plan], Sequence[Violation]]

MOST_CHECKS = 64
"""How often the checker is asked: enough for a handful of wrong groups among thousands, found by halving."""


def salvage(
    snapshot: ClusterSnapshot, policy: Policy, plan: Plan, check: Check, *, most_checks: int = MOST_CHECKS
) -> Plan | None:
    """The part of a refused plan that the checker passes; None if it refuses even a plan that does nothing.

    Groups left out hear why by blocker Refused. Once ``most_checks`` are spent, what has not been tried is left out.
    """
    search = _Search(snapshot, policy, plan, check, most_checks)
    if search.checks_left <= 0 or search.violations_with(()):
        return None
    groups = tuple(dict.fromkeys(place.pod_group for place in plan.binds + plan.pipelined))
    middle = len(groups) // 2
    for part in (groups[:middle], groups[middle:]):
        search.add(part)
    search.add_deallocations()
    return search.part(())


@dataclass(slots=True)
class _Search:
    snapshot: ClusterSnapshot
    policy: Policy
    plan: Plan
    check: Check
    checks_left: int
    kept: list[PodGroupKey] = field(default_factory=list)
    causes: dict[PodGroupKey, str] = field(default_factory=dict)
    deallocations: tuple[Deallocation, ...] = ()

    def add_deallocations(self) -> None:
        """Keep what is given back, all or nothing."""
        self.deallocations = self.plan.deallocations
        if self.deallocations and (self.checks_left <= 0 or self.violations_with(())):
            self.deallocations = ()

    def add(self, groups: tuple[PodGroupKey, ...]) -> None:
        """Keep of these groups what passes together with those kept already."""
        if not groups or self.checks_left <= 0:
            return
        violations = self.violations_with(groups)
        if not violations:
            self.kept += groups
        elif len(groups) == 1:
            self.causes[groups[0]] = str(violations[0])
        else:
            middle = len(groups) // 2
            self.add(groups[:middle])
            self.add(groups[middle:])

    def violations_with(self, groups: tuple[PodGroupKey, ...]) -> Sequence[Violation]:
        """What the checker says of the kept groups and these."""
        self.checks_left -= 1
        return self.check(self.snapshot, self.policy, self.part(groups))

    def part(self, groups: tuple[PodGroupKey, ...]) -> Plan:
        """The plan with the kept groups and these only."""
        plan, wanted = self.plan, frozenset((*self.kept, *groups))
        return replace(
            plan,
            binds=tuple(place for place in plan.binds if place.pod_group in wanted),
            pipelined=tuple(place for place in plan.pipelined if place.pod_group in wanted),
            deallocations=self.deallocations,
            evictions=tuple(one for one in plan.evictions if one.beneficiary in wanted),
            verdicts=tuple(
                self._refused(verdict) if _is_served(verdict) and verdict.pod_group not in wanted else verdict
                for verdict in plan.verdicts
            ),
            # The figures were those of the whole plan.
            solver=replace(plan.solver, objective=(), bound=()),
        )

    def _refused(self, verdict: Verdict) -> Verdict:
        cause = self.causes.get(verdict.pod_group, "the plan it was part of broke a promise")
        return replace(
            verdict,
            outcome=Outcome.UNPLACED,
            blocker=Blocker.REFUSED,
            message=f"a place was found, but the check of the plan refused it: {cause}",
            next_step="report it as a bug of the scheduler, with the output of kai-sched snapshot",
            is_proof=False,
        )


def _is_served(verdict: Verdict) -> bool:
    return verdict.outcome in {Outcome.PLACED, Outcome.PIPELINED}
