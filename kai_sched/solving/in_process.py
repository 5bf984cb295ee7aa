"""In process: plans for the CLI and simulations, where a crash of the solver costs one command and no cluster."""

from __future__ import annotations

import time
from dataclasses import replace

from kai_sched.errors import SolverFailed
from kai_sched.model.plan import Plan
from kai_sched.model.policy import Policy
from kai_sched.model.queues import QueueShare
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.site.fleet_index import FleetCache
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.planning.cycle import improving_plans
from kai_sched.planning.opening import Opening
from kai_sched.solving.incumbent import MOST_RETRIES, Check, Incumbent


class Decider:
    """Decides snapshots one after another and keeps what it derived from an unchanged fleet."""

    def __init__(self, policy: Policy, *, timed: bool = False, check: Check | None = None) -> None:
        self._policy = policy
        self._clock = time.perf_counter if timed else None
        self._cache = FleetCache()
        self._check = check or PlanChecker()

    def decide(self, snapshot: ClusterSnapshot) -> Plan:
        """The best plan within the policy's deterministic budget that the checker passes, as in the operator."""
        kept = self._offered(snapshot)
        refused = kept.refused_places
        for _ in range(MOST_RETRIES if refused else 0):
            again = self._offered(replace(snapshot, refused_places=refused))
            if again.replaces(kept):
                kept = again
            if not again.refused_places:
                break
            refused += again.refused_places
        best = kept.result
        if best is None:
            raise SolverFailed("; ".join(("the checker refused every plan", *kept.refusals)))
        return best

    def _offered(self, snapshot: ClusterSnapshot) -> Incumbent:
        kept = Incumbent(snapshot, self._policy, self._check)
        for plan in improving_plans(snapshot, self._policy, self._cache, self._clock):
            kept.offer(plan)
        return kept

    def shares(self, snapshot: ClusterSnapshot) -> tuple[QueueShare, ...]:
        """Fair shares as a cycle on this snapshot would begin with."""
        shares = Opening.of(snapshot, self._policy, self._cache).shares
        return tuple(shares[name] for name in sorted(shares))


def decide_in_process(snapshot: ClusterSnapshot, policy: Policy, *, timed: bool = False) -> Plan:
    """One decision."""
    return Decider(policy, timed=timed).decide(snapshot)
