"""Whether a slice or a device is reachable from a node: node names and core/v1 node selectors."""

from __future__ import annotations

from typing import Final

from kai_sched.model.devices import Device, ResourceSlice
from kai_sched.model.integers import parse_int64
from kai_sched.model.nodes import Node
from kai_sched.model.selectors import NodeSelector, NodeSelectorTerm, Operator, Requirement

NODE_NAME_FIELD: Final = "metadata.name"


def selects(selector: NodeSelector, node: Node, labels: dict[str, str]) -> bool:
    """Whether one of the selector's terms holds; a term without requirements never does."""
    return any(_term_holds(term, node, labels) for term in selector.terms)


def _term_holds(term: NodeSelectorTerm, node: Node, labels: dict[str, str]) -> bool:
    if not term.expressions and not term.fields:
        return False
    names = {NODE_NAME_FIELD: str(node.name)}
    return all(_holds(part, labels) for part in term.expressions) and all(
        _holds(part, names) for part in term.fields
    )


def _holds(requirement: Requirement, values: dict[str, str]) -> bool:
    value = values.get(requirement.key)
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
            return _compares(requirement, value)


def _compares(requirement: Requirement, value: str | None) -> bool:
    if value is None or len(requirement.values) != 1:
        return False
    actual, wanted = parse_int64(value), parse_int64(requirement.values[0])
    if actual is None or wanted is None:
        return False
    return actual > wanted if requirement.operator is Operator.GT else actual < wanted


def slice_reaches(published: ResourceSlice, node: Node, labels: dict[str, str]) -> bool:
    """Whether any device of the slice may be used from the node."""
    if published.node_name:
        return published.node_name == node.name
    if published.all_nodes:
        return True
    if published.node_selector is not None:
        return selects(published.node_selector, node, labels)
    if published.per_device_node_selection:
        return any(device_reaches(device, node, labels) for device in published.devices)
    # Nothing known is set: a future extension, so the slice is left alone.
    return False


def device_reaches(device: Device, node: Node, labels: dict[str, str]) -> bool:
    """Whether one device of a slice with per-device selection may be used from the node."""
    if device.node_name:
        return device.node_name == node.name
    if device.all_nodes:
        return True
    return device.node_selector is not None and selects(device.node_selector, node, labels)
