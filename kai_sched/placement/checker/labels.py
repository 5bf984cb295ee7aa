"""Labels, selectors, taints and tolerations, for one object at a time: the judge's own reading of Kubernetes' rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from kai_sched.model.integers import parse_int64
from kai_sched.model.nodes import Node
from kai_sched.model.selectors import (
    LabelSelector,
    NodeSelector,
    NodeSelectorTerm,
    Operator,
    Requirement,
    Taint,
    Toleration,
)

_REPELLING: Final = ("NoSchedule", "NoExecute")
_NUMERIC: Final = ("Gt", "Lt")


def holds(requirement: Requirement, value: str | None) -> bool:
    """Whether a value (None: absent) is as required; what Kubernetes cannot parse holds for nothing."""
    wanted = requirement.values
    match requirement.operator:
        case Operator.IN:
            return value is not None and value in wanted
        case Operator.NOT_IN:
            return len(wanted) > 0 and value not in wanted
        case Operator.EXISTS:
            return not wanted and value is not None
        case Operator.DOES_NOT_EXIST:
            return not wanted and value is None
        case Operator.GT | Operator.LT:
            if value is None or len(wanted) != 1:
                return False
            number, bound = parse_int64(value), parse_int64(wanted[0])
            if number is None or bound is None:
                return False
            return number > bound if requirement.operator is Operator.GT else number < bound


def selects_labels(selector: LabelSelector | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches; none at all matches nothing."""
    return selector is not None and all(holds(one, labels.get(one.key)) for one in selector.requirements)


def selects_node(selector: NodeSelector, node: Node) -> bool:
    """Whether one of the terms holds; a term that asks for nothing never does."""
    labels = dict(node.labels)
    return any(term_selects(term, node, labels) for term in selector.terms)


def term_selects(term: NodeSelectorTerm, node: Node, labels: Mapping[str, str]) -> bool:
    """Whether all parts of one term hold. ``labels``: the node's."""
    if not (term.expressions or term.fields):
        return False
    return all(holds(one, labels.get(one.key)) for one in term.expressions) and all(
        _field_holds(one, node) for one in term.fields
    )


def _field_holds(requirement: Requirement, node: Node) -> bool:
    """Fields know In and NotIn with one value; a field that nodes do not have is the empty text."""
    if requirement.operator not in (Operator.IN, Operator.NOT_IN) or len(requirement.values) != 1:
        return False
    return holds(requirement, node.name if requirement.key == "metadata.name" else "")


def repelling_taint(
    taints: Iterable[Taint], tolerations: Iterable[Toleration], *, compares_numbers: bool = False
) -> Taint | None:
    """The first taint that keeps somebody with these tolerations away.

    ``compares_numbers``: tolerations of pods know Gt and Lt, those of requests for devices do not.
    """
    accepted = tuple(tolerations)
    for taint in taints:
        if taint.effect in _REPELLING and not any(
            tolerates(one, taint, compares_numbers=compares_numbers) for one in accepted
        ):
            return taint
    return None


def tolerates(toleration: Toleration, taint: Taint, *, compares_numbers: bool) -> bool:
    """Whether one toleration accepts one taint."""
    speaks_of_it = toleration.key in ("", taint.key) and toleration.effect in ("", taint.effect)
    if toleration.operator in ("", "Equal"):
        return speaks_of_it and toleration.value == taint.value
    if toleration.operator in _NUMERIC and compares_numbers:
        number, bound = _plain_number(taint.value), _plain_number(toleration.value)
        if number is None or bound is None:
            return False
        return speaks_of_it and (number > bound if toleration.operator == "Gt" else number < bound)
    return speaks_of_it and toleration.operator == "Exists"


def _plain_number(text: str) -> int | None:
    """A number as tolerations may write it: without plus sign and leading zeros."""
    number = parse_int64(text)
    return number if number is not None and str(number) == text else None
