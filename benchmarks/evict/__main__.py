"""``python -m benchmarks.evict [--cases N] [--nodes N ...] [--json FILE]``: what evictions cost, beside KAI's search.

Random full clusters; one gang of a queue that is owed room. Both searches have the same rights and the same gangs. What is
lost is compared as it is decided: gangs that end, of the highest priority first, then GPU time, then pods. Exit code 1: in
some case ours loses more, finds nobody where the other does, or the judge refuses its plan.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.evict.prefix import prefix_search
from benchmarks.evict.worlds import WISHES, Wish, a_full_cluster
from benchmarks.machine import machine, machine_line
from kai_sched.model.policy import Policy, StageName
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.site.fleet_index import FleetCache
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.planning.cycle import plan_cycle
from kai_sched.planning.cycle_state import CycleState
from kai_sched.planning.eviction.book import Book
from kai_sched.planning.opening import Opening

POLICY = Policy(stages=(StageName.ALLOCATE, StageName.RECLAIM), advice_units=0)


@dataclass(frozen=True)
class Case:
    """``gangs``: that end, by priority, the highest first; hours: GPU time lost. Theirs is None where nobody is found."""

    nodes: int
    wish: str
    seed: int
    ours: tuple[int, ...] | None
    theirs: tuple[int, ...] | None
    seconds: float
    violations: int

    @property
    def is_worse(self) -> bool:
        return self.theirs is not None and (self.ours is None or self.ours > self.theirs)

    @property
    def ratio(self) -> float | None:
        """Of GPU time lost."""
        if self.ours is None or self.theirs is None or not self.theirs[-2]:
            return None
        return self.ours[-2] / self.theirs[-2]


def measure(nodes: int, wish: Wish, seed: int) -> Case:
    """One cluster by both."""
    snapshot, cache = a_full_cluster(nodes, wish, seed), FleetCache()
    theirs = prefix_search(snapshot, POLICY, cache)
    began = time.perf_counter()
    plan = plan_cycle(snapshot, POLICY, cache)
    seconds = time.perf_counter() - began
    lost = {one.pod for one in plan.evictions}
    return Case(
        nodes=nodes,
        wish=str(wish),
        seed=seed,
        ours=_loss(snapshot, cache, lost) if lost else None,
        theirs=None
        if theirs is None
        else _loss(snapshot, cache, {snapshot.pods[pod].key for entry in theirs for pod in entry.part.pods}),
        seconds=seconds,
        violations=len(PlanChecker()(snapshot, POLICY, plan)),
    )


def _loss(snapshot: ClusterSnapshot, cache: FleetCache, pods: set[str]) -> tuple[int, ...]:
    """What is lost with these pods, counted part by part."""
    book = Book(CycleState.begin(Opening.of(snapshot, POLICY, cache)))
    parts = [entry.unit.loss for entry in book.entries if snapshot.pods[entry.part.pods[0]].key in pods]
    return tuple(map(sum, zip(*parts, strict=True)))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.evict", description=__doc__, epilog="Example: --cases 3 --nodes 20"
    )
    parser.add_argument("--cases", type=int, default=4, help="clusters of each size and wish (default 4)")
    parser.add_argument("--nodes", type=int, nargs="+", default=[20, 100], help="sizes (default 20 100)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    Console(stderr=True).print(machine_line())
    cases: list[Case] = []
    table = Table("nodes", "gang", "cases", "GPU time lost, ours / prefix: mean", "worst", "fewer gangs", "s")
    for nodes in options.nodes:
        for wish in WISHES:
            found = [measure(nodes, wish, seed) for seed in range(options.cases)]
            cases += found
            table.add_row(*_row(nodes, wish, found))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    worse = [case for case in cases if case.is_worse or case.violations]
    print(f"{len(cases)} clusters, {len(worse)} in which more is lost than by the prefix search, or refused")
    for case in worse:
        print(f"  {case}")
    if options.json:
        figures = {"machine": machine(), "cases": [asdict(case) for case in cases]}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 1 if worse else 0


def _row(nodes: int, wish: Wish, cases: list[Case]) -> list[str]:
    ratios = [ratio for case in cases if (ratio := case.ratio) is not None]
    fewer = sum(
        case.ours is not None and case.theirs is not None and case.ours[:-2] < case.theirs[:-2]
        for case in cases
    )
    return [
        str(nodes),
        str(wish),
        str(len(cases)),
        f"{statistics.mean(ratios):.2f}" if ratios else "-",
        f"{max(ratios):.2f}" if ratios else "-",
        f"{fewer} of {len(cases)}",
        f"{statistics.median(case.seconds for case in cases):.2f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
