"""PlanChecker: the independent judge of a whole plan, queues included. What the shell asks before it acts on a plan.

``placement.checker`` judges nodes, devices, gangs and pods; here limits and quotas are added up again over the queue
tree, from what pods hold before the plan and after it. Nothing of it is asked of the engine: neither the ledger that the
stages kept nor the account that it was kept in.
"""

from __future__ import annotations

from kai_sched.model.plan import Plan
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot, Fleet
from kai_sched.placement.checker import Violation, check_plan
from kai_sched.placement.checker.pools import Pools
from kai_sched.planning.checks.access import check_access
from kai_sched.planning.checks.amounts import Amounts
from kai_sched.planning.checks.evictions import check_evictions
from kai_sched.planning.checks.queues import check_queues


class PlanChecker:
    """Call it with a snapshot, its policy and a plan; remembers how it counts devices of the last fleet."""

    def __init__(self) -> None:
        self._known: tuple[Fleet, Policy, Amounts] | None = None

    def __call__(self, snapshot: ClusterSnapshot, policy: Policy, plan: Plan) -> tuple[Violation, ...]:
        """Every promise that the plan breaks; empty for a good plan."""
        amounts = self._amounts(snapshot.fleet, policy)
        return (
            *check_plan(snapshot, policy, plan),
            *check_access(snapshot, plan),
            *check_queues(snapshot, policy, plan, amounts),
            *check_evictions(snapshot, policy, plan, amounts),
        )

    def _amounts(self, fleet: Fleet, policy: Policy) -> Amounts:
        if self._known is None or self._known[0] is not fleet or self._known[1] != policy:
            self._known = (fleet, policy, Amounts(fleet, policy, Pools(fleet.slices)))
        return self._known[2]
