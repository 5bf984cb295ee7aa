"""Domains: how many pods of a kind lie in each value of a node label, counted while pods are put on nodes in turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from kai_sched.model.ids import NodeName
from kai_sched.model.workloads import PodSpec

Labels = Mapping[NodeName, Mapping[str, str]]


class Residents:
    """Who is on which node: specs with the number of their pods on each node, those that leave apart."""

    def __init__(self) -> None:
        self.specs: dict[int, PodSpec] = {}
        self.nodes: dict[tuple[int, bool], Counter[NodeName]] = {}

    def add(self, spec: PodSpec, node: NodeName, *, is_leaving: bool = False) -> None:
        """A pod is on a node."""
        self.specs[id(spec)] = spec
        self.nodes.setdefault((id(spec), is_leaving), Counter())[node] += 1


class DomainCount:
    """Pods that ``weigh`` counts, by the value of a label; of pods on some nodes only, if they are given."""

    def __init__(
        self,
        key: str,
        labels: Labels,
        weigh: Callable[[PodSpec], int],
        *,
        nodes: Iterable[NodeName] | None = None,
        counts_leaving: bool = True,
    ) -> None:
        self.key = key
        self.counts: Counter[str] = Counter()
        self.counts_leaving = counts_leaving
        self._labels = labels
        self._weigh = weigh
        self._weights: dict[int, int] = {}
        self._nodes = None if nodes is None else frozenset(nodes)
        self._domains_with: Counter[int] = Counter()
        self._lowest = 0
        for name in self._nodes or ():
            self.counts[labels[name][key]] = 0
        self._domains_with[0] = len(self.counts)

    def count_residents(self, residents: Residents) -> None:
        """Count everybody who is there."""
        for (spec_id, is_leaving), nodes in residents.nodes.items():
            if not is_leaving or self.counts_leaving:
                spec = residents.specs[spec_id]
                for node, times in nodes.items() if self.weight(spec) else ():
                    self.add(spec, node, times)

    def add(self, spec: PodSpec, node: NodeName, times: int = 1) -> None:
        """Pods of a spec come to a node."""
        weight = self.weight(spec) * times
        value = self._labels[node].get(self.key)
        if not weight or value is None or (self._nodes is not None and node not in self._nodes):
            return
        before = self.counts[value]
        self.counts[value] = before + weight
        self._domains_with[before] -= 1
        self._domains_with[before + weight] += 1

    def weight(self, spec: PodSpec) -> int:
        """How much one pod of a spec counts."""
        known = self._weights.get(id(spec))
        if known is None:
            known = self._weights[id(spec)] = self._weigh(spec)
        return known

    def at(self, node: NodeName) -> int:
        """The count in a node's domain; 0 for a node in none."""
        value = self._labels[node].get(self.key)
        return 0 if value is None else self.counts.get(value, 0)

    def lowest(self) -> int:
        """The count of the domain that has fewest. Counts only grow, so it is found going up."""
        while self.counts and not self._domains_with[self._lowest]:
            self._lowest += 1
        return self._lowest
