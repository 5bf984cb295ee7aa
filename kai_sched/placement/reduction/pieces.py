"""Pieces: shared hardware (MIG) of a world as box groups of an aggregated problem, and the way back to devices.

A pattern chosen for a box names its devices, so that what the solver packed is what the claims get; no search could
be trusted to find the same mixture again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kai_sched.devices.allocator import PIECE_UNIT, BoxNow, PieceKey, partitions_of
from kai_sched.devices.pools import PooledDevice
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.solver.aggregate import BoxGroup
from kai_sched.placement.world.boards import Boards

Placed = tuple[int, BoxNow]
"""(node, box)."""


@dataclass(frozen=True, slots=True)
class PieceView:
    """``keys``: the kinds of piece that the shapes take. ``boxes[unit][group]``: where the boxes of a group are.

    ``is_listed``: False where some box has too many states and is left out, so that nothing is proven.
    """

    keys: tuple[PieceKey, ...] = ()
    boxes: tuple[tuple[tuple[Placed, ...], ...], ...] = ()
    is_listed: bool = True

    def groups(self, unit: int) -> tuple[BoxGroup, ...]:
        """The boxes of one unit as the model sees them."""
        return tuple(
            BoxGroup(
                len(placed),
                tuple(pattern.counts for pattern in placed[0][1].patterns),
                is_whole=placed[0][1].is_whole,
            )
            for placed in self.boxes[unit]
        )

    def counts_of(self, shape: Shape) -> tuple[int, ...]:
        """Pieces of each kind that a pod of a shape takes."""
        wanted = {need.key: need.count for need in shape.pieces or ()}
        return tuple(wanted.get(key, 0) for key in self.keys)


def view_pieces(boards: Boards, shapes: Sequence[Shape], units: Sequence[NDArray[np.intp]]) -> PieceView:
    """The boxes on the nodes of each unit, alike ones together."""
    keys = tuple(dict.fromkeys(need.key for shape in shapes for need in shape.pieces or ()))
    if not keys:
        return PieceView(boxes=((),) * len(units))
    partitions = partitions_of(boards.world.base.device_index)
    devices = boards.world.now.devices
    is_listed = True
    found: list[tuple[tuple[Placed, ...], ...]] = []
    for nodes in units:
        groups: dict[tuple[int, bool], list[Placed]] = {}
        for node in nodes.tolist():
            boxes = partitions.boxes_now(devices, node, keys)
            is_listed = is_listed and boxes is not None
            for now in boxes or ():
                # Patterns are listed once for all boxes alike, so that identity tells groups apart.
                groups.setdefault((id(now.patterns), now.is_whole), []).append((node, now))
        found.append(tuple(tuple(group) for group in groups.values()))
    return PieceView(keys, tuple(found), is_listed)


def seat_pieces(
    boards: Boards,
    pods: Iterable[int],
    placed: Sequence[Sequence[Placed]],
    chosen: Mapping[int, Sequence[tuple[int, int]]],
    keys: Sequence[PieceKey],
) -> bool:
    """Seat pods on the boxes of one unit. ``chosen``: by box group, (pattern, boxes that take it) pairs."""
    stock = _Stock(placed, chosen, keys)
    base = boards.world.base
    partitions = partitions_of(base.device_index)

    def size(pod: int) -> tuple[int, int]:
        needs = base.shape_of(pod).pieces or ()
        return -len(needs), -sum(partitions.weight(need.key) * need.count for need in needs)

    return all(_seat(boards, stock, pod) for pod in sorted(pods, key=size))


def _seat(boards: Boards, stock: _Stock, pod: int) -> bool:
    world = boards.world
    shape = world.base.shape_of(pod)
    wanted = {need.key: need.count for need in shape.pieces or ()}
    for node in stock.nodes:
        if stock.has(node, wanted) and world.has_room(shape, node):
            return world.take_pieces(pod, shape, node, stock.draw(node, wanted))
    return False


class _Stock:
    """Devices that the patterns of a unit offer, by node and kind, box after box."""

    def __init__(
        self,
        placed: Sequence[Sequence[Placed]],
        chosen: Mapping[int, Sequence[tuple[int, int]]],
        keys: Sequence[PieceKey],
    ) -> None:
        self._on: dict[int, dict[PieceKey, list[PooledDevice]]] = {}
        for group, patterns in sorted(chosen.items()):
            boxes = iter(placed[group])
            for pattern, count in patterns:
                for _ in range(count):
                    node, now = next(boxes)
                    shelf = self._on.setdefault(node, {})
                    for kind, position in now.patterns[pattern].devices:
                        shelf.setdefault(keys[kind], []).append(now.device(position))
        self.nodes = sorted(self._on)

    def has(self, node: int, wanted: Mapping[PieceKey, int]) -> bool:
        shelf = self._on[node]
        return all(len(shelf.get(key, ())) >= count for key, count in wanted.items())

    def draw(self, node: int, wanted: Mapping[PieceKey, int]) -> dict[PieceKey, list[PooledDevice]]:
        shelf = self._on[node]
        drawn: dict[PieceKey, list[PooledDevice]] = {}
        for key, count in wanted.items():
            drawn[key], shelf[key] = shelf[key][:count], shelf[key][count:]
        return drawn


def bulk_of(boards: Boards, shape: Shape) -> int:
    """How much hardware a pod's pieces take, in millionths of a box."""
    partitions = partitions_of(boards.world.base.device_index)
    if shape.pieces is None:
        return PIECE_UNIT * sum(need.count for need in shape.plain or ())
    return sum(partitions.weight(need.key) * need.count for need in shape.pieces)
