"""Promises: gangs to which an earlier cycle promised room, whether others left for it or it was coming free anyway.

What is promised stands in the pods (``status.nominatedNodeName``) and nowhere else, so that it outlives a restart. Such a
gang has its turn before all others, on the nodes that were promised and nowhere else; where they no longer take it the
promise is void, and it waits for its turn like everybody. Others write that field, too: where no stage makes anybody leave
nobody is promised anything, and it is a wish.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from kai_sched.model.policy import StageName
from kai_sched.placement.seating.greedy import place_core, place_extra
from kai_sched.placement.world.ground import Ground
from kai_sched.placement.world.horizon import Horizon
from kai_sched.planning.bounds import over_bounds
from kai_sched.planning.cycle_state import CycleState, GangRecord
from kai_sched.planning.recording import record_seats
from kai_sched.planning.turn_taking import take_turn
from kai_sched.planning.turns import enough_for

_EVICT: Final = frozenset(StageName) - {StageName.ALLOCATE}
_PART_OF_ALL: Final = 2
"""Promises may take such a part of the work of a cycle."""


def keep_promises(state: CycleState) -> None:
    """Seat the gangs that have nodes promised, the most important first, the oldest among equals."""
    nominated = state.boards.world.base.nominated
    if not nominated or not _EVICT.intersection(state.policy.stages):
        return
    promised = [record for record in state.records.values() if _promised(state, record)]
    left = state.policy.solver.work // _PART_OF_ALL
    for record in sorted(promised, key=_value):
        if left <= 0:
            break
        began = state.meter.own_units
        allowance = min(left, enough_for(len(record.gang.pending_pods())))
        take_turn(state, [record], allowance, partial(_keep_all, state, record))
        left -= state.meter.own_units - began


def _value(record: GangRecord) -> tuple[int, float, str]:
    group = record.gang.group
    return -group.priority, group.created_at, group.key


def _promised(state: CycleState, record: GangRecord) -> tuple[int, ...]:
    """The pods of the core, else of what comes next above the minimum, if all of them have nodes promised."""
    pods = record.gang.core_pods() or record.gang.extra_pods()
    return pods if state.boards.world.base.nominated.keys() >= set(pods) else ()


def _keep_all(state: CycleState, record: GangRecord) -> None:
    """First the core, then pod after pod above the minimum."""
    while (pods := _promised(state, record)) and not record.waits and _keep(state, record, pods):
        pass


def _keep(state: CycleState, record: GangRecord, pods: tuple[int, ...]) -> bool:
    world, gang = state.boards.world, record.gang
    open_to = state.open_to(gang.group.key)
    allowed = ~world.base.everywhere
    allowed[[world.base.nominated[pod] for pod in pods]] = True
    if open_to is not None:
        allowed &= open_to
    mark = world.checkpoint()
    for horizon in (Horizon.NOW, Horizon.LATER) if world.is_releasing else (Horizon.NOW,):
        ground = Ground(state.boards, horizon, allowed)
        is_core = bool(gang.core_pods())
        if (
            place_core(ground, gang) if is_core else place_extra(ground, gang, may=lambda _: None)
        ) is not None:
            continue
        seats = world.seats_since(mark)
        if over_bounds(state.ledger, gang.group, state.request_on(seats)) is not None:
            world.rollback(mark)
            return False
        record.waits |= horizon is Horizon.LATER and gang.needs_any({seat.pod for seat in seats})
        record_seats(state, record, seats, horizon)
        return True
    return False
