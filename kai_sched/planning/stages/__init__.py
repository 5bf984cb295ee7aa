"""The stages of a cycle, one function each, least disruptive first. They do not know each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from kai_sched.errors import InvalidInput
from kai_sched.model.plan import StageReport
from kai_sched.model.policy import StageName
from kai_sched.planning.cycle_state import CycleState
from kai_sched.planning.stages import allocate, preempt, reclaim

STAGES: Final[Mapping[StageName, Callable[[CycleState], None]]] = MappingProxyType(
    {
        StageName.ALLOCATE: allocate.allocate,
        StageName.RECLAIM: reclaim.reclaim,
        StageName.PREEMPT: preempt.preempt,
    }
)
"""What a plan may be asked for today."""
CARRIED_OUT: Final = frozenset({StageName.ALLOCATE})
"""Stages whose plans the operator can carry out today."""


def run_stages(state: CycleState, clock: Callable[[], float] | None = None) -> tuple[StageReport, ...]:
    """Every stage of the state's policy in turn. ``clock``: see ``planning.cycle``; without one nothing is measured.

    Raises:
        InvalidInput: the policy names a stage that is not built yet.
    """
    reports: list[StageReport] = []
    for stage in state.policy.stages:
        run = STAGES.get(stage)
        if run is None:
            raise InvalidInput(f"stage {stage.value} is not built yet", field="stages")
        began = clock() if clock is not None else 0.0
        run(state)
        reports.append(StageReport(stage, clock() - began if clock is not None else None))
    return tuple(reports)
