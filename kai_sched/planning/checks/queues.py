"""Queues: whether a plan keeps every queue within its limits, counted anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kai_sched.model.ids import QueueName
from kai_sched.model.plan import Plan
from kai_sched.model.policy import Policy
from kai_sched.model.queues import QUOTA_RESOURCES, UNLIMITED, Queue, QuotaResource, QuotaVector
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.checker import Violation, ViolationKind
from kai_sched.planning.checks.amounts import Amounts
from kai_sched.planning.checks.holdings import Holdings, Ledgers
from kai_sched.planning.checks.payers import Payers, upwards

_TOLERANCE = 1e-6
"""Relative; memory in MB is no whole number."""


def check_queues(
    snapshot: ClusterSnapshot, policy: Policy, plan: Plan, amounts: Amounts
) -> Iterator[Violation]:
    """Queues above a limit, or with non-preemptible work above deserved quota, to which the plan adds."""
    queues = {queue.name: queue for queue in snapshot.queues}
    if not (plan.binds or plan.pipelined):
        return
    ledgers = Ledgers(snapshot, plan, amounts, Payers(snapshot, policy))
    before, after = _rolled_up(ledgers.before(), queues), _rolled_up(ledgers.after(), queues)
    added_to = {
        (name, is_fixed)
        for place in ledgers.places_of_newcomers()
        for name in upwards(place.queue, queues)
        for is_fixed in (False, not place.is_preemptible)
    }
    for name, is_fixed in sorted(added_to):
        key = (name, is_fixed)
        yield from _breaches(
            queues[name],
            before.get(key, QuotaVector()),
            after.get(key, QuotaVector()),
            is_fixed=is_fixed,
        )


def _rolled_up(
    holdings: Holdings, queues: Mapping[QueueName, Queue]
) -> dict[tuple[QueueName, bool], QuotaVector]:
    """By queue, descendants included: all of it (False), and what cannot be taken back (True)."""
    totals: dict[tuple[QueueName, bool], QuotaVector] = {}
    for place, amount in holdings.items():
        for name in upwards(place.queue, queues):
            for is_fixed in (False,) if place.is_preemptible else (False, True):
                totals[name, is_fixed] = totals.get((name, is_fixed), QuotaVector()) + amount
    return totals


def _breaches(
    queue: Queue, before: QuotaVector, after: QuotaVector, *, is_fixed: bool
) -> Iterator[Violation]:
    added = after - before
    for resource in QUOTA_RESOURCES:
        quota = queue.resource(resource)
        bound = quota.deserved if is_fixed else quota.limit
        slack = _TOLERANCE * max(1.0, abs(bound))
        if added.get(resource) <= slack or bound == UNLIMITED or after.get(resource) <= bound + slack:
            continue
        kind = ViolationKind.NON_PREEMPTIBLE_OVER_QUOTA if is_fixed else ViolationKind.QUEUE_LIMIT
        yield Violation(kind, queue.name, _phrase(resource, before, added, bound))


def _phrase(resource: QuotaResource, before: QuotaVector, added: QuotaVector, bound: float) -> str:
    return f"{resource}: {before.get(resource):g} allocated + {added.get(resource):g} planned > {bound:g}"
