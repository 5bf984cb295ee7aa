"""Which nodes a claim's allocation and a published device may be used from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]


def selects(selector: Document | None, node: Document) -> bool:
    """Whether a node selector (terms or-ed) takes a node; none takes all."""
    if selector is None:
        return True
    return any(_term_selects(term, node) for term in selector.get("nodeSelectorTerms", ()))


def is_reachable(published: Document, device: Document, node: Document) -> bool:
    """Whether the slice (or the device, where it says so itself) offers the device on a node."""
    spec = published["spec"]
    where = device if spec.get("perDeviceNodeSelection") else spec
    if where.get("allNodes"):
        return True
    if where.get("nodeName"):
        return bool(where["nodeName"] == node["metadata"]["name"])
    return where.get("nodeSelector") is not None and selects(where["nodeSelector"], node)


def _term_selects(term: Document, node: Document) -> bool:
    labels = node["metadata"].get("labels", {})
    fields = {"metadata.name": node["metadata"]["name"]}
    expressions, on_fields = term.get("matchExpressions", ()), term.get("matchFields", ())
    if not expressions and not on_fields:
        return False
    return all(_holds(one, labels) for one in expressions) and all(_holds(one, fields) for one in on_fields)


def _holds(expression: Document, values: Mapping[str, str]) -> bool:
    value = values.get(expression["key"])
    wanted = expression.get("values", ())
    match expression["operator"]:
        case "In":
            return value in wanted
        case "NotIn":
            return value not in wanted
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt":
            return value is not None and int(value) > int(wanted[0])
        case "Lt":
            return value is not None and int(value) < int(wanted[0])
        case operator:
            raise ValueError(f"unknown operator {operator}")
