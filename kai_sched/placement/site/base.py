"""WorldBase: what a world stands on and never changes in a cycle: tables, indices, claims, masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from kai_sched.devices.allocator import DeviceIndex, Options
from kai_sched.devices.closures import OPEN
from kai_sched.devices.work import WorkMeter
from kai_sched.model.devices import Claim
from kai_sched.model.ids import ClaimKey
from kai_sched.model.policy import Policy
from kai_sched.model.resources import CPU
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import Pod
from kai_sched.placement.node_table import NodeTable
from kai_sched.placement.rules.confidential import whole_mode_text
from kai_sched.placement.rules.elimination import Rule, Sieve
from kai_sched.placement.rules.static import StaticMask, StaticRules
from kai_sched.placement.site.backing import Backing
from kai_sched.placement.site.custody import Custody
from kai_sched.placement.site.fabrics import FabricOf
from kai_sched.placement.site.fleet_index import FleetIndex
from kai_sched.placement.site.shapes import Shape, ShapeTable
from kai_sched.topology.domains import DomainIndex


@dataclass(slots=True)
class WorldBase:
    """See module. ``gpu_column_of``: int[N], the axis column of a node's device-plugin GPUs, -1 without."""

    snapshot: ClusterSnapshot
    policy: Policy
    index: FleetIndex
    shapes: ShapeTable
    claims: Mapping[ClaimKey, Claim]
    fabric_of: FabricOf
    """Claims that join a fabric; empty where no node names its clique."""
    backing: Backing
    static_rules: StaticRules
    device_options: Options
    has_dynamic_rules: bool
    nominated: Mapping[int, int]
    """Pods (by position) whose status names a node -> its index; that node is tried before all others."""
    gpu_columns: tuple[int, ...]
    gpu_column_of: NDArray[np.int64]
    cpu_column: int
    has_gpus: NDArray[np.bool_]
    everywhere: NDArray[np.bool_]
    all_nodes: NDArray[np.intp]
    custody: Custody
    held_claims: Mapping[str, tuple[ClaimKey, ...]]
    """Consumer's uid -> allocated claims that are reserved for it."""
    meter: WorkMeter = field(default_factory=WorkMeter)
    """Counts the work of the cycle."""
    _shape_of: dict[int, Shape] = field(default_factory=dict)
    _barred: dict[int, StaticMask] = field(default_factory=dict)

    @property
    def table(self) -> NodeTable:
        return self.index.table

    @property
    def device_index(self) -> DeviceIndex:
        return self.index.devices

    @property
    def domains(self) -> DomainIndex:
        return self.index.domains

    @property
    def pods(self) -> Sequence[Pod]:
        return self.snapshot.pods

    def shape_of(self, pod: int) -> Shape:
        """The shape of a pending pod, by position."""
        shape = self._shape_of.get(pod)
        if shape is None:
            shape = self.shapes.shape_of(self.snapshot.pods[pod])
            self._shape_of[pod] = shape
        return shape

    def static_mask(self, shape: Shape) -> StaticMask:
        """Where the shape could run on an empty cluster (cached by the rules)."""
        mask = self.static_rules.mask(shape.spec)
        barred = shape.terms.barred
        if barred is None:
            return mask
        known = self._barred.get(shape.index)
        if known is None:
            sieve = Sieve(mask.allowed)
            sieve.keep(
                ~barred,
                Rule.CONFIDENTIAL,
                f"are {whole_mode_text(self.policy.confidential)}, all their GPUs go to one pod, also those published as devices",
            )
            sieve.allowed.setflags(write=False)
            known = StaticMask(sieve.allowed, (*mask.eliminated, *sieve.eliminated))
            self._barred[shape.index] = known
        return known

    def options_of(self, shape: Shape, held: frozenset[int] = frozenset()) -> Options:
        """How to search devices for a shape. ``held``: GPUs that the pod has by claims allocated before."""
        if shape.terms.closure == OPEN:
            return self.device_options
        return replace(self.device_options, closure=shape.terms.closure, held=held)


def cpu_column_of(table: NodeTable) -> int:
    """Column of cpu in the axis."""
    return table.axis.index(CPU)
