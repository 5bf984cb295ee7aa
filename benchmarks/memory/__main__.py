"""``python -m benchmarks.memory [--cycles N] [--only WORLD] [--json FILE]``: what the solving child holds, cycle after cycle.

A real child decides a world that stands still, then one whose pods, groups and claims are others in every cycle, then one
in which they ask for what nobody has asked before; the prospects of those that wait are awaited each time. Its resident
memory after the first cycles is the baseline: a hundred, and 700 where they ask for ever new things, of which a bounded
lot is remembered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine, machine_line
from benchmarks.memory.worlds import WORLDS, beginning
from kai_sched.model.policy import Policy
from kai_sched.solving.process import SolverProcess

GOAL_GROWTH = 1.05
"""After all cycles beside after the baseline's."""
LEAST_CYCLES = max(world.baseline_cycle for world in WORLDS.values())
DEADLINE_SECONDS = 60.0
_SHOWN = (1, 10, 100, 300, 500, 700, 1000, 3000)


async def measure(name: str, cycles: int, out: Console) -> dict[int, float]:
    """Cycle -> resident MiB of a child that sees this world."""
    begin, change, found = beginning(), WORLDS[name].change, dict[int, float]()
    async with SolverProcess() as solver:
        for cycle in range(1, cycles + 1):
            decision = await solver.decide(change(begin, cycle), Policy(), DEADLINE_SECONDS)
            assert decision.plan is not None, decision.reason
            await solver.prospects(decision)
            if cycle in _SHOWN or cycle == cycles:
                found[cycle] = resident_mib(solver.process_id)
                out.print(f"{name}: cycle {cycle}, {found[cycle]:.0f} MiB")
        assert solver.stats.starts == 2, "a child was lost, so the figures are those of several"
    return found


def resident_mib(process: int | None) -> float:
    """VmRSS of a process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def main() -> int:
    """Measure and print; 1 if a world makes the child grow."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument(
        "--cycles", type=int, default=1000, help=f"cycles a world, more than {LEAST_CYCLES} (default 1000)"
    )
    parser.add_argument("--only", choices=WORLDS, help="this world alone")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    if options.cycles <= LEAST_CYCLES:
        parser.error(f"--cycles must be above {LEAST_CYCLES}")
    out = Console(stderr=True)
    out.print(machine_line())
    results: dict[str, Any] = {}
    for name, world in WORLDS.items():
        if options.only not in {None, name}:
            continue
        found = asyncio.run(measure(name, options.cycles, out))
        growth = round(found[options.cycles] / found[world.baseline_cycle], 3)
        results[name] = {"mib": found, "baselineCycle": world.baseline_cycle, "growth": growth}
    _show(results)
    if options.json:
        figures = {"machine": machine(), "goal": GOAL_GROWTH, "worlds": results}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return int(any(result["growth"] > GOAL_GROWTH for result in results.values()))


def _show(results: dict[str, Any]) -> None:
    cycles = list(next(iter(results.values()))["mib"])
    table = Table("world", *(f"cycle {cycle}" for cycle in cycles), "last / baseline")
    for name, result in results.items():
        table.add_row(name, *(f"{mib:.0f} MiB" for mib in result["mib"].values()), f"{result['growth']:.3f}")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
