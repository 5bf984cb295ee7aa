"""Seating: puts pods of one leaf on nodes, many at once where counting decides, else one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from kai_sched.devices.allocator import PIECE_UNIT, DeviceRefusal, RefusalKind, partitions_of
from kai_sched.model.ids import ClaimKey
from kai_sched.model.policy import Strategy
from kai_sched.placement.alternatives import concession_of
from kai_sched.placement.shapes import Shape
from kai_sched.placement.slots import Boards
from kai_sched.placement.world import MAX_CONSUMERS

MAX_ANCHORS = 64
"""Nodes tried as the home of a claim that several pods share."""
_UNKNOWN = 1 << 30
MAX_TRIALS = 64
"""Nodes with room that are asked for the best alternative of a request."""


@dataclass(frozen=True, slots=True)
class Fill:
    """How to order nodes beyond tightness: by domains of ``codes``, roomiest first, so that few are touched."""

    codes: NDArray[np.int32] | None = None


def seat_pods(
    boards: Boards,
    pods: Sequence[int],
    allowed: NDArray[np.bool_] | None,
    fill: Fill,
    *,
    in_future: bool,
) -> int:
    """Seat the pods, bigger requests first; returns how many were seated. The caller rolls back."""
    base = boards.world.base
    if len(pods) == 1:
        return _seat_run(boards, base.shape_of(pods[0]), pods, allowed, fill, in_future=in_future)
    shapes = {shape.index: shape for shape in map(base.shape_of, pods)}
    sizes = {index: _size_key(boards, shape) for index, shape in shapes.items()}
    order = sorted(pods, key=lambda pod: sizes[base.shape_of(pod).index])
    seated = 0
    for _, run in groupby(order, key=lambda pod: base.shape_of(pod).index):
        members = list(run)
        done = _seat_run(boards, base.shape_of(members[0]), members, allowed, fill, in_future=in_future)
        seated += done
        if done < len(members):
            break
    return seated


def _size_key(boards: Boards, shape: Shape) -> tuple[int, int, int]:
    """Pods with shared claims first (they fix a node), then the most GPUs or devices, then CPU."""
    gpus = sum(int(shape.request[column]) for column in boards.world.base.gpu_columns)
    devices = sum(need.count for need in shape.plain or ())
    size = (gpus + devices) * PIECE_UNIT
    if shape.pieces is not None:
        partitions = partitions_of(boards.world.base.device_index)
        size += sum(partitions.weight(need.key) * need.count for need in shape.pieces)
    elif shape.plain is None:
        size += PIECE_UNIT
    return (
        (-len(shape.named), -size, -int(shape.request[boards.world.base.cpu_column])) if size else (0, 0, 0)
    )


def _seat_run(
    boards: Boards,
    shape: Shape,
    pods: Sequence[int],
    allowed: NDArray[np.bool_] | None,
    fill: Fill,
    *,
    in_future: bool,
) -> int:
    if any(_is_crowded(boards, key, len(pods)) for key in shape.named):
        return 0
    if len(pods) > 1 and any(boards.world.allocation_of(key) is None for key in shape.named):
        return _seat_sharing(boards, shape, pods, allowed, fill, in_future=in_future)
    if shape.offers_alternatives:
        return _seat_preferring(boards, shape, pods, allowed, fill, in_future=in_future)
    bulk = len(pods) > 1 and not boards.one_at_a_time(shape) and _packs(boards, shape)
    if bulk:
        return _seat_in_bulk(boards, shape, pods, allowed, fill, in_future=in_future)
    for done, pod in enumerate(pods):
        if not _seat_one(boards, shape, pod, allowed, fill, in_future=in_future):
            return done
    return len(pods)


def _packs(boards: Boards, shape: Shape) -> bool:
    """Filling a node to its end is what binpack does one by one; spreading must look again after each pod."""
    policy = boards.world.base.policy
    asks_gpu = bool(shape.own) or any(shape.request[column] for column in boards.world.base.gpu_columns)
    strategy = policy.gpu_strategy if asks_gpu else policy.cpu_strategy
    return strategy is Strategy.BINPACK


def _is_crowded(boards: Boards, claim: ClaimKey, newcomers: int) -> bool:
    return boards.world.consumer_count(claim) + newcomers > MAX_CONSUMERS


def _seat_in_bulk(
    boards: Boards,
    shape: Shape,
    pods: Sequence[int],
    allowed: NDArray[np.bool_] | None,
    fill: Fill,
    *,
    in_future: bool,
) -> int:
    slots = boards.slots(shape, in_future=in_future)
    nodes = _ordered_nodes(boards, shape, slots, allowed, fill, in_future=in_future)
    done = 0
    for node in nodes:
        for _ in range(int(slots[node])):
            if done == len(pods):
                return done
            seat = boards.world.take(pods[done], shape, int(node), in_future=in_future)
            if isinstance(seat, DeviceRefusal):
                if seat.kind is not RefusalKind.NO_FIT:
                    return done
                boards.refuse(shape, int(node), in_future=in_future)
                break
            done += 1
    return done


def _seat_one(
    boards: Boards,
    shape: Shape,
    pod: int,
    allowed: NDArray[np.bool_] | None,
    fill: Fill,
    *,
    in_future: bool,
) -> bool:
    slots = boards.slots(shape, in_future=in_future)
    if fill.codes is None and not boards.has_soft_score(shape):
        node = _cheapest(boards, shape, slots, allowed, in_future=in_future)
        if node < 0:
            return False
        seat = boards.world.take(pod, shape, node, in_future=in_future)
        if not isinstance(seat, DeviceRefusal):
            return True
        if seat.kind is not RefusalKind.NO_FIT:
            return False
        boards.refuse(shape, node, in_future=in_future)
        slots = boards.slots(shape, in_future=in_future)
    for node in _ordered_nodes(boards, shape, slots, allowed, fill, in_future=in_future):
        seat = boards.world.take(pod, shape, int(node), in_future=in_future)
        if not isinstance(seat, DeviceRefusal):
            return True
        if seat.kind is not RefusalKind.NO_FIT:
            return False
        boards.refuse(shape, int(node), in_future=in_future)
    return False


def _seat_preferring(
    boards: Boards,
    shape: Shape,
    pods: Sequence[int],
    allowed: NDArray[np.bool_] | None,
    fill: Fill,
    *,
    in_future: bool,
) -> int:
    """Pods with alternatives, each on the node that gives the best one, whatever that node costs.

    Where a pod had to concede something, pods like it concede as much without looking further: rooms only shrink.
    """
    key = (shape.index, in_future)
    conceded = boards.conceded.get(key, 0) if allowed is None else 0
    for done, pod in enumerate(pods):
        found = _seat_at_best(boards, shape, pod, allowed, fill, conceded, in_future=in_future)
        if found is None:
            return done
        conceded = max(conceded, found)
        if allowed is None:
            boards.conceded[key] = conceded
    return len(pods)


def _seat_at_best(
    boards: Boards,
    shape: Shape,
    pod: int,
    allowed: NDArray[np.bool_] | None,
    fill: Fill,
    conceded: int,
    *,
    in_future: bool,
) -> int | None:
    """What the pod had to concede; None: it is not seated."""
    world = boards.world
    slots = boards.slots(shape, in_future=in_future)
    best: tuple[int, int] | None = None
    trials = 0
    for node in _ordered_nodes(boards, shape, slots, allowed, fill, in_future=in_future).tolist():
        mark = world.checkpoint()
        seat = world.take(pod, shape, node, in_future=in_future)
        if isinstance(seat, DeviceRefusal):
            if seat.kind is not RefusalKind.NO_FIT:
                break
            boards.refuse(shape, node, in_future=in_future)
            continue
        found = concession_of(seat.allocations, world.base.claims)
        if found <= conceded:
            return found
        world.rollback(mark)
        if best is None or found < best[0]:
            best = (found, node)
        trials += 1
        if trials == MAX_TRIALS:
            break
    if best is None or isinstance(world.take(pod, shape, best[1], in_future=in_future), DeviceRefusal):
        return None
    return best[0]


def _seat_sharing(
    boards: Boards,
    shape: Shape,
    pods: Sequence[int],
    allowed: NDArray[np.bool_] | None,
    fill: Fill,
    *,
    in_future: bool,
) -> int:
    """Pods that share a claim nobody has allocated: the first pod's node decides where the others may go."""
    world = boards.world
    slots = boards.slots(shape, in_future=in_future)
    nodes = _ordered_nodes(boards, shape, slots, allowed, fill, in_future=in_future)
    room = _rows_that_fit(boards, shape, in_future=in_future)
    # A node-local device keeps all its users on one node: nodes with room for all of them first.
    concessions = _concessions(boards, shape, pods[0], nodes.tolist(), in_future=in_future)
    anchors = sorted(
        nodes.tolist(), key=lambda node: (bool(room[node] < len(pods)), concessions.get(node, _UNKNOWN))
    )
    best = 0
    for node in anchors[:MAX_ANCHORS]:
        mark = world.checkpoint()
        if isinstance(world.take(pods[0], shape, node, in_future=in_future), DeviceRefusal):
            boards.refuse(shape, node, in_future=in_future)
            continue
        rest = _seat_run(boards, shape, pods[1:], allowed, fill, in_future=in_future)
        best = max(best, 1 + rest)
        if rest == len(pods) - 1:
            return len(pods)
        world.rollback(mark)
    return min(best, len(pods) - 1)


