"""Recording: what a stage has seated, written into the account and the gang's record."""

from __future__ import annotations

from collections.abc import Sequence

from kai_sched.placement.world.horizon import Horizon
from kai_sched.placement.world.room import Seat
from kai_sched.planning.cycle_state import CycleState, GangRecord


def record_seats(state: CycleState, record: GangRecord, seats: Sequence[Seat], horizon: Horizon) -> None:
    """These pods of the gang have a place, now or once others have left."""
    pods = tuple(seat.pod for seat in seats)
    nodes = state.boards.world.base.table.nodes
    request = state.request_on(seats)
    (record.pipelined if horizon is Horizon.LATER else record.placed).extend(pods)
    state.ledger.charge(record.gang.group.queue, request, is_preemptible=record.gang.group.is_preemptible)
    state.accounting.note_placed(pods)
    record.gang = record.gang.after({seat.pod: nodes[seat.node].name for seat in seats})
