"""Affinities and topology spread of a pod.

``matchLabelKeys`` and ``mismatchLabelKeys`` are merged into the selector, as the API server does on creation; a second
merge of the same requirement changes nothing. Namespace selectors are resolved with the labels of the namespaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kai_sched.api.kinds import Raw
from kai_sched.api.translate.fields import (
    FieldError,
    Labels,
    at,
    integer,
    name_in,
    section,
    sections,
    text,
    texts,
)
from kai_sched.api.translate.selectors import (
    MOST_TERMS,
    label_selector_of,
    node_selector_of,
    node_selector_term_of,
)
from kai_sched.model.selectors import LabelSelector, NodeSelector, NodeSelectorTerm, Operator, Requirement
from kai_sched.model.workloads import PodAffinityTerm, TopologySpread

NO_NAMESPACE: Final = ("",)
"""A namespace selector that matches no namespace: () would mean all of them."""
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"
Namespaces = Mapping[str, Mapping[str, str]]
"""Labels of every namespace by its name."""


def required_node_affinity(affinity: Raw) -> NodeSelector | None:
    """The node selector that must hold."""
    node = section(affinity, "nodeAffinity", "spec.affinity")
    return node_selector_of(node, _REQUIRED, "spec.affinity.nodeAffinity")


def preferred_node_affinity(affinity: Raw) -> tuple[tuple[int, NodeSelectorTerm], ...]:
    """(weight, term)."""
    node = section(affinity, "nodeAffinity", "spec.affinity")
    path = f"spec.affinity.nodeAffinity.{_PREFERRED}"
    found = []
    for item in sections(node, _PREFERRED, "spec.affinity.nodeAffinity", MOST_TERMS):
        term = node_selector_term_of(section(item, "preference", path), f"{path}.preference")
        found.append((integer(item, "weight", path) or 0, term))
    return tuple(found)


def pod_affinity_terms(
    affinity: Raw, kind: str, namespace: str, labels: Labels, namespaces: Namespaces
) -> tuple[PodAffinityTerm, ...]:
    """Required terms (weight 0), then preferred ones, of ``podAffinity`` or ``podAntiAffinity``."""
    here = section(affinity, kind, "spec.affinity")
    path = f"spec.affinity.{kind}"
    found = [
        _term(term, 0, f"{path}.{_REQUIRED}[{index}]", namespace, labels, namespaces)
        for index, term in enumerate(sections(here, _REQUIRED, path, MOST_TERMS))
    ]
    for index, item in enumerate(sections(here, _PREFERRED, path, MOST_TERMS)):
        at_item = f"{path}.{_PREFERRED}[{index}]"
        weight = integer(item, "weight", at_item) or 0
        if weight <= 0:
            raise FieldError(at(at_item, "weight"), "must be 1 to 100")
        term = section(item, "podAffinityTerm", at_item)
        found.append(_term(term, weight, f"{at_item}.podAffinityTerm", namespace, labels, namespaces))
    return tuple(found)


def topology_spread(spec: Raw, labels: Labels) -> tuple[TopologySpread, ...]:
    """TopologySpreadConstraints."""
    found = []
    for index, raw in enumerate(sections(spec, "topologySpreadConstraints", "spec", MOST_TERMS)):
        path = f"spec.topologySpreadConstraints[{index}]"
        selector = label_selector_of(raw, "labelSelector", path)
        when = text(raw, "whenUnsatisfiable", path, "DoNotSchedule")
        found.append(
            TopologySpread(
                topology_key=name_in(raw, "topologyKey", path),
                max_skew=integer(raw, "maxSkew", path) or 1,
                selector=_with_keys(selector, texts(raw, "matchLabelKeys", path), labels, Operator.IN),
                is_required=when != "ScheduleAnyway",
                min_domains=integer(raw, "minDomains", path) or 1,
                honours_node_affinity=text(raw, "nodeAffinityPolicy", path, "Honor") != "Ignore",
                honours_node_taints=text(raw, "nodeTaintsPolicy", path, "Ignore") == "Honor",
            )
        )
    return tuple(found)


def _term(
    raw: Raw, weight: int, path: str, namespace: str, labels: Labels, namespaces: Namespaces
) -> PodAffinityTerm:
    selector = label_selector_of(raw, "labelSelector", path)
    selector = _with_keys(selector, texts(raw, "matchLabelKeys", path), labels, Operator.IN)
    selector = _with_keys(selector, texts(raw, "mismatchLabelKeys", path), labels, Operator.NOT_IN)
    return PodAffinityTerm(
        topology_key=name_in(raw, "topologyKey", path),
        selector=selector,
        namespaces=_namespaces_of(raw, path, namespace, namespaces),
        weight=weight,
    )


def _with_keys(
    selector: LabelSelector | None, keys: tuple[str, ...], labels: Labels, operator: Operator
) -> LabelSelector | None:
    if selector is None or not keys:
        return selector
    value_of = dict(labels)
    more = tuple(Requirement(key, operator, (value_of[key],)) for key in keys if key in value_of)
    fresh = tuple(requirement for requirement in more if requirement not in selector.requirements)
    return LabelSelector(selector.requirements + fresh)


def _namespaces_of(raw: Raw, path: str, own: str, known: Namespaces) -> tuple[str, ...]:
    listed = texts(raw, "namespaces", path)
    selector = label_selector_of(raw, "namespaceSelector", path)
    if selector is None:
        return listed or (own,)
    if not selector.requirements:
        return ()
    matching = {name for name, labels in known.items() if matches_labels(selector, labels)}
    return tuple(sorted({*listed, *matching})) or NO_NAMESPACE


def matches_labels(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether labels satisfy every requirement."""
    return all(_holds(requirement, labels) for requirement in selector.requirements)


def _holds(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case Operator.IN:
            return value is not None and value in requirement.values
        case Operator.NOT_IN:
            return value is None or value not in requirement.values
        case Operator.EXISTS:
            return value is not None
        case Operator.DOES_NOT_EXIST:
            return value is None
        case Operator.GT | Operator.LT:
            raise FieldError(
                "namespaceSelector", f"operator {requirement.operator} is for node selectors only"
            )
