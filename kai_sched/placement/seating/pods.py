"""Seating: puts pods of one leaf on nodes, many at once where counting decides, else one by one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from kai_sched.devices.allocator import PIECE_UNIT, DeviceRefusal, RefusalKind, partitions_of
from kai_sched.model.devices import MAX_CONSUMERS
from kai_sched.model.ids import ClaimKey
from kai_sched.model.policy import Strategy
from kai_sched.placement.seating.conceding import concessions, seat_preferring
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.ground import Ground

MAX_ANCHORS: Final = 64
"""Nodes tried as the home of a claim that several pods share."""
_UNKNOWN: Final = 1 << 30


def seat_pods(ground: Ground, pods: Sequence[int]) -> int:
    """Seat the pods, bigger requests first; returns how many were seated. The caller rolls back."""
    base = ground.world.base
    if len(pods) == 1:
        return _seat_run(ground, base.shape_of(pods[0]), pods)
    shapes = {shape.index: shape for shape in map(base.shape_of, pods)}
    sizes = {index: _size_key(ground.boards, shape) for index, shape in shapes.items()}
    order = sorted(pods, key=lambda pod: sizes[base.shape_of(pod).index])
    seated = 0
    for _, run in groupby(order, key=lambda pod: base.shape_of(pod).index):
        members = list(run)
        done = _seat_run(ground, base.shape_of(members[0]), members)
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


def _seat_run(ground: Ground, shape: Shape, pods: Sequence[int]) -> int:
    """Pods of one shape."""
    boards = ground.boards
    if any(_is_crowded(boards, key, len(pods)) for key in shape.named):
        return 0
    if len(pods) > 1 and any(boards.world.allocation_of(key) is None for key in shape.named):
        return _seat_sharing(ground, shape, pods)
    if shape.offers_alternatives:
        return seat_preferring(ground, shape, pods)
    is_bulk = len(pods) > 1 and not boards.one_at_a_time(shape) and _packs(boards, shape)
    if is_bulk and boards.world.base.nominated.keys().isdisjoint(pods):
        return _seat_in_bulk(ground, shape, pods)
    for done, pod in enumerate(pods):
        if not _seat_one(ground, shape, pod):
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


def _seat_in_bulk(ground: Ground, shape: Shape, pods: Sequence[int]) -> int:
    slots = ground.slots(shape)
    done = 0
    for node in ground.ordered(shape, slots):
        for _ in range(int(slots[node])):
            if done == len(pods):
                return done
            seat = ground.seat(pods[done], shape, node)
            if isinstance(seat, DeviceRefusal):
                if seat.kind is not RefusalKind.NO_FIT:
                    return done
                break
            done += 1
    return done


def _seat_one(ground: Ground, shape: Shape, pod: int) -> bool:
    slots = ground.slots(shape)
    nominated = ground.world.base.nominated.get(pod)
    if nominated is not None and ground.is_usable(nominated, slots):
        if not isinstance(ground.seat(pod, shape, nominated), DeviceRefusal):
            return True
        slots = ground.slots(shape)
    if ground.is_in_order_of_cost(shape):
        # The first choice is nearly always good, and found without sorting.
        node = ground.cheapest(shape, slots)
        if node is None:
            return False
        seat = ground.seat(pod, shape, node)
        if not isinstance(seat, DeviceRefusal):
            return True
        if seat.kind is not RefusalKind.NO_FIT:
            return False
        slots = ground.slots(shape)
    for node in ground.ordered(shape, slots):
        seat = ground.seat(pod, shape, node)
        if not isinstance(seat, DeviceRefusal):
            return True
        if seat.kind is not RefusalKind.NO_FIT:
            return False
    return False


def _seat_sharing(ground: Ground, shape: Shape, pods: Sequence[int]) -> int:
    """Pods that share a claim nobody has allocated: the first pod's node decides where the others may go."""
    world = ground.world
    nodes = ground.ordered(shape, ground.slots(shape))
    # A node-local device keeps all its users on one node: nodes with room for all of them first.
    is_short: list[bool] = (ground.rows_that_fit(shape) < len(pods)).tolist()
    conceded = concessions(ground, shape, pods[0], nodes)
    anchors = sorted(nodes, key=lambda node: (is_short[node], conceded.get(node, _UNKNOWN)))
    best = 0
    for node in anchors[:MAX_ANCHORS]:
        mark = world.checkpoint()
        seat = ground.seat(pods[0], shape, node)
        if isinstance(seat, DeviceRefusal):
            if seat.kind is not RefusalKind.NO_FIT:
                break
            continue
        rest = _seat_run(ground, shape, pods[1:])
        best = max(best, 1 + rest)
        if rest == len(pods) - 1:
            return len(pods)
        world.rollback(mark)
    return min(best, len(pods) - 1)
