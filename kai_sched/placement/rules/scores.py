"""Soft rules: preferences of a pod as one score per node, with kube-scheduler's formulas and weights.

Each preference is first scaled to 0..100 over the nodes in question, so that none drowns the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kai_sched.model.workloads import PodSpec, TopologySpread
from kai_sched.placement.node_table import Mask, NodeTable
from kai_sched.placement.rules.matching import tolerates
from kai_sched.placement.rules.spread import spread_tally
from kai_sched.placement.rules.tallies import Catalogue, Codes, Tally, TallyBook
from kai_sched.placement.rules.terms import (
    CarriedTerms,
    affinity_carriers,
    anti_affinity_carriers,
    preferred,
    required,
    selected_tally,
    selecting,
)

Score = NDArray[np.float64]

TOP: Final = 100.0
TAINT_WEIGHT: Final = 3.0
NODE_AFFINITY_WEIGHT: Final = 2.0
SPREAD_WEIGHT: Final = 2.0
POD_AFFINITY_WEIGHT: Final = 2.0
HARD_AFFINITY_WEIGHT: Final = 1
"""What a pod's required affinity for the newcomer counts as a preference."""
HOSTNAME: Final = "kubernetes.io/hostname"


@dataclass(frozen=True, slots=True, eq=False)
class _SoftSpread:
    tally: Tally
    codes: Codes
    max_skew: int
    key: str


@dataclass(frozen=True, slots=True, eq=False)
class _Preferences:
    """What one spec prefers, not scaled yet; None: all nodes are alike in it."""

    node_affinity: Score | None
    intolerable: Score | None
    weighted: tuple[tuple[Tally, int], ...]
    spreads: tuple[_SoftSpread, ...]
    has_spread_keys: Mask

    def __bool__(self) -> bool:
        fixed = self.node_affinity is not None or self.intolerable is not None
        return fixed or bool(self.weighted) or bool(self.spreads)


class SoftRules:
    """Preferences by spec, kept for a cycle."""

    def __init__(self, table: NodeTable, catalogue: Catalogue, carried: CarriedTerms) -> None:
        self._table = table
        self._catalogue = catalogue
        self._carried = carried
        self._known: dict[int, tuple[PodSpec, _Preferences]] = {}

    def concerns(self, spec: PodSpec) -> bool:
        """Whether anything is preferred for this spec."""
        return bool(self._preferences(spec))

    def score(self, spec: PodSpec, book: TallyBook, within: Mask | None) -> Score | None:
        """The sum of all preferences per node; None if there are none."""
        preferences = self._preferences(spec)
        if not preferences:
            return None
        among = np.ones(len(self._table), dtype=bool) if within is None else within
        total = np.zeros(len(self._table))
        if not among.any():
            return total
        if preferences.node_affinity is not None:
            total += NODE_AFFINITY_WEIGHT * _share_of_top(preferences.node_affinity, among)
        if preferences.intolerable is not None:
            total += TAINT_WEIGHT * (TOP - _share_of_top(preferences.intolerable, among))
        if preferences.weighted:
            total += POD_AFFINITY_WEIGHT * _company(preferences.weighted, book, among)
        if preferences.spreads:
            total += SPREAD_WEIGHT * _evenness(preferences, book, among)
        return total

    def follow_others(self, spec: PodSpec) -> bool:
        """Whether other pods decide what is preferred: company sought or shunned, an even spread."""
        preferences = self._preferences(spec)
        return bool(preferences.weighted) or bool(preferences.spreads)

    def liking(self, spec: PodSpec) -> Score | None:
        """float64[N], higher is better: what a pod prefers whoever is there; None where all nodes are alike in that."""
        preferences, everywhere = self._preferences(spec), np.ones(len(self._table), dtype=bool)
        parts: list[Score] = []
        if preferences.node_affinity is not None:
            parts.append(NODE_AFFINITY_WEIGHT * _share_of_top(preferences.node_affinity, everywhere))
        if preferences.intolerable is not None:
            parts.append(-TAINT_WEIGHT * _share_of_top(preferences.intolerable, everywhere))
        return np.sum(parts, axis=0) if parts else None

    def forget(self) -> None:
        """Pods carry new terms: work the preferences out anew."""
        self._known.clear()

    def _preferences(self, spec: PodSpec) -> _Preferences:
        known = self._known.get(id(spec))
        if known is None:
            known = (spec, self._work_out(spec))
            self._known[id(spec)] = known
        return known[1]

    def _work_out(self, spec: PodSpec) -> _Preferences:
        soft = [constraint for constraint in spec.topology_spread if not constraint.is_required]
        has_keys = np.ones(len(self._table), dtype=bool)
        for constraint in soft:
            has_keys &= self._table.label_codes(constraint.topology_key).codes >= 0
        return _Preferences(
            node_affinity=_preferred_nodes(self._table, spec),
            intolerable=_intolerable_taints(self._table, spec),
            weighted=tuple(self._weighted(spec)),
            spreads=tuple(self._spread(spec, constraint, soft) for constraint in soft),
            has_spread_keys=has_keys,
        )

    def _spread(self, spec: PodSpec, constraint: TopologySpread, soft: list[TopologySpread]) -> _SoftSpread:
        tally = spread_tally(self._table, self._catalogue, spec, constraint, soft)
        codes = self._table.label_codes(constraint.topology_key).codes
        return _SoftSpread(tally, codes, constraint.max_skew, constraint.topology_key)

    def _weighted(self, spec: PodSpec) -> Iterable[tuple[Tally, int]]:
        """Tallies that draw (+) or repel (-): the pod's own terms, then those that others carry."""
        table, catalogue, carried = self._table, self._catalogue, self._carried
        for term in preferred(spec.pod_affinity):
            yield selected_tally(table, catalogue, (term,), term.topology_key), term.weight
        for term in preferred(spec.pod_anti_affinity):
            yield selected_tally(table, catalogue, (term,), term.topology_key), -term.weight
        for term in selecting(required(carried.affinity), spec):
            yield affinity_carriers(table, catalogue, term), HARD_AFFINITY_WEIGHT
        for term in selecting(preferred(carried.affinity), spec):
            yield affinity_carriers(table, catalogue, term), term.weight
        for term in selecting(preferred(carried.anti_affinity), spec):
            yield anti_affinity_carriers(table, catalogue, term), -term.weight


