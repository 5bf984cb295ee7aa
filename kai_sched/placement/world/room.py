"""Room: one view of what is free. Seats take it, stays hold it, and both are what a world's journal speaks of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kai_sched.devices.allocator import DeviceState
from kai_sched.model.devices import ClaimAllocation
from kai_sched.model.ids import ClaimKey
from kai_sched.placement.rules.dynamic import DynamicRules
from kai_sched.placement.site.backing import SpecialClaim
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.world.gpu_shares import GpuShares, ShareChoice
from kai_sched.placement.world.horizon import Horizon


@dataclass(slots=True)
class Room:
    """One view of what is free; ``free``: int64[N, R] in the node table's axis."""

    free: NDArray[np.int64]
    devices: DeviceState
    dynamic: DynamicRules
    shares: GpuShares

    def fork(self) -> Room:
        """An independent room in which as much is free."""
        return Room(self.free.copy(), self.devices.fork(), self.dynamic.fork(), self.shares.fork())


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A pod's place: node index, claims allocated with it, groups of shared GPUs."""

    pod: int
    shape: Shape
    node: int
    horizon: Horizon
    allocations: tuple[tuple[ClaimKey, ClaimAllocation], ...] = ()
    share: ShareChoice | None = None
    special: SpecialClaim | None = None
    """The claim made for extended resources that the node serves by DRA; its allocation is the last."""
