"""Who pays: the leaf queue that what a pod holds is charged to, found anew from the snapshot.

A pod pays into the queue of its group; where the group is gone or says nothing, into the one that its labels name. What
runs in a queue that cannot pay (it has children, or does not exist) is charged all the same: to the default queue if
that is among the leaves below it (below nothing: among all), else to the first of those by name. A claim that several
pods share is paid by the first of them whose queue is the one of the claim's label, else by the first of all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from kai_sched.model.devices import Claim
from kai_sched.model.ids import QueueName
from kai_sched.model.policy import Policy
from kai_sched.model.queues import Queue
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import Pod, PodGroup


def upwards(name: QueueName | None, queues: Mapping[QueueName, Queue]) -> Iterator[QueueName]:
    """A queue and its ancestors; a cycle is walked once."""
    seen: set[QueueName] = set()
    while name is not None and name in queues and name not in seen:
        seen.add(name)
        yield name
        name = queues[name].parent


@dataclass(frozen=True, slots=True)
class Place:
    """A leaf queue, and whether what is charged there may be taken back."""

    queue: QueueName
    is_preemptible: bool


class Payers:
    """The places of pods in one snapshot."""

    def __init__(self, snapshot: ClusterSnapshot, policy: Policy) -> None:
        self._policy = policy
        self._queues = {queue.name: queue for queue in snapshot.queues}
        self._groups: dict[str, PodGroup] = {group.key: group for group in snapshot.pod_groups}
        inner = {queue.parent for queue in snapshot.queues}
        self._leaves = sorted(name for name in self._queues if name not in inner)
        self._places: dict[tuple[str, bool], Place] = {}

    def place_of(self, pod: Pod) -> Place:
        """Where a pod of ours pays."""
        group = self._groups.get(pod.group) if pod.group is not None else None
        named = group.queue if group is not None and group.queue else self._by_labels(pod)
        key = (named, group is None or group.is_preemptible)
        known = self._places.get(key)
        if known is None:
            known = self._places[key] = Place(self._leaf(named), key[1])
        return known

    def payer(self, claim: Claim, pods: Sequence[Pod]) -> Pod:
        """Who pays for a claim of these pods: those for whom it is reserved first, then those that run, then the others."""
        order: dict[str, int] = {one.uid: number for number, one in enumerate(claim.reserved_for)}

        def rank(pod: Pod) -> tuple[int, float, str]:
            runs = (pod.created_at, str(pod.uid)) if pod.node is not None else (inf, "")
            return (order.get(pod.uid, len(order)), *runs)

        in_order = sorted(pods, key=rank)
        of_label = (pod for pod in in_order if self.place_of(pod).queue == claim.queue_label)
        return next(of_label, in_order[0])

    def _by_labels(self, pod: Pod) -> QueueName:
        labels, policy = dict(pod.spec.labels), self._policy
        if labels.get(policy.queue_label):
            return QueueName(labels[policy.queue_label])
        parts = (labels.get(policy.project_label, ""), labels.get(policy.partition_label, ""))
        return QueueName("-".join(filter(None, parts)) if parts[0] else policy.default_queue)

    def _leaf(self, named: QueueName) -> QueueName:
        if named in self._leaves:
            return named
        below = [leaf for leaf in self._leaves if named in upwards(leaf, self._queues)]
        among = below or self._leaves or [named]
        default = QueueName(self._policy.default_queue)
        return default if default in among else among[0]
