"""Access: whether the namespaces of placed pods may use their queues (``spec.kaiSched.namespaceSelector``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kai_sched.model.ids import PodGroupKey, QueueName
from kai_sched.model.plan import Plan
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.checker import Violation, ViolationKind
from kai_sched.placement.checker.labels import selects_labels
from kai_sched.planning.checks.payers import upwards

_NAME: Final = "kubernetes.io/metadata.name"


def check_access(snapshot: ClusterSnapshot, plan: Plan) -> Iterator[Violation]:
    """Groups whose namespace their queue, or one above it, does not select."""
    queues = {queue.name: queue for queue in snapshot.queues}
    if all(queue.namespace_selector is None for queue in snapshot.queues):
        return
    queue_of = {group.key: group.queue for group in snapshot.pod_groups}
    for group in sorted({placement.pod_group for placement in (*plan.binds, *plan.pipelined)}):
        labels = _labels_of(snapshot, group)
        for name in upwards(queue_of.get(group), queues):
            selector = queues[name].namespace_selector
            if selector is not None and not selects_labels(selector, labels):
                yield Violation(ViolationKind.QUEUE_ACCESS, group, _phrase(group, name))


def _labels_of(snapshot: ClusterSnapshot, group: PodGroupKey) -> dict[str, str]:
    namespace = group.split("/", 1)[0]
    found = dict(snapshot.fleet.namespace_labels).get(namespace, ())
    return {_NAME: namespace, **dict(found)}


def _phrase(group: PodGroupKey, queue: QueueName) -> str:
    return f"namespace {group.split('/', 1)[0]} may not use queue {queue}"
