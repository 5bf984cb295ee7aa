"""ClusterSnapshot: everything one cycle may know, including ``now``.

Two parts: the ``Fleet`` (nodes, devices, topologies: changes rarely, kept by the solving child under its version)
and the work (pods, groups, queues, claims: new every cycle). Pods travel as columns: see ``PodTable``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from kai_sched.model.devices import Claim, DeviceClass, DeviceTaintRule, ResourceSlice
from kai_sched.model.ids import NodeName, PodGroupKey, QueueName
from kai_sched.model.nodes import Node
from kai_sched.model.pods import PodTable
from kai_sched.model.queues import Queue
from kai_sched.model.rests import Postponed, Rest
from kai_sched.model.texts import MESSAGE, PROBLEM, shown
from kai_sched.model.topology import Topology
from kai_sched.model.volumes import StorageCapacity, StorageClass, Volume, VolumeClaim
from kai_sched.model.workloads import PodGroup

LONGEST_FIELD: Final = 300
"""Characters of a path that is named as wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The slow part. Sorted: nodes by name, slices by (driver, pool, name), the rest by name."""

    version: int = 0
    """Changes whenever any member does; the child keeps what it derived from a fleet under this number."""
    nodes: tuple[Node, ...] = ()
    slices: tuple[ResourceSlice, ...] = ()
    device_classes: tuple[DeviceClass, ...] = ()
    taint_rules: tuple[DeviceTaintRule, ...] = ()
    topologies: tuple[Topology, ...] = ()
    namespace_labels: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object that could not be understood; it alone is left out. ``key``: namespace/name or name."""

    kind: str
    key: str
    field: str
    reason: str

    def __post_init__(self) -> None:
        # Both repeat what the object says.
        object.__setattr__(self, "field", shown(self.field, LONGEST_FIELD))
        object.__setattr__(self, "reason", shown(self.reason, PROBLEM))

    def __str__(self) -> str:
        named = f"{self.kind} {self.key}"
        return shown(": ".join(part for part in (named, self.field, self.reason) if part), MESSAGE)


@dataclass(frozen=True, slots=True)
class RefusedPlace:
    """A node that a group must not be given: the check found something wrong about it there."""

    pod_group: PodGroupKey
    node: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSnapshot:
    """One consistent view of the cluster. ``now`` in seconds since the epoch, UTC."""

    now: float
    fleet: Fleet = field(default_factory=Fleet)
    pods: PodTable = field(default_factory=lambda: PodTable(()))
    pod_groups: tuple[PodGroup, ...] = ()
    queues: tuple[Queue, ...] = ()
    claims: tuple[Claim, ...] = ()
    volume_claims: tuple[VolumeClaim, ...] = ()
    volumes: tuple[Volume, ...] = ()
    storage_classes: tuple[StorageClass, ...] = ()
    storage_capacities: tuple[StorageCapacity, ...] = ()
    config_maps: frozenset[str] | None = None
    """Keys of existing ConfigMaps; None: not known, the check is skipped."""
    queues_elsewhere: tuple[tuple[QueueName, str], ...] = ()
    """Queues of other shards, each with its node pool: nobody here can use them."""
    postponed: tuple[Postponed, ...] = ()
    """What earlier cycles could not finish; empty in a snapshot of a cluster at rest."""
    unreadable: tuple[Unreadable, ...] = ()
    """Objects that were left out, each with the field that is wrong."""
    rests: tuple[Rest, ...] = ()
    """Gangs that step aside after an attempt that failed."""
    refused_places: tuple[RefusedPlace, ...] = ()
    """Nodes on which the check of an earlier plan for this snapshot refused a group: others are tried."""
