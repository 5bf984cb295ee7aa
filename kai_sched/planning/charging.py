"""Charging: which queue pays, so that all that a pod of ours holds is charged once, to a leaf queue that exists.

Nobody whom a quota binds can move or hide a charge. A claim's label only chooses among the queues of the pods that
use the claim; a pod whose pod group is gone pays by its own labels; and where the queue that should pay cannot, another
does, because what is held is held:

- a queue that has children: the default queue if it is below it, else the first leaf below it by name;
- a queue that does not exist: the default queue if it is a leaf, else the first leaf by name.
"""

from __future__ import annotations

from collections.abc import Sequence

from kai_sched.model.devices import Claim
from kai_sched.model.ids import QueueName, Uid
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import ACTIVE, GroupOrigin, Pod, PodGroup


class Charging:
    """Who pays in one snapshot."""

    def __init__(self, snapshot: ClusterSnapshot, policy: Policy) -> None:
        self._policy = policy
        self._groups = {group.key: group for group in snapshot.pod_groups}
        self._parent_of = {queue.name: queue.parent for queue in snapshot.queues}
        parents = set(self._parent_of.values())
        self._leaves = sorted(name for name in self._parent_of if name not in parents)
        self._payers: dict[QueueName, QueueName] = {name: name for name in self._leaves}

    def group_of(self, pod: Pod) -> PodGroup:
        """The group of a pod of ours; one that asks for nothing where it does not exist."""
        assert pod.group is not None
        return self._groups.get(pod.group) or PodGroup(
            key=pod.group, uid=Uid(""), queue=QueueName(""), origin=GroupOrigin.MISSING
        )

    def queue_of(self, pod: Pod) -> QueueName:
        """The queue that pays for what a pod holds; while it waits, the queue in which it does."""
        named = self.group_of(pod).queue
        return self._payer_for(named or self._said_by(pod)) if pod.state in ACTIVE else named

    def payer(self, claim: Claim, pods: Sequence[Pod]) -> Pod:
        """The pod whose queue pays for a claim that these pods share.

        The label of the claim counts where it is the queue of one of them. Then the first of those pays, else the first
        of all: in the order of ``status.reservedFor``, then by creation time and uid.
        """
        labelled = [pod for pod in pods if self.queue_of(pod) == claim.queue_label]
        return _first_consumer(claim, labelled or pods)

    def _said_by(self, pod: Pod) -> QueueName:
        """What the labels of a pod say whose group says nothing, because it is gone."""
        labels = dict(pod.spec.labels)
        queue = labels.get(self._policy.queue_label, "")
        project, pool = (
            labels.get(self._policy.project_label, ""),
            labels.get(self._policy.partition_label, ""),
        )
        if not queue and project:
            queue = f"{project}-{pool}" if pool else project
        return QueueName(queue or self._policy.default_queue)

    def _payer_for(self, named: QueueName) -> QueueName:
        payer = self._payers.get(named)
        if payer is None:
            below = [leaf for leaf in self._leaves if self._is_below(leaf, named)] or self._leaves
            default = QueueName(self._policy.default_queue)
            payer = default if default in below else next(iter(below), named)
            self._payers[named] = payer
        return payer

    def _is_below(self, leaf: QueueName, above: QueueName) -> bool:
        """Whether going up from a leaf leads to that queue; from a leaf nobody comes into a cycle of parents twice."""
        seen: set[QueueName] = set()
        name: QueueName | None = leaf
        while name is not None and name not in seen:
            if name == above:
                return True
            seen.add(name)
            name = self._parent_of.get(name)
        return False


def _first_consumer(claim: Claim, pods: Sequence[Pod]) -> Pod:
    by_uid = {str(pod.uid): pod for pod in pods}
    for consumer in claim.reserved_for:
        if consumer.uid in by_uid:
            return by_uid[consumer.uid]
    return min(pods, key=lambda pod: (pod.created_at, pod.uid))
