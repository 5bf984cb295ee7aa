"""``python -m benchmarks.decide [--json FILE] [--rounds N]``: decision time of three instances.

A decision is everything from a snapshot to the last plan, in process, the fleet known from the cycle before (as it is
in the operator). "greedy" is the stage that seats pods; the first plan is what a cycle has when the solver fails.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.decide.baseline import first_fit
from benchmarks.decide.instances import fill_with_singles, many_gangs, one_large_gang
from kai_sched.model.plan import Plan
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.base import FleetCache
from kai_sched.planning.checks import PlanChecker
from kai_sched.planning.cycle import improving_plans
from kai_sched.solving.process import SolverProcess

SCENARIOS: tuple[tuple[str, Callable[[], ClusterSnapshot], float, float | None], ...] = (
    ("512-pod gang, preferred rack, 512 nodes", one_large_gang, 1.0, None),
    ("4000 one-GPU pods on 500 nodes", fill_with_singles, 1.0, None),
    ("200 gangs (1,380 pods) on 5000 nodes", many_gangs, 2.0, 0.010),
)
"""Name, instance, goal of the decision and of its greedy part in seconds."""


def measure(snapshot: ClusterSnapshot, rounds: int) -> dict[str, object]:
    cache = FleetCache()
    first: list[float] = []
    whole: list[float] = []
    greedy: list[float] = []
    cpu: list[float] = []
    plan: Plan | None = None
    for attempt in range(rounds + 1):
        gc.collect()
        began, cpu_began = time.perf_counter(), time.process_time()
        plans = improving_plans(snapshot, Policy(), cache, time.perf_counter)
        plan = next(plans)
        first_at = time.perf_counter()
        for plan in plans:
            pass
        if attempt:  # The first round derives the fleet's tables.
            first.append(first_at - began)
            whole.append(time.perf_counter() - began)
            cpu.append(time.process_time() - cpu_began)
            greedy.append(sum(stage.seconds or 0.0 for stage in plan.solver.stages))
    assert plan is not None
    began = time.perf_counter()
    violations = PlanChecker()(snapshot, Policy(), plan)
    checked = time.perf_counter() - began
    return {
        "decision_seconds": statistics.median(whole),
        "decision_cpu_seconds": statistics.median(cpu),
        "first_plan_seconds": statistics.median(first),
        "greedy_seconds": statistics.median(greedy),
        "checker_seconds": checked,
        "violations": len(violations),
        "placed_pods": len(plan.binds),
        "status": plan.solver.status,
        "objective": dict(plan.solver.objective),
        "bound": dict(plan.solver.bound),
        "greedy_objective": dict(plan.solver.greedy_objective),
        "models": plan.solver.models,
    }


async def through_child(snapshot: ClusterSnapshot) -> dict[str, object]:
    """The same decision made by the solving child: what travelling and checking add."""
    async with SolverProcess() as solver:
        await solver.decide(snapshot, Policy(), 60)
        decision = await solver.decide(snapshot, Policy(), 60)
    return {
        "seconds": decision.seconds,
        "first_plan_seconds": decision.first_plan_seconds,
        "encoding_seconds": decision.encoding_seconds,
        "sent_megabytes": decision.sent_bytes / 1e6,
        "child_megabytes": decision.child_memory_bytes / 1e6,
        "ending": decision.ending,
    }


def run(rounds: int) -> dict[str, object]:
    results = []
    for name, make, goal, greedy_goal in SCENARIOS:
        snapshot = make()
        began = time.perf_counter()
        placed = first_fit(snapshot)
        baseline = time.perf_counter() - began
        ours = measure(snapshot, rounds)
        seconds, greedy = float(str(ours["decision_seconds"])), float(str(ours["greedy_seconds"]))
        results.append(
            {
                "scenario": name,
                **ours,
                "goal_seconds": goal,
                "reaches_goal": seconds <= goal,
                "greedy_goal_seconds": greedy_goal,
                "reaches_greedy_goal": greedy_goal is None or greedy <= greedy_goal,
                "baseline_seconds": baseline,
                "baseline_placed_pods": placed,
                "times_faster": baseline / seconds,
                "child": asyncio.run(through_child(snapshot)),
            }
        )
        _print(results[-1])
    return {"machine": machine(), "rounds": rounds, "results": results}


def machine() -> dict[str, object]:
    load = os.getloadavg()[0]
    return {
        "cpus": os.cpu_count(),
        "load": round(load, 2),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _print(result: dict[str, object]) -> None:
    child = result["child"]
    assert isinstance(child, dict)
    print(f"{result['scenario']}: {result['status']}, {result['placed_pods']} pods placed")
    print(
        f"  decision {_ms(result['decision_seconds'])} (goal {_ms(result['goal_seconds'])}), "
        f"first plan {_ms(result['first_plan_seconds'])}, greedy {_ms(result['greedy_seconds'])}, "
        f"check {_ms(result['checker_seconds'])}, {result['models']} models"
    )
    print(
        f"  baseline {_ms(result['baseline_seconds'])}, {result['baseline_placed_pods']} pods placed: "
        f"{result['times_faster']:.1f} times as long"
    )
    print(
        f"  through the child {_ms(child['seconds'])}, of it encoding {_ms(child['encoding_seconds'])}; "
        f"{child['sent_megabytes']:.2f} MB sent, child holds {child['child_megabytes']:.0f} MB",
        flush=True,
    )


def _ms(seconds: object) -> str:
    return f"{1000 * float(str(seconds)):.1f} ms"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(f"machine: {machine()}")
    report = run(arguments.rounds)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    results = report["results"]
    assert isinstance(results, list)
    return 0 if all(result["reaches_goal"] and not result["violations"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
