"""``python -m benchmarks.decide [-o table|json] [--json FILE] [--rounds N] [--only TEXT]``: how long a decision takes.

A decision is everything from a snapshot to the last plan, in process, the fleet known from the cycle before (as it is
in the operator). "greedy stage" is what seats pods; the first plan is what a cycle has when the solver fails.
Exit code 1: a goal was missed, or the checker refused a plan.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.decide.baseline import first_fit
from benchmarks.decide.instances import (
    crowded_racks,
    fill_with_singles,
    many_gangs,
    no_room_for_a_gang,
    one_large_gang,
)
from benchmarks.decide.measure import Document, Scenario, measure, through_child
from benchmarks.decide.partitions import mixed_partitions

SCENARIOS = (
    Scenario("512-pod gang, preferred rack, 500 nodes", one_large_gang, 1.0, first_fit),
    Scenario("4000 one-GPU pods on 500 nodes", fill_with_singles, 1.0, first_fit),
    Scenario("10 x 8-GPU gang on 500 full nodes: no room", no_room_for_a_gang, 2.0, first_fit),
    Scenario("20 gangs on 96 half-full nodes", crowded_racks, 2.0, first_fit),
    Scenario("200 gangs (1,380 pods) on 5000 nodes", many_gangs, 2.0, first_fit),
    Scenario("queue of MIG partitions on 64 H100s", mixed_partitions, 2.0, None),
)


def run(rounds: int, only: str) -> Document:
    results = []
    for scenario in SCENARIOS:
        if only in scenario.name:
            result = measure(scenario, rounds)
            result["child"] = asyncio.run(through_child(scenario.make()))
            results.append(result)
            print(table(result), file=sys.stderr, flush=True)
    return {"machine": machine(), "rounds": rounds, "results": results}


def machine() -> Document:
    """What the figures depend on."""
    return {
        "cpus": os.cpu_count(),
        "loadAverage": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "ortools": version("ortools"),
        "system": f"{platform.system()} {platform.machine()}",
    }


def table(result: dict[str, Any]) -> str:
    """One scenario in a few lines."""
    placed, quality, child = result["placedPods"], result["quality"], result["child"]
    ratio = result["baselineTimesAsLong"]
    verdict = "reached" if result["reachesGoal"] else "MISSED"
    lines = [
        f"{result['scenario']}",
        f"  {'':18} {'median':>10} {'least':>10} {'most':>10}   pods placed",
        _row("decision", result["decision"], placed["improved"]),
        _row("  of it CPU", result["decisionCpu"]),
        _row("  first plan", result["firstPlan"]),
        _row("  greedy stage", result["greedyStage"]),
        _row("prospects after", result["prospects"]),
        _row("without improving", result["withoutImproving"], placed["withoutImproving"]),
        _row("baseline", result["baseline"], placed["baseline"]),
        f"  goal {result['goalSeconds']:.0f} s {verdict}",
        f"  baseline takes {ratio['median']:.1f} times as long ({ratio['least']:.1f}-{ratio['most']:.1f})",
        f"  check {_ms(result['checkerSeconds'])}, {len(result['violations'])} violations",
        f"  through the child {_ms(child['seconds'])}, first plan {_ms(child['firstPlanSeconds'])}",
        f"  {quality['status']}, {quality['models']} models, {quality['rejected']} answers did not work on nodes",
    ]
    lines += [
        f"    {tier['name']:22} greedy {tier['greedy']:>6}  reached {tier['reached']:>6}  "
        f"bound {tier['bound']:>6}  gap {tier['gap']}"
        for tier in quality["tiers"]
    ]
    return "\n".join(lines)


def _row(name: str, series: dict[str, Any], placed: int | None = None) -> str:
    figures = " ".join(f"{_ms(series[key]):>10}" for key in ("median", "least", "most"))
    return f"  {name:18} {figures}" + (f"   {placed}" if placed is not None else "")


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", choices=("table", "json"), default="table", help="what goes to standard output")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="scenarios whose name has this text")
    arguments = parser.parse_args()
    report: dict[str, Any] = run(arguments.rounds, arguments.only)
    text = json.dumps(report, indent=2)
    if arguments.json is not None:
        arguments.json.write_text(text + "\n")
    print(text if arguments.o == "json" else f"machine: {report['machine']}")
    results = report["results"]
    return 0 if all(result["reachesGoal"] and not result["violations"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
