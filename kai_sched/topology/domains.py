"""Domains: the places of each level of each topology, as dense codes per node.

A node is part of a topology only if it carries the label of every level. A domain is known by its values from the
top level down, so that rack r1 of zone a and rack r1 of zone b are two. Without a topology object a label key is a
level by itself (topology name "").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kai_sched.model.nodes import Node
from kai_sched.model.snapshot import Fleet
from kai_sched.model.topology import Topology

Codes = NDArray[np.int32]
OUTSIDE = -1


@dataclass(frozen=True, slots=True, eq=False)
class LevelDomains:
    """The domains of one level, sorted by their values from the top level down.

    ``codes``: int32[N], a node's domain, -1 outside the topology. ``names``: for messages, "rack=r1", with the
    domains above where that is not unique. ``parents``: int32[D], each domain's code in the level above (-1 at the
    top).
    """

    label: str
    alias: str
    depth: int
    codes: Codes
    names: tuple[str, ...]
    parents: Codes

    def __len__(self) -> int:
        return len(self.names)

    @property
    def title(self) -> str:
        """What users call the level: its alias, else its label."""
        return self.alias or self.label

    def span(self, nodes: Sequence[int] | NDArray[np.intp]) -> int:
        """How many domains these nodes lie in; all nodes outside the topology count as one more."""
        return int(np.unique(self.codes[np.asarray(nodes, dtype=np.intp)]).size)

    def nodes_of(self, code: int) -> NDArray[np.intp]:
        """Indices of the nodes of one domain."""
        return np.flatnonzero(self.codes == code)


class DomainIndex:
    """All levels of all topologies of one fleet."""

    def __init__(self, nodes: tuple[Node, ...], topologies: Iterable[Topology]) -> None:
        self._labels = [dict(node.labels) for node in nodes]
        self._topologies: dict[str, Topology] = {topology.name: topology for topology in topologies}
        self._levels: dict[str, tuple[LevelDomains, ...]] = {}
        self._plain: dict[str, LevelDomains] = {}

    @classmethod
    def build(cls, fleet: Fleet) -> DomainIndex:
        """The index of a fleet; levels are worked out when first asked for."""
        return cls(fleet.nodes, fleet.topologies)

    @property
    def topologies(self) -> tuple[str, ...]:
        """Names of the topologies, sorted."""
        return tuple(sorted(self._topologies))

    def problem(self, topology: str, level: str) -> str:
        """Why a constraint cannot be read, in words for its author; "" if it can."""
        if not topology:
            return "" if level else "no topology and no level is named"
        found = self._topologies.get(topology)
        if found is None:
            known = ", ".join(self.topologies) or "none"
            return f"topology {topology} does not exist (there are: {known})"
        if found.problem:
            return f"topology {topology} is invalid: {found.problem}"
        if level and not any(level in {each.node_label, each.alias} for each in found.levels):
            known = ", ".join(each.alias or each.node_label for each in found.levels)
            return f"topology {topology} has no level {level} (levels: {known})"
        return ""

    def levels(self, topology: str) -> tuple[LevelDomains, ...]:
        """Levels of a topology, coarse to fine; the topology must exist."""
        levels = self._levels.get(topology)
        if levels is None:
            levels = self._build(self._topologies[topology])
            self._levels[topology] = levels
        return levels

    def level(self, topology: str, level: str) -> LevelDomains:
        """One level by label or alias; ``problem`` must be "" for it."""
        if not topology:
            return self._plain_level(level)
        label = self.label_of(topology, level)
        return next(each for each in self.levels(topology) if each.label == label)

    def codes(self, topology: str, level: str) -> Codes:
        """int32[N]: a node's domain at a level, -1 outside the topology."""
        return self.level(topology, level).codes

    def level_labels(self, topology: str) -> tuple[str, ...]:
        """Node labels of the levels, coarse to fine."""
        return tuple(level.node_label for level in self._topologies[topology].levels)

    def label_of(self, topology: str, level: str) -> str:
        """The node label of a level that is named by label or alias."""
        if not topology:
            return level
        for each in self._topologies[topology].levels:
            if level in {each.node_label, each.alias}:
                return each.node_label
        raise KeyError(level)

    def _plain_level(self, label: str) -> LevelDomains:
        level = self._plain.get(label)
        if level is None:
            paths = [_path(labels, (label,)) for labels in self._labels]
            level = _level_of(label, "", 0, paths, None)
            self._plain[label] = level
        return level

    def _build(self, topology: Topology) -> tuple[LevelDomains, ...]:
        keys = tuple(level.node_label for level in topology.levels)
        paths = [_path(labels, keys) for labels in self._labels]
        levels: list[LevelDomains] = []
        for depth, level in enumerate(topology.levels):
            cut = [None if path is None else path[: depth + 1] for path in paths]
            above = levels[-1] if levels else None
            levels.append(_level_of(level.node_label, level.alias, depth, cut, above))
        return tuple(levels)


def _path(labels: Mapping[str, str], keys: Sequence[str]) -> tuple[str, ...] | None:
    """The node's values from the top level down; None if it lacks one."""
    values = tuple(labels[key] for key in keys if key in labels)
    return values if len(values) == len(keys) else None


def _level_of(
    label: str, alias: str, depth: int, paths: Sequence[tuple[str, ...] | None], above: LevelDomains | None
) -> LevelDomains:
    domains = sorted({path for path in paths if path is not None})
    code_of = {path: code for code, path in enumerate(domains)}
    codes = np.array([OUTSIDE if path is None else code_of[path] for path in paths], dtype=np.int32)
    parents = np.full(len(domains), OUTSIDE, dtype=np.int32)
    if above is not None:
        inside = codes >= 0
        parents[codes[inside]] = above.codes[inside]
    for array in (codes, parents):
        array.setflags(write=False)
    names = _names(label, domains, above, parents)
    return LevelDomains(label, alias, depth, codes, names, parents)


def _names(
    label: str, domains: Sequence[tuple[str, ...]], above: LevelDomains | None, parents: Codes
) -> tuple[str, ...]:
    own = [f"{label}={path[-1]}" for path in domains]
    seen: dict[str, int] = {}
    for name in own:
        seen[name] = seen.get(name, 0) + 1
    if above is None:
        return tuple(own)
    return tuple(
        name if seen[name] == 1 else f"{above.names[parent]}/{name}"
        for name, parent in zip(own, parents, strict=True)
    )
