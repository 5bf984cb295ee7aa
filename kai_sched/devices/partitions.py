"""Partitions: claims for devices that share hardware through counters (MIG), seen as pieces of boxes.

What a box can give depends on nothing but what of it is taken, so a whole gang's pieces can be packed by counting
patterns of boxes. Claims for which that would not be exact are left to the search.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Final

from kai_sched.devices.boxes import ITSELF, Box, Boxing
from kai_sched.devices.closures import OPEN
from kai_sched.devices.features import ALL_FEATURES
from kai_sched.devices.index import DeviceIndex, SelectorKey
from kai_sched.devices.memory import Kept
from kai_sched.devices.patterns import Layout, Pattern
from kai_sched.devices.pools import PooledDevice, PoolKey
from kai_sched.devices.requests import MAX_RESULTS
from kai_sched.devices.state import DeviceState
from kai_sched.devices.taints import blocking_taint
from kai_sched.model.devices import AllocationMode, ClaimSpec, DeviceRequest
from kai_sched.model.selectors import Toleration

PieceKey = tuple[SelectorKey, tuple[Toleration, ...]]
PIECE_UNIT: Final = 1_000_000
"""Weight of a piece that takes all of its hardware."""
_MOST_LOSSES: Final = 200_000
_MOST_BOXES: Final = 1_000_000
"""Of all kinds of pieces together."""


@dataclass(frozen=True, slots=True)
class PieceNeed:
    """``count`` pieces of one kind for one pod."""

    key: PieceKey
    count: int


@dataclass(frozen=True, slots=True)
class BoxNow:
    """A box as it stands, with what it can hold of the kinds asked for."""

    box: Box
    patterns: tuple[Pattern, ...]
    is_whole: bool
    """It can be cut, and nothing of it is taken."""

    def device(self, position: int) -> PooledDevice:
        return self.box.devices[position]


class Partitions:
    """The boxes of one fleet and which of their devices each kind of piece may use."""

    def __init__(self, index: DeviceIndex) -> None:
        boxing = Boxing(index)
        self._index = index
        self.on_node = tuple(
            tuple(box for pool in index.pools_of(node) for box in boxing.boxes(pool)) for node in index.nodes
        )
        self._odd = frozenset(boxing.odd)
        self.home_of: dict[int, tuple[Box, int]] = {
            entry.ordinal: (box, position)
            for boxes in self.on_node
            for box in boxes
            for position, entry in enumerate(box.devices)
        }
        self._losses = Kept[tuple[Layout, int, int, int], float](_MOST_LOSSES)
        self._kinds = Kept[PieceKey, tuple[dict[Box, int] | None]](_MOST_BOXES)
        self._weights = Kept[PieceKey, int](_MOST_BOXES)
        self._box_of: dict[tuple[PoolKey, str], Box] = {}

    def masks(self, key: PieceKey) -> dict[Box, int] | None:
        """Bits of the devices that a kind may use, by box; None where pieces do not describe it exactly."""
        known = self._kinds.get(key)
        if known is None:
            masks = self._masks(key)
            known = self._kinds.keep(key, (masks,), weight=1 + len(masks or ()))
        return known[0]

    def boxes_now(self, state: DeviceState, node: int, keys: Sequence[PieceKey]) -> list[BoxNow] | None:
        """What the boxes of a node can hold; None where one has too many states to list."""
        tables = [self.masks(key) or {} for key in keys]
        found: list[BoxNow] = []
        for box in self.on_node[node]:
            own = tuple(table.get(box, 0) for table in tables)
            if not any(own):
                continue
            left, free = box.left(state)
            masks = tuple(mask & free for mask in own)
            patterns = box.layout.patterns(left, masks) if any(masks) else ()
            if patterns is None:
                return None
            if patterns:
                found.append(BoxNow(box, patterns, is_whole=box.is_whole(state)))
        return found

    def most(self, state: DeviceState, node: int, key: PieceKey) -> int:
        """How many pieces of one kind a node could give, were nothing else asked of it."""
        boxes = self.boxes_now(state, node, (key,))
        if boxes is None:
            return MAX_RESULTS
        return sum(now.patterns[0].counts[0] for now in boxes)

    def lost(self, layout: Layout, left: int, free: int, taken: int) -> float:
        """How much of the free devices can no longer be had once ``taken`` (bits) are gone, those left out."""
        key = (layout, left, free, taken)
        known = self._losses.get(key)
        return known if known is not None else self._losses.keep(key, layout.lost(left, free, taken))

    def weight(self, key: PieceKey) -> int:
        """How much of a box the smallest device of a kind takes, in millionths."""
        known = self._weights.get(key)
        if known is None:
            parts = [layout.fractions[position] for layout, position in self._choices(key)]
            known = self._weights.keep(key, int(min(parts, default=0.0) * PIECE_UNIT))
        return known

    def box_of(self, pool_key: PoolKey, device: str) -> Box | None:
        """The box that a device belongs to."""
        if not self._box_of:
            for boxes in self.on_node:
                for box in boxes:
                    self._box_of.update({(box.pool_key, entry.name): box for entry in box.devices})
        return self._box_of.get((pool_key, device))

    def least_opened(self, state: DeviceState, counts: Mapping[PieceKey, int]) -> int:
        """How many whole boxes these pieces must open at least, by the counter that they need most of."""
        need: dict[str, Fraction] = {}
        for key, count in counts.items():
            parts = [layout.parts(layout.uses[position]) for layout, position in self._choices(key)]
            for name in set().union(*parts):
                least = min(part.get(name, Fraction(0)) for part in parts)
                need[name] = need.get(name, Fraction(0)) + count * least
        usable = {box for key in counts for box in self.masks(key) or {}}
        for box in usable:
            if box.devices[0].uses and not box.is_whole(state):
                for name, part in box.layout.parts(box.left(state)[0]).items():
                    need[name] = need.get(name, Fraction(0)) - part
        return max(0, *(ceil(part) for name, part in need.items() if name != ITSELF), 0)

    def _choices(self, key: PieceKey) -> set[tuple[Layout, int]]:
        """Every device that a kind may use, those alike once."""
        return {
            (box.layout, position)
            for box, mask in (self.masks(key) or {}).items()
            for position in range(len(box.devices))
            if mask >> position & 1
        }

    def _masks(self, key: PieceKey) -> dict[Box, int] | None:
        selector_key, tolerations = key
        matching: set[int] = set()
        for entry in self._index.current_devices:
            verdict = self._index.verdict_on(selector_key, entry)
            if isinstance(verdict, str) or (verdict.is_match and entry.ordinal in self._odd):
                return None
            if verdict.is_match and blocking_taint(entry.taints, tolerations) is None:
                matching.add(entry.ordinal)
        masks: dict[Box, int] = {}
        for boxes in self.on_node:
            for box in boxes:
                mask = sum(
                    1 << position for position, entry in enumerate(box.devices) if entry.ordinal in matching
                )
                if mask:
                    masks[box] = mask
        return masks


def partitions_of(index: DeviceIndex) -> Partitions:
    """The partitions of a fleet, worked out when first asked for."""
    return index.memory.part(Partitions, index)


def piece_needs(
    index: DeviceIndex, specs: Iterable[ClaimSpec], closure: int = OPEN
) -> tuple[PieceNeed, ...] | None:
    """What a pod's own claims ask for together, one entry a kind; None where a search must decide."""
    counts: dict[PieceKey, int] = {}
    for spec in specs:
        if spec.constraints or index.features != ALL_FEATURES or not _is_simple(spec):
            return None
        for request in spec.requests:
            device_class = index.classes.get(request.device_class)
            if device_class is None or device_class.problem:
                return None
            key = ((request.device_class, request.selectors, closure), request.tolerations)
            counts[key] = counts.get(key, 0) + request.count
    if not counts:
        return None
    partitions = partitions_of(index)
    if any(partitions.masks(key) is None for key in counts):
        return None
    return tuple(PieceNeed(key, count) for key, count in counts.items())


def _is_simple(spec: ClaimSpec) -> bool:
    return sum(request.count for request in spec.requests) <= MAX_RESULTS and all(
        _asks_for_devices(request) for request in spec.requests
    )


def _asks_for_devices(request: DeviceRequest) -> bool:
    return (
        not request.first_available
        and request.mode == AllocationMode.EXACT_COUNT
        and request.count > 0
        and request.admin_access is None
        and not request.has_capacity_requests
        and not request.problem
        and not request.unsupported
    )
