"""Required pod affinity and anti-affinity, in both directions: the newcomer's terms and those of pods already there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kai_sched.model.workloads import PodSpec
from kai_sched.placement.node_table import Mask, NodeTable
from kai_sched.placement.rules.elimination import Rule
from kai_sched.placement.rules.tallies import Catalogue, Tally, TallyBook
from kai_sched.placement.rules.terms import (
    CarriedTerms,
    anti_affinity_carriers,
    required,
    selected_tally,
    selecting,
)


@dataclass(frozen=True, slots=True, eq=False)
class Forbidden:
    """No pod of the tally may be in the node's domain; nodes without a domain pass."""

    tally: Tally
    rule: Rule
    reason: str

    def passes(self, book: TallyBook) -> Mask:
        """Nodes whose domain has none."""
        mask: Mask = book.counts(self.tally)[self.tally.codes] == 0
        return mask


@dataclass(frozen=True, slots=True, eq=False)
class AffinityRule:
    """Every term needs, in the node's domain, a pod that all terms select together.

    ``selects_itself``: the pod may start where no such pod exists yet.
    """

    tallies: tuple[Tally, ...]
    selects_itself: bool
    reason: str
    rule: Rule = Rule.INTER_POD_AFFINITY

    def passes(self, book: TallyBook) -> Mask:
        """Nodes that carry all keys and have company under each, or are the first anywhere."""
        mask: Mask = np.logical_and.reduce([tally.codes >= 0 for tally in self.tallies])
        counts = [book.counts(tally) for tally in self.tallies]
        if self.selects_itself and not any(count.any() for count in counts):
            return mask
        for tally, count in zip(self.tallies, counts, strict=True):
            mask = mask & (count[tally.codes] > 0)
        return mask


def anti_affinity_rules(
    table: NodeTable, catalogue: Catalogue, carried: CarriedTerms, spec: PodSpec
) -> list[Forbidden]:
    """What the pod's own required anti-affinity forbids, and what that of other pods forbids to it."""
    own = [
        Forbidden(
            tally=selected_tally(table, catalogue, (term,), term.topology_key),
            rule=Rule.INTER_POD_AFFINITY,
            reason=f"have pods that its anti-affinity avoids (per {term.topology_key})",
        )
        for term in required(spec.pod_anti_affinity)
    ]
    others = [
        Forbidden(
            tally=anti_affinity_carriers(table, catalogue, term),
            rule=Rule.INTER_POD_AFFINITY,
            reason=f"have pods whose anti-affinity avoids it (per {term.topology_key})",
        )
        for term in selecting(required(carried.anti_affinity), spec)
    ]
    return own + others


def affinity_rules(table: NodeTable, catalogue: Catalogue, spec: PodSpec) -> list[AffinityRule]:
    """The pod's required affinity: one rule for all its terms, none if it has no term."""
    terms = required(spec.pod_affinity)
    if not terms:
        return []
    keys = tuple(dict.fromkeys(term.topology_key for term in terms))
    return [
        AffinityRule(
            tallies=tuple(selected_tally(table, catalogue, terms, key) for key in keys),
            selects_itself=selecting(terms, spec) == terms,
            reason=f"have no pods that its affinity asks for (per {', '.join(keys)})",
        )
    ]
