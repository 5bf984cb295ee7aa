"""Stays: pods that hold room already, as what a world may let go. The mirror image of a seat."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from kai_sched.model.ids import ClaimKey
from kai_sched.model.workloads import HOLDS_ROOM, PodSpec
from kai_sched.placement.rules.dynamic import LEAVING
from kai_sched.placement.site.base import WorldBase
from kai_sched.placement.world.gpu_shares import ShareChoice, portion_of
from kai_sched.placement.world.room import Room

NOWHERE = -1
"""The node of a pod that no node of the fleet has: it holds nothing but its claims."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """Somebody who holds room."""

    pod: int
    spec: PodSpec
    node: int
    request: NDArray[np.int64]
    """int64[R]: the counted amounts that come free with it."""
    claims: tuple[ClaimKey, ...]
    """Allocated claims that are reserved for it."""
    share: ShareChoice | None
    """Its parts of GPUs."""
    reserves: tuple[str, ...]
    """Groups of shared GPUs whose whole GPU it holds for others."""
    is_marked: bool
    """Whether it counts as leaving in the snapshot already, for spread and affinity."""


@dataclass(frozen=True, slots=True)
class Leave:
    """A stay ends: what it holds is free later."""

    stay: Stay


@dataclass(frozen=True, slots=True)
class Return:
    """A stay that was to end does not."""

    stay: Stay


def stay_of(base: WorldBase, position: int) -> Stay:
    """What a pod of the snapshot holds."""
    pod = base.pods[position]
    is_there = pod.state in HOLDS_ROOM and pod.node in base.table.index_of
    node = base.table.index_of[pod.node] if is_there and pod.node is not None else NOWHERE
    request = np.zeros(len(base.table.axis), dtype=np.int64)
    share = None
    if is_there:
        for name, amount in pod.spec.requests:
            request[base.table.position_of[name]] = amount
        request[base.backing.opened(node)] = 0  # What is not counted there cannot come free.
        if pod.spec.gpu_share is not None and pod.gpu_groups:
            portion = portion_of(pod.spec.gpu_share, base.table.nodes[node]) or Fraction(1)
            share = ShareChoice(pod.gpu_groups, 0, portion)
    return Stay(
        pod=position,
        spec=pod.spec,
        node=node,
        request=request,
        claims=base.held_claims.get(pod.uid, ()),
        share=share,
        reserves=pod.gpu_groups if is_there and pod.spec.gpu_share is None else (),
        is_marked=pod.state in LEAVING,
    )


def release(room: Room, stay: Stay, gpu_column: int) -> None:
    """Free the counted amounts, parts of GPUs and neighbourhood of a stay that leaves."""
    room.free[stay.node] += stay.request
    _count_gpus(room, stay, gpu_column, -_ended(room, stay))


def hold(room: Room, stay: Stay, gpu_column: int) -> None:
    """Take back what ``release`` freed."""
    room.free[stay.node] -= stay.request
    opened = room.shares.take(stay.node, stay.share) if stay.share is not None else 0
    opened -= sum(room.shares.reserve(stay.node, group) for group in stay.reserves)
    _count_gpus(room, stay, gpu_column, opened)


def _ended(room: Room, stay: Stay) -> int:
    """Whole GPUs that no group holds any more, less those that a group holds itself from now on."""
    ended = room.shares.give_back(stay.node, stay.share) if stay.share is not None else 0
    return ended - sum(room.shares.unreserve(stay.node, group) for group in stay.reserves)


def _count_gpus(room: Room, stay: Stay, gpu_column: int, taken: int) -> None:
    if gpu_column >= 0:
        room.free[stay.node, gpu_column] -= taken
