"""PlanChecker: the independent judge of a whole plan, queues included. What the shell asks before it acts on a plan.

``placement.checker`` judges nodes, devices, gangs and pods; here limits and quotas are added up again over the queue
tree, from what pods hold before the plan and after it. Nothing of it is asked of the engine: neither the ledger that the
stages kept nor the account that it was kept in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kai_sched.model.ids import QueueName
from kai_sched.model.plan import Plan
from kai_sched.model.policy import Policy
from kai_sched.model.queues import QUOTA_RESOURCES, UNLIMITED, Queue, QuotaResource, QuotaVector
from kai_sched.model.snapshot import ClusterSnapshot, Fleet
from kai_sched.placement.checker import Violation, ViolationKind, check_plan
from kai_sched.placement.checker.pools import Pools
from kai_sched.planning.checks.amounts import Amounts
from kai_sched.planning.checks.holdings import Holdings, Ledgers
from kai_sched.planning.checks.payers import Payers, upwards

_TOLERANCE = 1e-6
"""Relative; memory in MB is no whole number."""


class PlanChecker:
    """Call it with a snapshot, its policy and a plan; remembers how it counts devices of the last fleet."""

    def __init__(self) -> None:
        self._known: tuple[Fleet, Policy, Amounts] | None = None

    def __call__(self, snapshot: ClusterSnapshot, policy: Policy, plan: Plan) -> tuple[Violation, ...]:
        """Every promise that the plan breaks; empty for a good plan."""
        found = check_plan(snapshot, policy, plan)
        return (*found, *check_queues(snapshot, policy, plan, self._amounts(snapshot.fleet, policy)))

    def _amounts(self, fleet: Fleet, policy: Policy) -> Amounts:
        if self._known is None or self._known[0] is not fleet or self._known[1] != policy:
            self._known = (fleet, policy, Amounts(fleet, policy, Pools(fleet.slices)))
        return self._known[2]


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
