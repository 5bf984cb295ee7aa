"""The independent judge of plans: recomputes from the snapshot whether every promise is kept.

It shares no arithmetic with the engines that make plans, so that a mistake of theirs is seen here and never reaches
the cluster. Only the pod rules (selectors, affinities, volumes ...) are asked of ``placement.rules`` again. What
depends on queues is judged above, in ``planning``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kai_sched.model.plan import Plan
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.checker.books import Books, open_books
from kai_sched.placement.checker.claims import check_claims
from kai_sched.placement.checker.confidential import check_confidential
from kai_sched.placement.checker.evictions import check_evictions
from kai_sched.placement.checker.fabrics import check_fabrics
from kai_sched.placement.checker.gangs import check_gangs, check_losers
from kai_sched.placement.checker.gpus import check_gpus
from kai_sched.placement.checker.nodes import check_nodes
from kai_sched.placement.checker.pod_rules import check_pod_rules
from kai_sched.placement.checker.pods import check_pods
from kai_sched.placement.checker.topology import check_topology
from kai_sched.placement.checker.verdicts import check_verdicts
from kai_sched.placement.checker.violation import Violation, ViolationKind

__all__ = ["Violation", "ViolationKind", "check_plan"]

_CHECKS: tuple[Callable[[Books], Iterator[Violation]], ...] = (
    check_pods,
    check_evictions,
    check_nodes,
    check_gpus,
    check_gangs,
    check_losers,
    check_topology,
    check_fabrics,
    check_pod_rules,
    check_claims,
    check_confidential,
    check_verdicts,
)


def check_plan(snapshot: ClusterSnapshot, policy: Policy, plan: Plan) -> tuple[Violation, ...]:
    """Every promise that the plan breaks; empty for a good plan."""
    books = open_books(snapshot, policy, plan)
    return tuple(violation for check in _CHECKS for violation in check(books))
