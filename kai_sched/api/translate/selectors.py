"""Label selectors, node selectors, taints and tolerations of the wire."""

from __future__ import annotations

from typing import Final

from kai_sched.api.kinds import Raw
from kai_sched.api.translate.fields import (
    LONGEST_NAME,
    FieldError,
    at,
    name_in,
    section,
    sections,
    string_map,
    text,
    texts,
)
from kai_sched.model.selectors import (
    LabelSelector,
    NodeSelector,
    NodeSelectorTerm,
    Operator,
    Requirement,
    Taint,
    Toleration,
)
from kai_sched.model.texts import shown

MOST_TERMS: Final = 256
"""Of one list of terms, requirements or tolerations: each is held against every node, or every pod."""
_WITH_VALUES = {Operator.IN, Operator.NOT_IN}
_WITH_ONE_VALUE = {Operator.GT, Operator.LT}


def requirement_of(raw: Raw, path: str) -> Requirement:
    """One ``{key, operator, values}``."""
    key = name_in(raw, "key", path)
    name = name_in(raw, "operator", path)
    try:
        operator = Operator(name)
    except ValueError:
        raise FieldError(at(path, "operator"), f"unknown operator {shown(name, LONGEST_NAME)!r}") from None
    values = texts(raw, "values", path)
    if operator in _WITH_VALUES and not values:
        raise FieldError(at(path, "values"), f"must not be empty for operator {name}")
    if operator in _WITH_ONE_VALUE and len(values) != 1:
        raise FieldError(at(path, "values"), f"must have one value for operator {name}")
    return Requirement(key, operator, values)


def requirements_of(owner: Raw, key: str, path: str) -> tuple[Requirement, ...]:
    """A list of requirements."""
    here = at(path, key)
    return tuple(
        requirement_of(item, f"{here}[{index}]")
        for index, item in enumerate(sections(owner, key, path, MOST_TERMS))
    )


def label_selector_of(owner: Raw, key: str, path: str) -> LabelSelector | None:
    """A LabelSelector; None where absent (matches nothing), no requirement where empty (matches everything)."""
    if owner.get(key) is None:
        return None
    raw = section(owner, key, path)
    here = at(path, key)
    equalities = tuple(
        Requirement(name, Operator.IN, (value,)) for name, value in string_map(raw, "matchLabels", here)
    )
    return LabelSelector(equalities + requirements_of(raw, "matchExpressions", here))


def node_selector_term_of(raw: Raw, path: str) -> NodeSelectorTerm:
    """One term."""
    return NodeSelectorTerm(
        expressions=requirements_of(raw, "matchExpressions", path),
        fields=requirements_of(raw, "matchFields", path),
    )


def node_selector_of(owner: Raw, key: str, path: str) -> NodeSelector | None:
    """A NodeSelector; None where absent."""
    if owner.get(key) is None:
        return None
    here = at(at(path, key), "nodeSelectorTerms")
    terms = sections(section(owner, key, path), "nodeSelectorTerms", at(path, key), MOST_TERMS)
    return NodeSelector(
        tuple(node_selector_term_of(term, f"{here}[{index}]") for index, term in enumerate(terms))
    )


def taints_of(owner: Raw, key: str, path: str) -> tuple[Taint, ...]:
    """Taints of a node or device."""
    here = at(path, key)
    return tuple(
        Taint(name_in(item, "key", here), text(item, "value", here), name_in(item, "effect", here))
        for item in sections(owner, key, path)
    )


def tolerations_of(owner: Raw, key: str, path: str) -> tuple[Toleration, ...]:
    """Tolerations of a pod or device request; a tolerationSeconds does not matter before the pod runs."""
    here = at(path, key)
    found = []
    for item in sections(owner, key, path, MOST_TERMS):
        operator = text(item, "operator", here) or "Equal"
        found.append(
            Toleration(
                text(item, "key", here), operator, text(item, "value", here), text(item, "effect", here)
            )
        )
    return tuple(found)
