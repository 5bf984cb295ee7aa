"""PlanChecker: the independent judge of a whole plan, queues included. What the shell asks before it acts on a plan.

``placement.checker`` judges nodes, devices, gangs and pods; here limits and quotas are added up again over the queue
tree, without the ledger that the stages kept. Only what a pod counts for is asked of the same accounting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kai_sched.devices.index import DeviceIndex
from kai_sched.model.ids import PodGroupKey, QueueName
from kai_sched.model.plan import Plan
from kai_sched.model.policy import Policy
from kai_sched.model.queues import QUOTA_RESOURCES, UNLIMITED, Queue, QuotaResource, QuotaVector
from kai_sched.model.snapshot import ClusterSnapshot, Fleet
from kai_sched.model.workloads import PodGroup
from kai_sched.placement.checker import Violation, ViolationKind, check_plan
from kai_sched.planning.accounting import Accounting

_TOLERANCE = 1e-6
"""Relative; memory in MB is no whole number."""


class PlanChecker:
    """Call it with a snapshot, its policy and a plan; remembers what it derived from the last fleet."""

    def __init__(self) -> None:
        self._fleet: Fleet | None = None
        self._index: DeviceIndex | None = None

    def __call__(self, snapshot: ClusterSnapshot, policy: Policy, plan: Plan) -> tuple[Violation, ...]:
        """Every promise that the plan breaks; empty for a good plan."""
        found = check_plan(snapshot, policy, plan)
        accounting = Accounting.of(snapshot, policy, self._index_of(snapshot.fleet))
        return (*found, *check_queues(snapshot, plan, accounting))

    def _index_of(self, fleet: Fleet) -> DeviceIndex:
        if self._index is None or self._fleet is not fleet:
            self._fleet, self._index = fleet, DeviceIndex.of(fleet)
        return self._index


def check_queues(snapshot: ClusterSnapshot, plan: Plan, accounting: Accounting) -> Iterator[Violation]:
    """Queues above a limit, or with non-preemptible work above deserved quota, to which the plan adds.

    ``accounting``: fresh; it learns which claims the plan's pods hold.
    """
    queues = {queue.name: queue for queue in snapshot.queues}
    groups = {group.key: group for group in snapshot.pod_groups}
    added = _added(snapshot, plan, groups, accounting)
    held: dict[tuple[QueueName, bool], QuotaVector] = {}
    for name, usage in accounting.usage().items():
        for above in _upwards(name, queues):
            for is_fixed, amount in ((False, usage.allocated), (True, usage.allocated_non_preemptible)):
                held[above, is_fixed] = held.get((above, is_fixed), QuotaVector()) + amount
    totals: dict[tuple[QueueName, bool], QuotaVector] = {}
    for (name, is_preemptible), amount in added.items():
        for above in _upwards(name, queues):
            for is_fixed in (False,) if is_preemptible else (False, True):
                totals[above, is_fixed] = totals.get((above, is_fixed), QuotaVector()) + amount
    for (name, is_fixed), amount in sorted(totals.items()):
        before = held.get((name, is_fixed), QuotaVector())
        yield from _breaches(queues[name], before, amount, is_fixed=is_fixed)


def _added(
    snapshot: ClusterSnapshot,
    plan: Plan,
    groups: Mapping[PodGroupKey, PodGroup],
    accounting: Accounting,
) -> dict[tuple[QueueName, bool], QuotaVector]:
    """What the plan's placements add, less what its evictions free, by queue and preemptibility."""
    position_of = {pod.key: position for position, pod in enumerate(snapshot.pods)}
    added: dict[tuple[QueueName, bool], QuotaVector] = {}
    for placement in plan.binds + plan.pipelined:
        position, group = position_of.get(placement.pod), groups.get(placement.pod_group)
        if position is None or group is None:
            continue
        key = (group.queue, group.is_preemptible)
        request = accounting.request_of((position,), {position: placement.node})
        added[key] = added.get(key, QuotaVector()) + request
        accounting.note_placed((position,))
    for eviction in plan.evictions:
        position, group = position_of.get(eviction.pod), groups.get(eviction.pod_group)
        if position is not None and group is not None:
            key = (group.queue, group.is_preemptible)
            freed = accounting.quota_of_pod(snapshot.pods[position])
            added[key] = added.get(key, QuotaVector()) - freed
    return added


def _upwards(name: QueueName, queues: Mapping[QueueName, Queue]) -> Iterator[QueueName]:
    """A queue and its ancestors; a cycle is walked once."""
    seen: set[QueueName] = set()
    current: QueueName | None = name
    while current is not None and current in queues and current not in seen:
        seen.add(current)
        yield current
        current = queues[current].parent


def _breaches(
    queue: Queue, before: QuotaVector, added: QuotaVector, *, is_fixed: bool
) -> Iterator[Violation]:
    for resource in QUOTA_RESOURCES:
        quota = queue.resource(resource)
        bound = quota.deserved if is_fixed else quota.limit
        after = before.get(resource) + added.get(resource)
        if added.get(resource) <= 0 or bound == UNLIMITED or after <= bound + _slack(bound):
            continue
        kind = ViolationKind.NON_PREEMPTIBLE_OVER_QUOTA if is_fixed else ViolationKind.QUEUE_LIMIT
        yield Violation(kind, queue.name, _phrase(resource, before, added, bound))


def _phrase(resource: QuotaResource, before: QuotaVector, added: QuotaVector, bound: float) -> str:
    return f"{resource}: {before.get(resource):g} allocated + {added.get(resource):g} planned > {bound:g}"


def _slack(bound: float) -> float:
    return _TOLERANCE * max(1.0, abs(bound))
