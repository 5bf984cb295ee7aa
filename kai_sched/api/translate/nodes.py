"""Nodes, and the CSI drivers that their CSINode says they have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from kai_sched.api.kinds import Raw
from kai_sched.api.translate.fields import (
    FieldError,
    flag,
    integer,
    name_in,
    readable,
    section,
    sections,
    string_map,
)
from kai_sched.api.translate.requests import quantities
from kai_sched.api.translate.selectors import taints_of
from kai_sched.model.ids import NodeName
from kai_sched.model.integers import parse_int64
from kai_sched.model.nodes import Node
from kai_sched.model.resources import amounts
from kai_sched.model.snapshot import Unreadable

InstalledDrivers = tuple[tuple[str, int | None], ...]
"""(CSI driver, how many of its volumes the node takes; None: any number), sorted."""


def translate_node(raw: Raw) -> Node | Unreadable:
    """One node."""
    return readable("Node", _node, raw)


def translate_csi_node(raw: Raw) -> tuple[NodeName, InstalledDrivers] | Unreadable:
    """The drivers of one node."""
    return readable("CSINode", _csi_node, raw)


def with_drivers(node: Node, installed: InstalledDrivers, awaited: Iterable[str] = ()) -> Node:
    """The node with the drivers of the CSINode of its name; ``awaited``: drivers that may not be missing."""
    names = {name for name, _ in installed}
    limits = tuple((name, limit) for name, limit in installed if limit is not None)
    missing = tuple(sorted(name for name in awaited if name not in names))
    if not limits and not missing:
        return node
    return replace(node, attachable=limits, missing_drivers=missing)


def _node(raw: Raw) -> Node:
    metadata, spec, status = section(raw, "metadata"), section(raw, "spec"), section(raw, "status")
    labels = string_map(metadata, "labels", "metadata")
    rooms = "allocatable" if status.get("allocatable") is not None else "capacity"
    return Node(
        name=NodeName(name_in(metadata, "name", "metadata")),
        labels=labels,
        allocatable=amounts(quantities(status, rooms, "status")),
        taints=taints_of(spec, "taints", "spec"),
        is_cordoned=flag(spec, "unschedulable", "spec"),
        is_ready=_is_ready(status),
    )


def _is_ready(status: Raw) -> bool:
    """A node whose kubelet has said nothing counts as ready, as it does for kube-scheduler."""
    for condition in sections(status, "conditions", "status"):
        if condition.get("type") == "Ready":
            return condition.get("status") == "True"
    return True


def with_gpu_memory(node: Node, label: str) -> Node:
    """The node with the memory of one of its GPUs as that label has it."""
    value = parse_int64(node.label(label) or "")
    return replace(node, gpu_memory_mib=value) if value is not None and value >= 0 else node


def _csi_node(raw: Raw) -> tuple[NodeName, InstalledDrivers]:
    limits: dict[str, int | None] = {}
    for index, driver in enumerate(sections(section(raw, "spec"), "drivers", "spec")):
        path = f"spec.drivers[{index}]"
        count = integer(section(driver, "allocatable", path), "count", f"{path}.allocatable")
        if count is not None and count < 0:
            raise FieldError(f"{path}.allocatable.count", f"must not be negative, is {count}")
        limits[name_in(driver, "name", path)] = count
    return NodeName(name_in(section(raw, "metadata"), "name", "metadata")), tuple(sorted(limits.items()))
