"""Namespaces: which queues their workloads may use (``spec.kaiSched.namespaceSelector`` of a queue and of those above)."""

from __future__ import annotations

from kai_sched.fairness.tree import QueueTree
from kai_sched.model.ids import PodGroupKey, QueueName
from kai_sched.model.snapshot import Fleet
from kai_sched.placement.rules.matching import selects

_NAME_LABEL = "kubernetes.io/metadata.name"
"""The API server gives it to every namespace; a file may lack the namespaces."""


class Namespaces:
    """The labels of namespaces, against the queues of a tree."""

    def __init__(self, fleet: Fleet, tree: QueueTree) -> None:
        self._labels = {name: dict(labels) for name, labels in fleet.namespace_labels}
        self._tree = tree

    def barred_by(self, group: PodGroupKey, queue: QueueName) -> QueueName | None:
        """The queue, or the nearest above it, that the group's namespace may not use."""
        namespace = group.partition("/")[0]
        labels = {_NAME_LABEL: namespace, **self._labels.get(namespace, {})}
        for name in self._tree.ancestors(queue):
            selector = self._tree.queues[name].namespace_selector
            if selector is not None and not selects(selector, labels):
                return name
        return None
