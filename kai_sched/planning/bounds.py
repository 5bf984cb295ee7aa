"""Bounds: limits and quotas of a queue and those above it, as a refusal where a request would pass one."""

from __future__ import annotations

from kai_sched.fairness.ledger import Ledger
from kai_sched.model.queues import QuotaVector
from kai_sched.model.workloads import PodGroup
from kai_sched.placement.refusal import Refusal
from kai_sched.planning.limit_texts import limit_refusal, quota_refusal


def over_bounds(ledger: Ledger, group: PodGroup, request: QuotaVector) -> Refusal | None:
    """The bound that a request would pass.

    Tested before placing (a gang that may not run needs no search) and again with the pods really seated: of K of N
    children they may be others than expected.
    """
    breach = ledger.over_limit(group.queue, request)
    if breach is not None:
        # First, because preemptible work would not help then.
        return limit_refusal(breach, request)
    if group.is_preemptible:
        return None
    breach = ledger.non_preemptible_over_quota(group.queue, request)
    return quota_refusal(breach, request) if breach is not None else None
