"""Topology objects: ordered node-label levels, coarse to fine. Source: KAI Topology v1alpha1."""

from __future__ import annotations

from dataclasses import dataclass

from kai_sched.model.ids import TopologyName


@dataclass(frozen=True, slots=True)
class Level:
    """One level; constraints name it by ``node_label`` or ``alias``."""

    node_label: str
    alias: str = ""


@dataclass(frozen=True, slots=True)
class Topology:
    """A node is part of it only if it carries every level's label."""

    name: TopologyName
    levels: tuple[Level, ...]
    problem: str = ""
