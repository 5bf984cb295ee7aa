"""Pods whose claims offer alternatives (``firstAvailable``): the node that gives the best one, whatever it costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kai_sched.devices.allocator import DeviceRefusal, RefusalKind
from kai_sched.placement.site.alternatives import concession_of
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.world.ground import Ground
from kai_sched.placement.world.moments import Moment

MAX_TRIALS: Final = 64
"""Nodes with room that are asked for the best alternative of a request."""


def seat_preferring(ground: Ground, shape: Shape, pods: Sequence[int]) -> int:
    """Seats pods one by one, each where it has to concede least; how many were seated.

    Where a pod had to concede something, pods like it concede as much without looking further.
    """
    boards, horizon = ground.boards, ground.horizon
    # Inside other bounds more may have to be conceded than elsewhere.
    is_open = ground.allowed is None and not ground.pinned
    inside: tuple[Moment, int] | None = None
    for done, pod in enumerate(pods):
        conceded = boards.conceded(shape, horizon)
        if inside is not None and boards.still_holds(inside[0], [shape]):
            conceded = max(conceded, inside[1])
        before = boards.world.moment()
        found = _seat_at_best(ground, shape, pod, conceded)
        if found is None:
            return done
        inside = (before, max(conceded, found))
        if is_open:
            boards.concede(shape, horizon, *inside)
    return len(pods)


def concessions(ground: Ground, shape: Shape, pod: int, nodes: Sequence[int]) -> dict[int, int]:
    """By node what a pod would have to concede there; {} where nothing has to be conceded."""
    found: dict[int, int] = {}
    if not shape.offers_alternatives:
        return found
    world = ground.world
    for node in nodes[:MAX_TRIALS]:
        mark = world.checkpoint()
        seat = world.take(pod, shape, node, ground.horizon)
        if not isinstance(seat, DeviceRefusal):
            found[node] = concession_of(seat.allocations, world.base.claims)
            world.rollback(mark)
    return found


def _seat_at_best(ground: Ground, shape: Shape, pod: int, conceded: int) -> int | None:
    """What the pod had to concede; None: it is not seated."""
    world = ground.world
    best: tuple[int, int] | None = None
    trials = 0
    for node in ground.ordered(shape, ground.slots(shape)):
        mark = world.checkpoint()
        seat = ground.seat(pod, shape, node)
        if isinstance(seat, DeviceRefusal):
            if seat.kind is not RefusalKind.NO_FIT:
                break
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
    if best is None or isinstance(ground.seat(pod, shape, best[1]), DeviceRefusal):
        return None
    return best[0]
