"""Trials: what those who wait may hope for, found by whole cycles over snapshots in which this or that is otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from kai_sched.model.ids import PodGroupKey
from kai_sched.model.plan import TurnEnd
from kai_sched.model.policy import Policy, StageName
from kai_sched.model.snapshot import ClusterSnapshot, Fleet
from kai_sched.placement.reduction.effort import Effort
from kai_sched.placement.site.fleet_index import FleetCache
from kai_sched.planning.cycle_state import CycleState
from kai_sched.planning.improving import Improvement, may_improve
from kai_sched.planning.opening import Opening
from kai_sched.planning.outlook.judging import Finding, Judging
from kai_sched.planning.outlook.rota import Rota
from kai_sched.planning.stages import run_stages
from kai_sched.planning.verdicts import NOT_JUDGED

_PART_OF_JUDGING: Final = 4
"""Each plan that is made to tell what would help gets at most such a part of the work of a cycle."""


def findings_of(state: CycleState, cache: FleetCache, rota: Rota) -> Mapping[PodGroupKey, Finding]:
    """What the gangs that wait after a cycle may hope for.

    A cycle that could not reach all of them has no work left for that.
    """
    if TurnEnd.NOT_REACHED in state.turns.ends.values() or not state.policy.advice_units:
        return NOT_JUDGED
    solver = replace(state.policy.solver, work=state.policy.solver.work // _PART_OF_JUDGING)
    # Whom a gang may make leave it was told already; what is asked here is what becomes of it while all others stay.
    policy = replace(state.policy, solver=solver, stages=(StageName.ALLOCATE,))
    engine = _Engine(state.snapshot.fleet, policy, cache)
    return Judging(state, engine, rota, state.policy.advice_units).findings()


@dataclass(frozen=True, slots=True)
class _Engine:
    """Cycles over other snapshots (``outlook.bench.Engine``); those of the same ``fleet`` share what is known of it."""

    fleet: Fleet
    policy: Policy
    cache: FleetCache

    def opened(self, snapshot: ClusterSnapshot) -> CycleState:
        return CycleState.begin(self._opening(snapshot))

    def serve(self, state: CycleState) -> None:
        run_stages(state)

    def planned(self, snapshot: ClusterSnapshot, *, thorough: bool) -> CycleState:
        opening = self._opening(snapshot)
        trial = CycleState.begin(opening)
        if not thorough:
            self.serve(trial)
            return trial
        improver = Improvement.over(trial, Effort(self.policy.solver, len(snapshot.fleet.nodes)))
        self.serve(trial)
        if self.policy.use_solver and may_improve(trial):
            trial = CycleState.begin(opening)
            trial.rescuer = Improvement.over(trial, improver.effort)
            self.serve(trial)
        return trial

    def _opening(self, snapshot: ClusterSnapshot) -> Opening:
        cache = self.cache if snapshot.fleet is self.fleet else FleetCache()
        return Opening.of(snapshot, self.policy, cache)
