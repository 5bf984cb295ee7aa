"""plan_cycle: one cycle as a function. Snapshot and policy in, plan out; the same for operator, CLI and tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from kai_sched.model.ids import PodGroupKey
from kai_sched.model.plan import Plan, SolverReport, TurnEnd
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.reduction.effort import Effort
from kai_sched.placement.refusal import Refusal
from kai_sched.placement.site.fleet_index import FleetCache
from kai_sched.planning.cycle_state import CycleState
from kai_sched.planning.decode import decode
from kai_sched.planning.idle_claims import deallocations_of, mentioning
from kai_sched.planning.improving import Improvement, judged, may_improve, score_of, tidied_states
from kai_sched.planning.opening import Opening
from kai_sched.planning.outlook.judging import Finding
from kai_sched.planning.outlook.rota import Rota
from kai_sched.planning.stages import run_stages
from kai_sched.planning.trials import findings_of
from kai_sched.planning.verdicts import NOT_JUDGED, verdicts_of


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

    The last one tells what those who wait may hope for.
    """
    deciding = Deciding(snapshot, policy, cache, clock)
    yield from deciding.plans()
    told = deciding.told(Rota())
    if told is not deciding.decided:
        yield told


class Deciding:
    """One cycle: first what is done, then what is said about those for whom nothing can be done.

    ``clock`` (seconds, any origin) only fills the stages' reports; no decision reads it.
    """

    def __init__(
        self,
        snapshot: ClusterSnapshot,
        policy: Policy,
        cache: FleetCache | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._cache = cache or FleetCache()
        self._opening = Opening.of(snapshot, policy, self._cache)
        self._state = CycleState.begin(self._opening)
        self._clock = clock
        self._decided: Plan | None = None

    @property
    def decided(self) -> Plan:
        """The last of the plans."""
        assert self._decided is not None, "the plans are not taken yet"
        return self._decided

    def plans(self) -> Iterator[Plan]:
        """The greedy plan, then better ones. All are to be taken before anything else is asked."""
        for plan in self._plans():
            self._decided = plan
            yield plan

    def told(self, rota: Rota) -> Plan:
        """The last plan with what the gangs that wait may hope for, as far as they are reached."""
        findings = findings_of(self._state, self._cache, rota)
        return _concluded(self.decided, self._state, findings) if findings else self.decided

    def _plans(self) -> Iterator[Plan]:
        state = self._state
        policy = state.policy
        improver = Improvement.over(state, Effort(policy.solver, len(state.snapshot.fleet.nodes)))
        report = SolverReport(stages=run_stages(state, self._clock))
        if not policy.use_solver:
            yield close_cycle(state, report)
            return
        greedy = score_of(state, improver)
        report = replace(report, objective=greedy, greedy_objective=greedy)
        plan, told = close_cycle(state, report), state
        yield plan
        if may_improve(state):
            again = CycleState.begin(self._opening, _spent(state))
            rescuing = again.rescuer = Improvement.over(again, improver.effort)
            run_stages(again)
            if TurnEnd.NOT_REACHED not in again.turns.ends.values():
                self._state, improver = again, rescuing
                state = again
            if improver.rescues:
                plan, told = _better(state, improver, report), state
                yield plan
        for better in tidied_states(state, improver):
            plan, told = _better(better, improver, report), better
            yield plan
        plan = replace(plan, solver=judged(state, improver, greedy, report))
        # A second run that placed nobody else may know better why.
        yield plan if told is state else _concluded(plan, state)


def _spent(state: CycleState) -> dict[PodGroupKey, Refusal]:
    """Gangs that took all their work: what they were told stands for the whole cycle."""
    return {
        key: record.refusal
        for key, end in state.turns.ends.items()
        if end is TurnEnd.SPENT
        and (record := state.records.get(key)) is not None
        and record.refusal is not None
    }


def _better(state: CycleState, improver: Improvement, report: SolverReport) -> Plan:
    report = replace(report, status="FEASIBLE", objective=score_of(state, improver))
    return close_cycle(state, report)


def close_cycle(state: CycleState, report: SolverReport) -> Plan:
    """The plan of a finished cycle."""
    binds, pipelined = decode(state.boards.world)
    plan = Plan(
        now=state.snapshot.now,
        binds=binds,
        pipelined=pipelined,
        evictions=tuple(state.evictions),
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
