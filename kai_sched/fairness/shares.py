"""Fair shares of the whole quota tree: usage rolled up, then every level divides what its parent got."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kai_sched.fairness.division import Claimant, divide
from kai_sched.fairness.exact import (
    NOTHING,
    UNBOUNDED,
    WHOLE,
    Exact,
    add,
    deserved_of,
    exact_of,
    limit_of,
    vector_of,
)
from kai_sched.fairness.tree import QueueTree
from kai_sched.model.ids import QueueName
from kai_sched.model.queues import QUOTA_RESOURCES, Queue, QueueShare, QuotaVector

_NONE = QuotaVector()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafUsage:
    """What the workloads of one queue hold and want, without its descendants."""

    allocated: QuotaVector = _NONE
    allocated_non_preemptible: QuotaVector = _NONE
    """The part of ``allocated`` that cannot be taken back."""
    pending: QuotaVector = _NONE
    """Asked for on top of ``allocated``."""


_NO_HISTORY: Mapping[QueueName, QuotaVector] = {}


def divide_capacity(
    tree: QueueTree,
    usage: Mapping[QueueName, LeafUsage],
    total: QuotaVector,
    k_value: float = 1.0,
    history: Mapping[QueueName, QuotaVector] = _NO_HISTORY,
) -> dict[QueueName, QueueShare]:
    """The share of every valid queue, in name order.

    ``total`` is the cluster's capacity; ``history`` each queue's past usage as parts (0..1) of the cluster.
    Resources are independent of each other. Usage of a queue that is left out counts in the valid ones above it.
    """
    sums = _roll_up(tree, usage)
    fair: dict[QueueName, Exact] = {}
    levels = [(tree.roots, exact_of(total))]
    while levels:
        siblings, room = levels.pop()
        fair.update(_divide_level(tree, siblings, room, sums, (k_value, history)))
        levels.extend((tree.children[name], fair[name]) for name in siblings if tree.children[name])
    return {name: _share_of(queue, fair[name], sums[name]) for name, queue in tree.queues.items()}


@dataclass(slots=True)
class _Sums:
    """Usage of a queue and everything below it."""

    allocated: Exact = NOTHING
    non_preemptible: Exact = NOTHING
    requested: Exact = NOTHING


def _roll_up(tree: QueueTree, usage: Mapping[QueueName, LeafUsage]) -> dict[QueueName, _Sums]:
    sums = {name: _Sums() for name in tree.queues}
    for name, own in usage.items():
        allocated, fixed = exact_of(own.allocated), exact_of(own.allocated_non_preemptible)
        requested = add(allocated, exact_of(own.pending))
        for above in tree.ancestors(name):
            target = sums[above]
            target.allocated = add(target.allocated, allocated)
            target.non_preemptible = add(target.non_preemptible, fixed)
            target.requested = add(target.requested, requested)
    return sums


def _divide_level(
    tree: QueueTree,
    siblings: tuple[QueueName, ...],
    room: Exact,
    sums: Mapping[QueueName, _Sums],
    fading: tuple[float, Mapping[QueueName, QuotaVector]],
) -> dict[QueueName, Exact]:
    k_value, history = fading
    parts: list[list[int]] = []
    for index, resource in enumerate(QUOTA_RESOURCES):
        available = max(room[index], 0)
        claimants = [
            Claimant(
                wanted=min(limit_of(queue)[index], sums[queue.name].requested[index]),
                deserved=available if (quota := deserved_of(queue)[index]) == UNBOUNDED else quota,
                weight=queue.resource(resource).over_quota_weight,
                priority=queue.priority,
                seniority=(queue.created_at, queue.uid),
                past_usage=history[queue.name].get(resource) if queue.name in history else 0.0,
            )
            for queue in map(tree.queues.__getitem__, siblings)
        ]
        divide(claimants, available, whole=WHOLE[index], k_value=k_value)
        parts.append([claimant.share for claimant in claimants])
    return dict(zip(siblings, zip(*parts, strict=True), strict=True))


def _share_of(queue: Queue, fair: Exact, sums: _Sums) -> QueueShare:
    return QueueShare(
        queue=queue.name,
        deserved=vector_of(deserved_of(queue)),
        limit=vector_of(limit_of(queue)),
        fair_share=vector_of(fair),
        allocated=vector_of(sums.allocated),
        allocated_non_preemptible=vector_of(sums.non_preemptible),
        requested=vector_of(sums.requested),
    )
