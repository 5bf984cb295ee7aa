"""Attachments: how many volumes of each CSI driver a node has, against the limit of its CSINode.

A volume counts once per node however many pods use it there, so users are counted by volume and node. Forks share
what the snapshot had and copy only what changed since.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from kai_sched.model.workloads import PodSpec
from kai_sched.placement.node_table import Mask, NodeTable
from kai_sched.placement.rules.elimination import Rule
from kai_sched.placement.rules.tallies import Counts, Residents
from kai_sched.placement.rules.volumes import VolumesView

Handle = tuple[str, str]
"""(CSI driver, volume)."""

_UNLIMITED = np.iinfo(np.int64).max


class AttachLimits:
    """Limits per driver, int64[N], and the limited volumes of a spec."""

    __slots__ = ("_of_spec", "_volumes", "by_driver")

    def __init__(self, table: NodeTable, volumes: VolumesView) -> None:
        self._volumes = volumes
        self._of_spec: dict[int, tuple[PodSpec, tuple[Handle, ...]]] = {}
        self.by_driver: dict[str, Counts] = {}
        for index, node in enumerate(table.nodes):
            for driver, limit in node.attachable:
                column = self.by_driver.setdefault(driver, np.full(len(table), _UNLIMITED, dtype=np.int64))
                column[index] = limit

    def handles_of(self, spec: PodSpec) -> tuple[Handle, ...]:
        """Volumes of the pod whose driver has a limit on some node."""
        if not self.by_driver or not spec.volume_claims:
            return ()
        known = self._of_spec.get(id(spec))
        if known is None:
            handles = (handle for handle in self._volumes.attachments(spec) if handle[0] in self.by_driver)
            known = (spec, tuple(handles))
            self._of_spec[id(spec)] = known
        return known[1]


class Attachments:
    """Users of limited volumes in one view of the world."""

    __slots__ = ("_changed", "_snapshot", "_used", "limits")

    rule = Rule.NODE_VOLUME_LIMITS

    def __init__(self, limits: AttachLimits, nodes: int) -> None:
        self.limits = limits
        self._snapshot: dict[Handle, dict[int, int]] = {}
        self._changed: dict[Handle, dict[int, int]] = {}
        self._used: dict[str, Counts] = {
            driver: np.zeros(nodes, dtype=np.int64) for driver in limits.by_driver
        }

    @classmethod
    def of(cls, limits: AttachLimits, nodes: int, residents: Iterable[Residents]) -> Attachments:
        """The attachments that a snapshot's pods hold."""
        attachments = cls(limits, nodes)
        for resident in residents:
            for node in resident.nodes if limits.handles_of(resident.spec) else ():
                attachments.add(resident.spec, int(node), +1)
        attachments._snapshot = attachments._changed
        attachments._changed = {}
        return attachments

    def fork(self) -> Attachments:
        """An independent copy."""
        other = Attachments(self.limits, 0)
        other._snapshot = self._snapshot
        other._changed = {handle: dict(users) for handle, users in self._changed.items()}
        other._used = {driver: used.copy() for driver, used in self._used.items()}
        return other

    def add(self, spec: PodSpec, node: int, sign: int) -> None:
        """A pod comes to a node (+1) or goes from it (-1)."""
        for handle in self.limits.handles_of(spec):
            users = self._changed.get(handle)
            if users is None:
                users = self._changed[handle] = dict(self._snapshot.get(handle, {}))
            before = users.get(node, 0)
            users[node] = before + sign
            self._used[handle[0]][node] += int(before + sign > 0) - int(before > 0)

    def room(self, spec: PodSpec) -> Mask:
        """Nodes on which the pod's volumes stay within every limit."""
        handles = self.limits.handles_of(spec)
        more = {driver: np.zeros_like(self._used[driver]) for driver, _ in handles}
        for handle in handles:
            more[handle[0]] += 1
            for node, users in self._users(handle).items():
                more[handle[0]][node] -= int(users > 0)
        mask = np.ones(len(next(iter(self._used.values()))), dtype=bool)
        for driver, added in more.items():
            mask &= (added == 0) | (self._used[driver] + added <= self.limits.by_driver[driver])
        return mask

    def _users(self, handle: Handle) -> dict[int, int]:
        changed = self._changed.get(handle)
        return self._snapshot.get(handle, {}) if changed is None else changed
