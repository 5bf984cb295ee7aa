"""Turn taking: what is done for a gang within its allowance of work. What goes wrong meanwhile is undone and costs nobody else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

from kai_sched.devices.work import OutOfWork
from kai_sched.planning.cycle_state import CycleState, GangRecord


class Ended(Enum):
    """How a turn ended."""

    DONE = "done"
    OUT_OF_WORK = "out-of-work"
    """It takes more than the allowance."""
    FAILED = "failed"
    """A mistake of ours: the gangs are told so."""


def take_turn(
    state: CycleState, records: Sequence[GangRecord], allowance: int, serve: Callable[[], object]
) -> Ended:
    """Serve these gangs, who have one turn together; whatever was seated is taken back unless it ends well."""
    mark = state.boards.world.checkpoint()
    try:
        with state.meter.turn(allowance):
            serve()
    except OutOfWork:
        state.boards.world.rollback(mark)
        return Ended.OUT_OF_WORK
    except Exception as error:  # noqa: BLE001 — a mistake of ours about one gang is no other's
        state.boards.world.rollback(mark)
        for record in records:
            state.contain(record, error)
        return Ended.FAILED
    return Ended.DONE
