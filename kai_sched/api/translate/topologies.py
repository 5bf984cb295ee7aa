"""Topologies (kai.scheduler/v1alpha1): ordered node-label levels, coarse to fine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kai_sched.api.kinds import Raw
from kai_sched.api.translate.fields import name_in, readable, section, sections, text
from kai_sched.model.ids import TopologyName
from kai_sched.model.snapshot import Unreadable
from kai_sched.model.topology import Level, Topology

HOSTNAME: Final = "kubernetes.io/hostname"
MAX_LEVELS: Final = 16


def translate_topology(raw: Raw) -> Topology | Unreadable:
    """One topology; ``problem`` names a level that contradicts another."""
    return readable("Topology", _topology, raw)


def _topology(raw: Raw) -> Topology:
    levels = tuple(
        Level(
            name_in(item, "nodeLabel", f"spec.levels[{index}]"), text(item, "alias", f"spec.levels[{index}]")
        )
        for index, item in enumerate(sections(section(raw, "spec"), "levels", "spec"))
    )
    name = name_in(section(raw, "metadata"), "name", "metadata")
    return Topology(TopologyName(name), levels, _problem(levels))


def _problem(levels: Sequence[Level]) -> str:
    if not 1 <= len(levels) <= MAX_LEVELS:
        return f"spec.levels: must have 1 to {MAX_LEVELS} entries, has {len(levels)}"
    seen: dict[str, str] = {}
    for index, level in enumerate(levels):
        path = f"spec.levels[{index}]"
        if level.node_label == HOSTNAME and index != len(levels) - 1:
            return f"{path}.nodeLabel: {HOSTNAME} must be the last level"
        for field, value in (("nodeLabel", level.node_label), ("alias", level.alias)):
            if value in seen and not (field == "alias" and not value):
                return f"{path}.{field}: {value!r} is also {seen[value]}"
            if value:
                seen[value] = f"{path}.{field}"
    return ""