def _preferred_nodes(table: NodeTable, spec: PodSpec) -> Score | None:
    total = np.zeros(len(table))
    for weight, term in spec.preferred_node_affinity:
        total += weight * table.match(term)
    return total if total.any() else None


def _intolerable_taints(table: NodeTable, spec: PodSpec) -> Score | None:
    counts = [
        sum(taint.effect == "PreferNoSchedule" and not tolerates(spec.tolerations, taint) for taint in taints)
        for taints in table.taint_sets
    ]
    if not any(counts):
        return None
    total: Score = np.array(counts, dtype=np.float64)[table.taint_codes]
    return total


def _share_of_top(values: Score, among: Mask) -> Score:
    """Scaled so that the largest of ``among`` is TOP; all zero stays zero."""
    largest = values[among].max()
    return values * (TOP / largest) if largest > 0 else np.zeros_like(values)


def _company(weighted: tuple[tuple[Tally, int], ...], book: TallyBook, among: Mask) -> Score:
    total = np.zeros(len(among))
    for tally, weight in weighted:
        total += weight * book.counts(tally)[tally.codes]
    low, high = total[among].min(), total[among].max()
    return (total - low) * (TOP / (high - low)) if high > low else np.zeros_like(total)


def _evenness(preferences: _Preferences, book: TallyBook, among: Mask) -> Score:
    """Fewer selected pods in the domain are better; a label of few values weighs less than one of many."""
    scored = among & preferences.has_spread_keys
    total = np.zeros(len(among))
    if not scored.any():
        return total
    for spread in preferences.spreads:
        codes = spread.codes
        domains = int(scored.sum()) if spread.key == HOSTNAME else np.unique(codes[scored]).size
        total += book.counts(spread.tally)[codes] * np.log(domains + 2) + (spread.max_skew - 1)
    total = np.round(total)
    low, high = total[scored].min(), total[scored].max()
    scale = TOP * (high + low - total) / high if high > 0 else np.full(len(among), TOP)
    return np.where(scored, scale, 0.0)
