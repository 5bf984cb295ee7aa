"""Measures one instance: decisions with and without improving, beside the baseline, round by round."""

from __future__ import annotations

import gc
import pickle
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from kai_sched.model.plan import Plan
from kai_sched.model.policy import DeviceChoice, Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.site.fleet_index import FleetCache
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.planning.cycle import Deciding
from kai_sched.planning.outlook.rota import Rota
from kai_sched.solving.messages import SnapshotColumns
from kai_sched.solving.process import SolverProcess

Document = dict[str, object]


@dataclass(frozen=True)
class Scenario:
    """``goal_seconds``: of the whole decision. ``baseline``: None where ours without the solver is the baseline."""

    name: str
    make: Callable[[], ClusterSnapshot]
    goal_seconds: float
    baseline: Callable[[ClusterSnapshot], int] | None


@dataclass(frozen=True)
class Series:
    """Seconds of several rounds."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def document(self) -> Document:
        return {
            "median": self.median,
            "least": min(self.seconds),
            "most": max(self.seconds),
            "rounds": list(self.seconds),
        }


@dataclass
class Clocks:
    """What one kind of decision took, a round each."""

    whole: list[float]
    first: list[float]
    stage: list[float]
    cpu: list[float]
    prospects: list[float]
    """After the decision, while nobody waits for it."""

    @classmethod
    def empty(cls) -> Clocks:
        return cls([], [], [], [], [])


def measure(scenario: Scenario, rounds: int) -> Document:
    """One round more than counts: the first derives the fleet's tables, which a running scheduler has.

    Every round decides on new objects, as every cycle does: nothing may be recognised by identity but the fleet.
    """
    original = scenario.make()
    cache = FleetCache()
    improving, plain = Clocks.empty(), Clocks.empty()
    baseline: list[float] = []
    placed_by_baseline = 0
    for number in range(rounds + 1):
        snapshot = _copied(original)
        plan = _decide(snapshot, Policy(), cache, improving)
        greedy = _decide(_copied(original), Policy(use_solver=False), cache, plain)
        seconds, placed_by_baseline = _baseline(scenario, _copied(original), cache)
        baseline.append(seconds)
        if number == 0:
            improving, plain, baseline = Clocks.empty(), Clocks.empty(), []
    began = time.perf_counter()
    violations = PlanChecker()(snapshot, Policy(), plan)
    checked = time.perf_counter() - began
    whole = Series(tuple(improving.whole))
    return {
        "scenario": scenario.name,
        "goalSeconds": scenario.goal_seconds,
        "reachesGoal": whole.median <= scenario.goal_seconds,
        "decision": whole.document(),
        "decisionCpu": Series(tuple(improving.cpu)).document(),
        "firstPlan": Series(tuple(improving.first)).document(),
        "prospects": Series(tuple(improving.prospects)).document(),
        "greedyStage": Series(tuple(improving.stage)).document(),
        "withoutImproving": Series(tuple(plain.whole)).document(),
        "baseline": Series(tuple(baseline)).document(),
        "baselineTimesAsLong": Series(
            tuple(theirs / ours for theirs, ours in zip(baseline, improving.whole, strict=True))
        ).document(),
        "checkerSeconds": checked,
        "violations": [str(violation) for violation in violations],
        "placedPods": {
            "improved": len(plan.binds),
            "withoutImproving": len(greedy.binds),
            "baseline": placed_by_baseline,
        },
        "quality": _quality(plan),
    }


def _copied(snapshot: ClusterSnapshot) -> ClusterSnapshot:
    """As the solving child would get it."""
    copy = pickle.loads(pickle.dumps(SnapshotColumns.of(snapshot), protocol=5))
    assert isinstance(copy, SnapshotColumns)
    return copy.restore(snapshot.fleet)


def _decide(snapshot: ClusterSnapshot, policy: Policy, cache: FleetCache, clocks: Clocks) -> Plan:
    gc.collect()
    began, cpu_began = time.perf_counter(), time.process_time()
    deciding = Deciding(snapshot, policy, cache, time.perf_counter)
    plans = deciding.plans()
    plan = next(plans)
    clocks.first.append(time.perf_counter() - began)
    plan = _last(plans, plan)
    clocks.whole.append(time.perf_counter() - began)
    clocks.cpu.append(time.process_time() - cpu_began)
    told = time.perf_counter()
    deciding.told(Rota())
    clocks.prospects.append(time.perf_counter() - told)
    clocks.stage.append(sum(stage.seconds or 0.0 for stage in plan.solver.stages))
    return plan


def _last(plans: Iterable[Plan], plan: Plan) -> Plan:
    for better in plans:
        plan = better
    return plan


def _baseline(scenario: Scenario, snapshot: ClusterSnapshot, cache: FleetCache) -> tuple[float, int]:
    """(seconds, pods placed)."""
    gc.collect()
    began = time.perf_counter()
    if scenario.baseline is not None:
        placed = scenario.baseline(snapshot)
    else:
        first_fit = replace(Policy(use_solver=False), device_choice=DeviceChoice.REFERENCE)
        (plan,) = Deciding(snapshot, first_fit, cache).plans()
        placed = len(plan.binds)
    return time.perf_counter() - began, placed


def _quality(plan: Plan) -> Document:
    """Tier by tier: what greedy had, what is reached, what nobody can pass, and what lies between."""
    solver = plan.solver
    return {
        "status": solver.status,
        "models": solver.models,
        "rejected": solver.rejected,
        "tiers": [
            {"name": name, "greedy": before, "reached": reached, "bound": bound, "gap": abs(bound - reached)}
            for (name, reached), (_, bound), (_, before) in zip(
                solver.objective, solver.bound, solver.greedy_objective, strict=True
            )
        ],
    }


async def through_child(snapshot: ClusterSnapshot) -> Document:
    """The same decision made by the solving child: what travelling and checking add.

    As in a running operator, the child knows the fleet by its version and has loaded its solver, which it does after
    its first decision: the third one counts.
    """
    snapshot = replace(snapshot, fleet=replace(snapshot.fleet, version=1))
    async with SolverProcess() as solver:
        for _ in range(2):
            await solver.decide(snapshot, Policy(), 60)
        decision = await solver.decide(snapshot, Policy(), 60)
    return {
        "seconds": decision.seconds,
        "firstPlanSeconds": decision.first_plan_seconds,
        "encodingSeconds": decision.encoding_seconds,
        "sentMegabytes": decision.sent_bytes / 1e6,
        "childMegabytes": decision.child_memory_bytes / 1e6,
        "ending": decision.ending.value,
    }