def _concessions(
    boards: Boards, shape: Shape, pod: int, nodes: Sequence[int], *, in_future: bool
) -> dict[int, int]:
    """By node what a pod would have to concede there; {} where nothing has to be conceded."""
    found: dict[int, int] = {}
    if not shape.offers_alternatives:
        return found
    world = boards.world
    for node in nodes[:MAX_ANCHORS]:
        mark = world.checkpoint()
        seat = world.take(pod, shape, node, in_future=in_future)
        if not isinstance(seat, DeviceRefusal):
            found[node] = concession_of(seat.allocations, world.base.claims)
            world.rollback(mark)
    return found


def _rows_that_fit(boards: Boards, shape: Shape, *, in_future: bool) -> NDArray[np.int64]:
    free = boards.world.free_for(in_future=in_future)
    room = np.full(len(free), np.int64(1) << 30)
    for column in np.flatnonzero(shape.request):
        np.minimum(room, free[:, column] // shape.request[column], out=room)
    return room


def _cheapest(
    boards: Boards,
    shape: Shape,
    slots: NDArray[np.int64],
    allowed: NDArray[np.bool_] | None,
    *,
    in_future: bool,
) -> int:
    cost = boards.board(shape, in_future=in_future).cost
    usable = slots > 0 if allowed is None else (slots > 0) & allowed
    ranked = np.where(usable, cost, np.iinfo(np.int64).max)
    node = int(ranked.argmin()) if len(ranked) else -1
    return node if node >= 0 and usable[node] else -1


def _ordered_nodes(
    boards: Boards,
    shape: Shape,
    slots: NDArray[np.int64],
    allowed: NDArray[np.bool_] | None,
    fill: Fill,
    *,
    in_future: bool,
) -> NDArray[np.intp]:
    """Usable nodes, best first: soft rules, then domains with most room, then cost, then name."""
    usable = slots > 0 if allowed is None else (slots > 0) & allowed
    nodes = np.flatnonzero(usable)
    cost = boards.board(shape, in_future=in_future).cost[nodes]
    keys: list[NDArray[np.int64] | NDArray[np.float64]] = [cost]
    if fill.codes is not None:
        codes = fill.codes[nodes]
        room = np.bincount(codes + 1, weights=slots[nodes])
        keys.append(codes.astype(np.int64))
        keys.append(-room[codes + 1])
    soft = boards.soft_score(shape, in_future=in_future)
    if soft is not None:
        keys.append(-soft[nodes])
    return nodes[np.lexsort(keys)]
