"""Topology spread: how evenly the pods that a constraint selects lie over the domains of a label.

Only some nodes take part: those that carry the keys of all constraints of the same kind and, as each constraint
says, that the pod's node affinity admits and whose taints it tolerates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kai_sched.model.workloads import PodSpec, TopologySpread
from kai_sched.placement.node_table import Mask, NodeTable
from kai_sched.placement.rules.elimination import Rule
from kai_sched.placement.rules.matching import selects
from kai_sched.placement.rules.static import required_nodes, tolerated_nodes
from kai_sched.placement.rules.tallies import Catalogue, Codes, Tally, TallyBook


@dataclass(frozen=True, slots=True, eq=False)
class SpreadRule:
    """A constraint with whenUnsatisfiable DoNotSchedule.

    ``domains``: codes of the domains with a participating node. ``own``: 1 if the pod itself is selected.
    """

    tally: Tally
    codes: Codes
    domains: NDArray[np.int32]
    own: int
    max_skew: int
    min_domains: int
    reason: str
    rule: Rule = Rule.POD_TOPOLOGY_SPREAD

    def passes(self, book: TallyBook) -> Mask:
        """Nodes with the label on which the skew stays within its bound."""
        counts = book.counts(self.tally)
        lowest = 0
        if len(self.domains) >= self.min_domains and len(self.domains):
            lowest = int(counts[self.domains].min())
        mask: Mask = (self.codes >= 0) & (counts[self.codes] + self.own - lowest <= self.max_skew)
        return mask


def spread_rules(table: NodeTable, catalogue: Catalogue, spec: PodSpec) -> list[SpreadRule]:
    """The required constraints of a pod."""
    constraints = [constraint for constraint in spec.topology_spread if constraint.is_required]
    rules = []
    for constraint in constraints:
        taking_part = participants(table, spec, constraint, constraints)
        codes = table.label_codes(constraint.topology_key).codes
        rules.append(
            SpreadRule(
                tally=spread_tally(table, catalogue, spec, constraint, constraints),
                codes=codes,
                domains=np.unique(codes[taking_part]),
                own=int(selects(constraint.selector, dict(spec.labels))),
                max_skew=constraint.max_skew,
                min_domains=constraint.min_domains,
                reason=f"do not keep the pods spread over {constraint.topology_key} (max skew {constraint.max_skew})",
            )
        )
    return rules


def spread_tally(
    table: NodeTable,
    catalogue: Catalogue,
    spec: PodSpec,
    constraint: TopologySpread,
    constraints: Sequence[TopologySpread],
) -> Tally:
    """Pods that the constraint selects, counted on the nodes that take part."""
    key = (
        "spread",
        spec.namespace,
        constraint,
        tuple(other.topology_key for other in constraints),
        (spec.node_selector, spec.required_node_affinity) if constraint.honours_node_affinity else None,
        spec.tolerations if constraint.honours_node_taints else None,
    )

    def make() -> Tally:
        column = table.label_codes(constraint.topology_key)
        taking_part = participants(table, spec, constraint, constraints)
        codes = np.where(taking_part, column.codes, np.int32(-1))
        return Tally(codes, len(column.values), _weigher(spec.namespace, constraint), counts_leaving=False)

    return catalogue.tally(key, make)


def participants(
    table: NodeTable, spec: PodSpec, constraint: TopologySpread, constraints: Sequence[TopologySpread]
) -> Mask:
    """Nodes whose pods and domains a constraint counts."""
    mask = np.ones(len(table), dtype=bool)
    for other in constraints:
        mask &= table.label_codes(other.topology_key).codes >= 0
    if constraint.honours_node_affinity:
        mask &= required_nodes(table, spec)
    if constraint.honours_node_taints:
        mask &= tolerated_nodes(table, spec)
    return mask


def _weigher(namespace: str, constraint: TopologySpread) -> Callable[[PodSpec], int]:
    selector = constraint.selector

    def weigh(spec: PodSpec) -> int:
        # An empty selector selects the pod itself but counts no others, as in kube-scheduler.
        if selector is None or not selector.requirements or spec.namespace != namespace:
            return 0
        return int(selects(selector, dict(spec.labels)))

    return weigh
