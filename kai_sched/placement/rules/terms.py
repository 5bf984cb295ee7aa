"""Tallies of affinity terms: pods that terms select, and pods that carry a term."""

from __future__ import annotations

from collections.abc import Iterable

from kai_sched.model.workloads import PodAffinityTerm, PodSpec
from kai_sched.placement.node_table import NodeTable
from kai_sched.placement.rules.matching import term_selects
from kai_sched.placement.rules.tallies import Catalogue, Tally


class CarriedTerms:
    """Every affinity and anti-affinity term that some pod carries, in order of first sight."""

    __slots__ = ("_seen", "affinity", "anti_affinity")

    def __init__(self, specs: Iterable[PodSpec]) -> None:
        self.affinity: dict[PodAffinityTerm, None] = {}
        self.anti_affinity: dict[PodAffinityTerm, None] = {}
        self._seen: dict[int, PodSpec] = {}
        for spec in specs:
            self.learn(spec)

    def learn(self, spec: PodSpec) -> bool:
        """Note a spec's terms; whether one of them was new."""
        if id(spec) in self._seen:
            return False
        self._seen[id(spec)] = spec
        before = len(self.affinity) + len(self.anti_affinity)
        self.affinity.update(dict.fromkeys(spec.pod_affinity))
        self.anti_affinity.update(dict.fromkeys(spec.pod_anti_affinity))
        return len(self.affinity) + len(self.anti_affinity) > before


def selected_tally(
    table: NodeTable, catalogue: Catalogue, terms: tuple[PodAffinityTerm, ...], key: str
) -> Tally:
    """Pods that all terms select together, per value of the node label ``key``."""

    def weigh(spec: PodSpec) -> int:
        labels = dict(spec.labels)
        return int(all(term_selects(term, spec.namespace, labels) for term in terms))

    def make() -> Tally:
        column = table.label_codes(key)
        return Tally(column.codes, len(column.values), weigh)

    return catalogue.tally(("selected", terms, key), make)


def affinity_carriers(table: NodeTable, catalogue: Catalogue, term: PodAffinityTerm) -> Tally:
    """Pods that have this term among their affinity."""

    def make() -> Tally:
        column = table.label_codes(term.topology_key)
        return Tally(column.codes, len(column.values), lambda spec: spec.pod_affinity.count(term))

    return catalogue.tally(("affinity carriers", term), make)


def anti_affinity_carriers(table: NodeTable, catalogue: Catalogue, term: PodAffinityTerm) -> Tally:
    """Pods that have this term among their anti-affinity."""

    def make() -> Tally:
        column = table.label_codes(term.topology_key)
        return Tally(column.codes, len(column.values), lambda spec: spec.pod_anti_affinity.count(term))

    return catalogue.tally(("anti-affinity carriers", term), make)


def required(terms: Iterable[PodAffinityTerm]) -> tuple[PodAffinityTerm, ...]:
    """Terms without weight."""
    return tuple(term for term in terms if term.weight == 0)


def preferred(terms: Iterable[PodAffinityTerm]) -> tuple[PodAffinityTerm, ...]:
    """Terms with a weight."""
    return tuple(term for term in terms if term.weight)


def selecting(terms: Iterable[PodAffinityTerm], spec: PodSpec) -> tuple[PodAffinityTerm, ...]:
    """Those of the terms that speak of this pod."""
    labels = dict(spec.labels)
    return tuple(term for term in terms if term_selects(term, spec.namespace, labels))
