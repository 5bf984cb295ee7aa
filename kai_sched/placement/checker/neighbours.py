"""Neighbours: what the pods on the nodes allow a newcomer, told for one pod at a time while all are put there in turn.

Affinity asks for company, anti-affinity (of the newcomer, and of those who are there) forbids it, and a spread bounds how
uneven pods lie. Each reads a ``DomainCount``, made when a pod first asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping

from kai_sched.model.ids import NodeName
from kai_sched.model.nodes import Node
from kai_sched.model.selectors import Operator
from kai_sched.model.workloads import PodAffinityTerm, PodSpec, TopologySpread
from kai_sched.placement.checker.domains import DomainCount, Residents
from kai_sched.placement.checker.labels import selects_labels
from kai_sched.placement.checker.node_rules import is_selected, is_tolerated


class Neighbours:
    """The pods of one view of the cluster, and those that come."""

    def __init__(
        self, nodes: Mapping[NodeName, Node], residents: Residents, coming: Iterable[PodSpec]
    ) -> None:
        self._nodes = nodes
        self._labels = {name: dict(node.labels) for name, node in nodes.items()}
        self._residents = residents
        self._counts: dict[Hashable, DomainCount] = {}
        self._read_by: dict[int, list[DomainCount]] = {}
        self._carried = _Carried([*residents.specs.values(), *coming])
        self._repelled: dict[int, tuple[PodAffinityTerm, ...]] = {}

    def concerns(self, spec: PodSpec) -> bool:
        """Whether other pods matter to where one of this spec may be."""
        return bool(
            any(not term.weight for term in (*spec.pod_affinity, *spec.pod_anti_affinity))
            or any(one.is_required for one in spec.topology_spread)
            or self._repelled_by(spec)
        )

    def add(self, spec: PodSpec, node: NodeName) -> None:
        """A pod comes to a node."""
        self._residents.add(spec, node)
        known = self._read_by.get(id(spec))
        if known is None:
            known = self._read_by[id(spec)] = [one for one in self._counts.values() if one.weight(spec)]
        for count in known:
            count.add(spec, node)

    def wrong_with(self, spec: PodSpec, node: NodeName) -> Iterator[str]:
        """Why a pod may not be on a node beside those who are there."""
        for term in _required(spec.pod_anti_affinity):
            if self._selected((term,), term.topology_key).at(node):
                yield f"pods are near by (per {term.topology_key}) that its anti-affinity avoids"
        for term in self._repelled_by(spec):
            if self._carriers(term).at(node):
                yield f"pods are near by (per {term.topology_key}) whose anti-affinity avoids it"
        if not self._has_company(spec, node):
            yield "no pods are near by that its affinity asks for"
        constraints = [one for one in spec.topology_spread if one.is_required]
        for constraint in constraints:
            if not self._is_even(spec, node, constraint, constraints):
                yield f"pods would lie too unevenly over {constraint.topology_key}"

    def _has_company(self, spec: PodSpec, node: NodeName) -> bool:
        """Under the key of each term a pod that all terms select; the first of its kind anywhere needs none."""
        terms = _required(spec.pod_affinity)
        keys = {term.topology_key for term in terms}
        if not keys <= self._labels[node].keys():
            return False
        counts = [self._selected(terms, key) for key in keys]
        if all(count.at(node) for count in counts):
            return True
        is_first = not any(any(count.counts.values()) for count in counts)
        return is_first and all(_speaks_of(term, spec) for term in terms)

    def _is_even(
        self, spec: PodSpec, node: NodeName, constraint: TopologySpread, among: list[TopologySpread]
    ) -> bool:
        if constraint.topology_key not in self._labels[node]:
            return False
        count = self._spread(spec, constraint, among)
        lowest = count.lowest() if len(count.counts) >= constraint.min_domains else 0
        own = int(selects_labels(constraint.selector, dict(spec.labels)))
        return count.at(node) + own - lowest <= constraint.max_skew

    def _repelled_by(self, spec: PodSpec) -> tuple[PodAffinityTerm, ...]:
        known = self._repelled.get(id(spec))
        if known is None:
            found = self._carried.terms_for(dict(spec.labels))
            known = self._repelled[id(spec)] = tuple(term for term in found if _speaks_of(term, spec))
        return known

    def _count(self, key: Hashable, make: Callable[[], DomainCount]) -> DomainCount:
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = make()
            count.count_residents(self._residents)
            self._read_by.clear()
        return count

    def _selected(self, terms: tuple[PodAffinityTerm, ...], key: str) -> DomainCount:
        return self._count(
            ("selected", terms, key),
            lambda: DomainCount(
                key, self._labels, lambda other: int(all(_speaks_of(term, other) for term in terms))
            ),
        )

    def _carriers(self, term: PodAffinityTerm) -> DomainCount:
        return self._count(
            ("carriers", term),
            lambda: DomainCount(
                term.topology_key, self._labels, lambda other: other.pod_anti_affinity.count(term)
            ),
        )

    def _spread(self, spec: PodSpec, constraint: TopologySpread, among: list[TopologySpread]) -> DomainCount:
        """Pods that a constraint selects, on nodes that carry the keys of all, and that it says to count."""
        keys = {one.topology_key for one in among}
        heeds_nodes = (spec.node_selector, spec.required_node_affinity)
        key = (
            "spread",
            spec.namespace,
            constraint,
            frozenset(keys),
            heeds_nodes if constraint.honours_node_affinity else None,
            spec.tolerations if constraint.honours_node_taints else None,
        )

        def weigh(other: PodSpec) -> int:
            # A selector that asks for nothing selects the pod itself and counts no others.
            selector = constraint.selector
            if selector is None or not selector.requirements or other.namespace != spec.namespace:
                return 0
            return int(selects_labels(selector, dict(other.labels)))

        def takes_part(name: NodeName, node: Node) -> bool:
            return (
                keys <= self._labels[name].keys()
                and (not constraint.honours_node_affinity or is_selected(spec, node))
                and (not constraint.honours_node_taints or is_tolerated(spec, node))
            )

        return self._count(
            key,
            lambda: DomainCount(
                constraint.topology_key,
                self._labels,
                weigh,
                nodes=[name for name, node in self._nodes.items() if takes_part(name, node)],
                counts_leaving=False,
            ),
        )


class _Carried:
    """Anti-affinity terms that pods carry, found again by a label that they ask for."""

    def __init__(self, specs: Iterable[PodSpec]) -> None:
        terms = dict.fromkeys(term for spec in specs for term in _required(spec.pod_anti_affinity))
        self._by_label: dict[tuple[str, str], list[PodAffinityTerm]] = {}
        self._others: list[PodAffinityTerm] = []
        for term in terms:
            wanted = (
                [one for one in term.selector.requirements if one.operator is Operator.IN]
                if term.selector
                else []
            )
            for value in wanted[0].values if wanted else ():
                self._by_label.setdefault((wanted[0].key, value), []).append(term)
            if not wanted:
                self._others.append(term)

    def terms_for(self, labels: Mapping[str, str]) -> Iterator[PodAffinityTerm]:
        """Terms that may speak of a pod with these labels."""
        for pair in labels.items() if self._by_label else ():
            yield from self._by_label.get(pair, ())
        yield from self._others


def _required(terms: Iterable[PodAffinityTerm]) -> tuple[PodAffinityTerm, ...]:
    return tuple(term for term in terms if not term.weight)


def _speaks_of(term: PodAffinityTerm, spec: PodSpec) -> bool:
    in_reach = not term.namespaces or spec.namespace in term.namespaces
    return in_reach and selects_labels(term.selector, dict(spec.labels))
