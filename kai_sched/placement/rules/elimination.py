"""Elimination: how many nodes one rule took away, so that a refusal can say it in figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from kai_sched.placement.node_table import Mask


class Rule(StrEnum):
    """The rules, named as kube-scheduler and KAI name theirs."""

    NODE_UNSCHEDULABLE = "NodeUnschedulable"
    NODE_READY = "NodeReady"
    TAINT_TOLERATION = "TaintToleration"
    NODE_AFFINITY = "NodeAffinity"
    NODE_ROLE = "RestrictNodeScheduling"
    GPU_SHARING = "GpuSharing"
    CONFIDENTIAL = "ConfidentialComputing"
    CONFIG_MAP = "ConfigMap"
    VOLUME_BINDING = "VolumeBinding"
    VOLUME_ZONE = "VolumeZone"
    NODE_PORTS = "NodePorts"
    VOLUME_RESTRICTIONS = "VolumeRestrictions"
    NODE_VOLUME_LIMITS = "NodeVolumeLimits"
    POD_TOPOLOGY_SPREAD = "PodTopologySpread"
    INTER_POD_AFFINITY = "InterPodAffinity"


_SINGULAR: Final = {"are": "is", "have": "has", "do": "does", "lack": "lacks", "cannot": "cannot"}


@dataclass(frozen=True, slots=True)
class Elimination:
    """``count`` nodes were lost to ``rule``; ``reason`` reads on after "12 nodes": "have untolerated taint x"."""

    rule: Rule
    reason: str
    count: int

    def __str__(self) -> str:
        verb, _, rest = self.reason.partition(" ")
        return f"{self.count} {_SINGULAR.get(verb, verb) if self.count == 1 else verb} {rest}"


def explain(eliminated: Sequence[Elimination], total: int) -> str:
    """One line of figures: "of 40 nodes 12 have untolerated taint x, 1 is cordoned"; "" if nothing was lost."""
    if not eliminated:
        return ""
    noun = "node" if total == 1 else "nodes"
    return f"of {total} {noun} " + ", ".join(str(elimination) for elimination in eliminated)


class Sieve:
    """The nodes left so far and what took the others away; a node is counted by its first reason only."""

    __slots__ = ("allowed", "eliminated")

    def __init__(self, allowed: Mask) -> None:
        self.allowed = allowed.copy()
        self.eliminated: list[Elimination] = []

    def keep(self, mask: Mask, rule: Rule, reason: str) -> None:
        """Keep only the nodes of ``mask``."""
        lost = int(np.count_nonzero(self.allowed & ~mask))
        if lost:
            self.eliminated.append(Elimination(rule, reason, lost))
            self.allowed &= mask

    def drop_all(self, rule: Rule, reason: str) -> None:
        """Take every node that is left."""
        self.keep(np.zeros_like(self.allowed), rule, reason)
