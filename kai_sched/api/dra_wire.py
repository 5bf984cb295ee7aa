"""Small readers for wire documents of resource.k8s.io: what is absent or of the wrong kind is empty, never an error."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import orjson

from kai_sched.model.devices import OpaqueConfig
from kai_sched.model.quantity import is_decimal, parse_quantity
from kai_sched.model.selectors import NodeSelector, NodeSelectorTerm, Operator, Requirement, Toleration

Document = Mapping[str, Any]


def mapping(value: object) -> Document:
    """The mapping, empty for anything else."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: object) -> list[Document]:
    """The objects of a list."""
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def text(value: object) -> str:
    """The string, empty for anything else."""
    return value if isinstance(value, str) else ""


def whole(value: object) -> int:
    """The integer, 0 for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def timestamp_value(value: str) -> float:
    """Seconds since the epoch of an RFC 3339 text, 0 if it is none."""
    try:
        return datetime.fromisoformat(value).timestamp()
    except ValueError:
        return 0.0


def timestamp_text(seconds: float) -> str:
    """RFC 3339 to the second, as metav1.Time is written."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def created_at(document: Document) -> float:
    """metadata.creationTimestamp in seconds."""
    stamp = text(mapping(document.get("metadata")).get("creationTimestamp"))
    return timestamp_value(stamp) if stamp else 0.0


def config_of(document: Document) -> OpaqueConfig:
    """A device configuration; its parameters stay what they are."""
    opaque = mapping(document.get("opaque"))
    parameters = opaque.get("parameters")
    return OpaqueConfig(
        text(opaque.get("driver")),
        "" if parameters is None else orjson.dumps(parameters, option=orjson.OPT_SORT_KEYS).decode(),
        tuple(document.get("requests") or ()),
    )


def toleration_of(document: Document) -> Toleration:
    """A toleration of a request or a result."""
    return Toleration(
        text(document.get("key")),
        text(document.get("operator")) or "Equal",
        text(document.get("value")),
        text(document.get("effect")),
    )


def amounts_of(values: Document) -> tuple[tuple[str, Fraction], ...]:
    """Quantities by name, exact."""
    return tuple((name, parse_quantity(str(value))) for name, value in sorted(values.items()))


def decimal_names(values: Document) -> tuple[str, ...]:
    """Names of quantities that are written in thousands."""
    return tuple(name for name, value in sorted(values.items()) if is_decimal(str(value)))


def node_selector_of(value: object) -> NodeSelector | None:
    """A core/v1 NodeSelector.

    Raises:
        ValueError: an operator that Kubernetes does not know.
    """
    if not isinstance(value, Mapping):
        return None
    return NodeSelector(
        tuple(
            NodeSelectorTerm(
                _requirements(term.get("matchExpressions")), _requirements(term.get("matchFields"))
            )
            for term in sequence(value.get("nodeSelectorTerms"))
        )
    )


def _requirements(value: object) -> tuple[Requirement, ...]:
    return tuple(
        Requirement(
            text(entry.get("key")), Operator(text(entry.get("operator"))), tuple(entry.get("values") or ())
        )
        for entry in sequence(value)
    )


def node_selector_document(selector: NodeSelector) -> dict[str, Any]:
    """The wire form."""
    return {"nodeSelectorTerms": [_term_document(term) for term in selector.terms]}


def _term_document(term: NodeSelectorTerm) -> dict[str, Any]:
    document: dict[str, Any] = {}
    if term.expressions:
        document["matchExpressions"] = [_requirement_document(entry) for entry in term.expressions]
    if term.fields:
        document["matchFields"] = [_requirement_document(entry) for entry in term.fields]
    return document


def _requirement_document(requirement: Requirement) -> dict[str, Any]:
    document: dict[str, Any] = {"key": requirement.key, "operator": str(requirement.operator)}
    if requirement.values:
        document["values"] = list(requirement.values)
    return document
