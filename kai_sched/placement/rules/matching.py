"""Matching of labels and taints for one pod: label selectors, affinity terms and tolerations, as Kubernetes has them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from kai_sched.model.integers import parse_int64
from kai_sched.model.selectors import LabelSelector, Taint, Toleration
from kai_sched.model.workloads import PodAffinityTerm
from kai_sched.placement.node_table import is_well_formed, value_satisfies

REPELLING_EFFECTS: Final = frozenset({"NoSchedule", "NoExecute"})
_CANONICAL = re.compile(r"0|-?[1-9][0-9]*")
UNSCHEDULABLE: Final = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")
NOT_READY: Final = Taint("node.kubernetes.io/not-ready", "", "NoSchedule")
SICK_TAINTS: Final = frozenset({NOT_READY.key, "node.kubernetes.io/unreachable"})
"""Keys of what the node lifecycle controller puts on nodes that are not ready."""


def tolerates(tolerations: Sequence[Toleration], taint: Taint) -> bool:
    """Whether one of the tolerations accepts the taint."""
    return any(_accepts(toleration, taint) for toleration in tolerations)


def first_untolerated(tolerations: Sequence[Toleration], taints: Sequence[Taint]) -> Taint | None:
    """The first taint that keeps a pod with these tolerations off a node."""
    for taint in taints:
        if taint.effect in REPELLING_EFFECTS and not tolerates(tolerations, taint):
            return taint
    return None


def selects(selector: LabelSelector | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches; None matches nothing, one without requirements everything."""
    if selector is None:
        return False
    return all(
        is_well_formed(requirement) and value_satisfies(requirement, labels.get(requirement.key))
        for requirement in selector.requirements
    )


def term_selects(term: PodAffinityTerm, namespace: str, labels: Mapping[str, str]) -> bool:
    """Whether an affinity term speaks of a pod with this namespace and these labels."""
    if term.namespaces and namespace not in term.namespaces:
        return False
    return selects(term.selector, labels)


def _accepts(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    match toleration.operator:
        case "" | "Equal":
            return toleration.value == taint.value
        case "Exists":
            return True
        case "Gt" | "Lt":
            bound, number = _parse_canonical(toleration.value), _parse_canonical(taint.value)
            if bound is None or number is None:
                return False
            return number > bound if toleration.operator == "Gt" else number < bound
        case _:
            return False


def _parse_canonical(text: str) -> int | None:
    # Tolerations are stricter than label selectors: no plus sign, no leading zero.
    return parse_int64(text) if _CANONICAL.fullmatch(text) else None
