"""``python -m benchmarks.claims.decide [--json FILE] [--rounds N]``: claims decided a second, from snapshot to plan.

In process, the fleet known from the cycle before, as it is in the operator. The baseline takes the claims one by one: the
reference's search on the first node that serves, full nodes remembered, nothing else of a scheduler (no queues, no
choice among nodes or devices, no check).
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from benchmarks.claims.decide_instances import INSTANCES
from benchmarks.machine import machine, machine_line
from kai_sched.devices.allocator import DeviceIndex, DeviceRefusal, DeviceState, Options, allocate
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.site.fleet_index import FleetCache
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.planning.cycle import Deciding

GOALS = {"plain selector": 1000.0, "matchAttribute over 2 devices": 1000.0}
"""Claims a second."""


def measure(snapshot: ClusterSnapshot, rounds: int) -> dict[str, object]:
    cache = FleetCache()
    seconds: list[float] = []
    *_, plan = Deciding(replace(snapshot, pods=snapshot.pods), Policy(), cache).plans()
    for _ in range(rounds):
        gc.collect()
        began = time.perf_counter()
        *_, plan = Deciding(snapshot, Policy(), cache).plans()
        seconds.append(time.perf_counter() - began)
    claims = Counter(claim.claim for bind in plan.binds for claim in bind.claims)
    median = statistics.median(seconds)
    return {
        "decision_seconds": median,
        "placed_pods": len(plan.binds),
        "decided_claims": len(claims),
        "claims_per_second": len(claims) / median,
        "pods_per_second": len(plan.binds) / median,
        "violations": len(PlanChecker()(snapshot, Policy(), plan)),
        "status": plan.solver.status,
    }


def one_by_one(snapshot: ClusterSnapshot) -> dict[str, object]:
    """The baseline."""
    index = DeviceIndex.of(snapshot.fleet)
    nodes = [node for node in snapshot.fleet.nodes if index.pools_of(node)]
    state = DeviceState()
    first, decided = 0, 0
    began = time.perf_counter()
    for claim in snapshot.claims:
        while first < len(nodes):
            outcome = allocate(index, state, nodes[first], [claim], Options(uses_shortcuts=False))
            if not isinstance(outcome, DeviceRefusal):
                state.take(outcome[0])
                decided += 1
                break
            first += 1
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "decided_claims": decided, "claims_per_second": decided / seconds}


def run(rounds: int) -> list[dict[str, object]]:
    results: list[dict[str, object]] = []
    for name, make in INSTANCES:
        snapshot = make()
        ours = measure(snapshot, rounds)
        baseline = one_by_one(snapshot)
        goal = GOALS.get(name)
        rate = float(str(ours["claims_per_second"]))
        result = {
            "variant": name,
            **ours,
            "goal": goal,
            "reaches_goal": goal is None or rate >= goal,
            "baseline": baseline,
        }
        results.append(result)
        print(_line(result), flush=True)
    return results


def _line(result: dict[str, object]) -> str:
    baseline = result["baseline"]
    assert isinstance(baseline, dict)
    goal = f" (goal {result['goal']:.0f})" if result["goal"] else ""
    return (
        f"{result['variant']}: {result['claims_per_second']:.0f} claims/s{goal}, {result['pods_per_second']:.0f} pods/s"
        f" ({result['placed_pods']} pods, {result['decided_claims']} claims in {result['decision_seconds']:.2f} s,"
        f" {result['status']}, {result['violations']} violations);"
        f" one by one {baseline['claims_per_second']:.0f} claims/s ({baseline['decided_claims']} decided)"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(machine_line())
    results = run(arguments.rounds)
    if arguments.json is not None:
        report = {"machine": machine(), "rounds": arguments.rounds, "results": results}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0 if all(result["reaches_goal"] and not result["violations"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
