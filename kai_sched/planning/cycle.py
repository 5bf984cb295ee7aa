"""plan_cycle: one cycle as a function. Snapshot and policy in, plan out; the same for operator, CLI and tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from kai_sched.errors import InvalidInput
from kai_sched.model.ids import PodGroupKey
from kai_sched.model.plan import Plan, SolverReport, StageReport, TurnEnd
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot, Fleet
from kai_sched.placement.reduction.effort import Effort
from kai_sched.placement.refusal import Refusal
from kai_sched.placement.site.base import FleetCache
from kai_sched.planning.cycle_state import CycleState
from kai_sched.planning.decode import decode
from kai_sched.planning.idle_claims import deallocations_of, mentioning
from kai_sched.planning.improving import Improver, judged, may_improve, score_of, tidied_states
from kai_sched.planning.opening import Opening
from kai_sched.planning.outlook.judging import Finding, Judging
from kai_sched.planning.stages import STAGES
from kai_sched.planning.verdicts import NOT_JUDGED, verdicts_of

_PART_OF_JUDGING: Final = 4
"""Each plan that is made to tell what would help gets at most such a part of the work of a cycle."""


def plan_cycle(snapshot: ClusterSnapshot, policy: Policy, cache: FleetCache | None = None) -> Plan:
    """The best plan that the policy's deterministic budget finds."""
    *_, last = improving_plans(snapshot, policy, cache)
    return last


def improving_plans(
    snapshot: ClusterSnapshot,
    policy: Policy,
    cache: FleetCache | None = None,
    clock: Callable[[], float] | None = None,
) -> Iterator[Plan]:
    """The greedy plan first, then plans that are strictly better in the lexicographic objective.

    ``clock`` (seconds, any origin) only fills the stages' reports; no decision reads it.
    """
    cache = cache or FleetCache()
    opening = Opening.of(snapshot, policy, cache)
    state = CycleState.begin(opening)
    improver = Improver.over(state, Effort(policy.solver, len(snapshot.fleet.nodes)))
    report = SolverReport(stages=_run_stages(state, clock))
    if not policy.use_solver:
        yield _concluded(close_cycle(state, report), state, _findings(state, cache))
        return
    greedy = score_of(state, improver)
    report = replace(report, objective=greedy, greedy_objective=greedy)
    plan = close_cycle(state, report)
    yield plan
    findings = _findings(state, cache)
    if findings:
        # Said before the search for better plans, which a deadline may cut short.
        yield _concluded(plan, state, findings)
    if may_improve(state):
        again = CycleState.begin(opening, _spent(state))
        rescuing = again.rescuer = Improver.over(again, improver.effort)
        _run_stages(again, None)
        if TurnEnd.NOT_REACHED not in again.turns.ends.values():
            state, improver = again, rescuing
        if improver.rescues:
            plan = _better(state, improver, report)
            yield plan
    for better in tidied_states(state, improver):
        plan = _better(better, improver, report)
        yield plan
    plan = replace(plan, solver=judged(state, improver, greedy, report))
    if improver.rescues:
        findings = _findings(state, cache)
    yield _concluded(plan, state, findings)


def _findings(state: CycleState, cache: FleetCache) -> Mapping[PodGroupKey, Finding]:
    """What the gangs that wait may hope for, found by planning again as if this or that were otherwise.

    A cycle that could not reach all of them has no work left for that.
    """
    if TurnEnd.NOT_REACHED in state.turns.ends.values() or not state.policy.advice_units:
        return {}
    solver = replace(state.policy.solver, work=state.policy.solver.work // _PART_OF_JUDGING)
    engine = _Engine(state.snapshot.fleet, replace(state.policy, solver=solver), cache)
    return Judging(state, engine, state.policy.advice_units).findings()


def _spent(state: CycleState) -> dict[PodGroupKey, Refusal]:
    """Gangs that took all their work: what they were told stands for the whole cycle."""
    return {
        key: record.refusal
        for key, end in state.turns.ends.items()
        if end is TurnEnd.SPENT
        and (record := state.records.get(key)) is not None
        and record.refusal is not None
    }


@dataclass(frozen=True, slots=True)
class _Engine:
    """Cycles over other snapshots (``outlook.bench.Engine``); those of the same ``fleet`` share what is known of it."""

    fleet: Fleet
    policy: Policy
    cache: FleetCache

    def opened(self, snapshot: ClusterSnapshot) -> CycleState:
        return CycleState.begin(self._opening(snapshot))

    def serve(self, state: CycleState) -> None:
        _run_stages(state, None)

    def planned(self, snapshot: ClusterSnapshot, *, thorough: bool) -> CycleState:
        opening = self._opening(snapshot)
        trial = CycleState.begin(opening)
        if not thorough:
            self.serve(trial)
            return trial
        improver = Improver.over(trial, Effort(self.policy.solver, len(snapshot.fleet.nodes)))
        self.serve(trial)
        if self.policy.use_solver and may_improve(trial):
            trial = CycleState.begin(opening)
            trial.rescuer = Improver.over(trial, improver.effort)
            self.serve(trial)
        return trial

    def _opening(self, snapshot: ClusterSnapshot) -> Opening:
        cache = self.cache if snapshot.fleet is self.fleet else FleetCache()
        return Opening.of(snapshot, self.policy, cache)


def _run_stages(state: CycleState, clock: Callable[[], float] | None) -> tuple[StageReport, ...]:
    reports: list[StageReport] = []
    for stage in state.policy.stages:
        run = STAGES.get(stage)
        if run is None:
            raise InvalidInput(f"stage {stage.value} is not built yet", field="stages")
        began = clock() if clock is not None else 0.0
        run(state)
        reports.append(StageReport(stage, clock() - began if clock is not None else None))
    return tuple(reports)


def _better(state: CycleState, improver: Improver, report: SolverReport) -> Plan:
    report = replace(report, status="FEASIBLE", objective=score_of(state, improver))
    return close_cycle(state, report)


def close_cycle(state: CycleState, report: SolverReport) -> Plan:
    """The plan of a finished cycle."""
    binds, pipelined = decode(state.boards.world)
    plan = Plan(
        now=state.snapshot.now,
        binds=binds,
        pipelined=pipelined,
        shares=tuple(state.shares[name] for name in sorted(state.shares)),
        solver=report,
        turns=tuple(sorted(state.turns.ends.items())),
        contained=tuple(state.contained[key] for key in sorted(state.contained)),
    )
    return _concluded(plan, state)


def _concluded(plan: Plan, state: CycleState, findings: Mapping[PodGroupKey, Finding] = NOT_JUDGED) -> Plan:
    """With the reasons of those who wait, and what is given back for them."""
    given_back = deallocations_of(state)
    verdicts = mentioning(verdicts_of(state, findings), given_back, state.boards.world.base.claims)
    return replace(plan, deallocations=given_back, verdicts=verdicts)
