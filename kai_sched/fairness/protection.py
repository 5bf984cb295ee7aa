"""Protection: for how long a gang that has started may not be made to leave, and when one may ask others to. KAI's rules.

A minimum runtime is inherited: the nearest queue that sets it counts. Against gangs of its own queue the search begins at
the leaf; against gangs of other queues at the side of the holder where the two paths part.
"""

from __future__ import annotations

from collections.abc import Sequence

from kai_sched.fairness.tree import QueueTree
from kai_sched.model.ids import QueueName
from kai_sched.model.policy import Policy
from kai_sched.model.workloads import PodGroup


def preempt_min_runtime_seconds(tree: QueueTree, policy: Policy, queue: QueueName) -> float:
    """For how long gangs of a leaf queue are safe from gangs of the same queue."""
    if not policy.min_runtime:
        return 0.0
    own = (tree.queues[name].preempt_min_runtime_seconds for name in tree.ancestors(queue))
    return next((seconds for seconds in own if seconds is not None), policy.preempt_min_runtime_seconds)


def reclaim_min_runtime_seconds(
    tree: QueueTree, policy: Policy, taker: QueueName, holder: QueueName
) -> float:
    """For how long gangs of ``holder`` are safe from gangs of ``taker``."""
    if not policy.min_runtime:
        return 0.0
    own = (tree.queues[name].reclaim_min_runtime_seconds for name in _from_parting(tree, taker, holder))
    return next((seconds for seconds in own if seconds is not None), policy.reclaim_min_runtime_seconds)


def _from_parting(tree: QueueTree, taker: QueueName, holder: QueueName) -> Sequence[QueueName]:
    """The holder's queues from where the paths part, upwards."""
    theirs = tree.ancestors(holder)
    above = set(tree.ancestors(taker))
    first = next((index for index, name in enumerate(theirs) if name in above), len(theirs))
    return theirs[max(0, first - 1) :]


def is_protected(group: PodGroup, min_runtime_seconds: float, now: float) -> bool:
    """Whether a gang has not run for as long as it may; one whose start nobody noted is not protected."""
    return group.last_start_at is not None and now < group.last_start_at + min_runtime_seconds


def may_ask_at(group: PodGroup) -> float:
    """Epoch seconds from which on a gang may make others leave: its delay after it came, or was evicted itself."""
    return max(group.created_at, group.last_eviction_at or 0.0) + group.preemption_delay_seconds
