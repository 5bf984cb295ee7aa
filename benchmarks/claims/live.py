"""``python -m benchmarks.claims.live``: pods bound with their claims, beside kube-scheduler on the same API server.

For each way of asking a control plane of its own; pods and claims wait before the scheduler starts. Clock and pairs are
those of ``benchmarks.controlplane``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from benchmarks.claims.live_ways import WAYS, Way
from benchmarks.controlplane.arena import Round, alternate, open_arena
from benchmarks.controlplane.rivals import KubeScheduler, OurOperator, Rival
from benchmarks.controlplane.summary import Pairs, document, print_summary, ratios
from benchmarks.machine import machine, machine_line

RIVALS = (KubeScheduler(), OurOperator())
GOAL = 1.0


def measure(way: Way, nodes: int, pairs: int, out: Console) -> Pairs:
    """All pairs of rounds of one way of asking."""

    def race(rival: Rival) -> Round:
        before = [*way.claims(nodes), *way.groups(nodes, rival)]
        return arena.race(rival, before, list(way.pods(nodes, rival)))

    def tell(one: Round) -> None:
        out.print(f"  {one.rival:>15}: {one.pods} pods in {one.seconds:.2f} s", highlight=False)

    with open_arena(list(way.fleet(nodes)), RIVALS) as arena:
        return alternate(race, RIVALS, pairs, tell)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument(
        "--only", action="append", default=[], help="part of a variant's name; may be repeated"
    )
    parser.add_argument("--json", type=Path, help="write all figures to this file too")
    arguments = parser.parse_args()
    ways = [way for way in WAYS if not arguments.only or any(part in way.name for part in arguments.only)]
    if not ways:
        parser.error(f"no variant of that name; there are: {', '.join(way.name for way in WAYS)}")

    out = Console(width=100)
    out.print(f"machine: {machine_line()}", highlight=False)
    report = {
        "machine": machine(),
        "nodes": arguments.nodes,
        "configuration": {one.name: one.configuration for one in RIVALS},
    }
    variants = {}
    is_good = True
    for way in ways:
        pairs = measure(way, arguments.nodes, arguments.pairs, out)
        print_summary(f"{way.name}: {pairs[0][0].pods} pods on {arguments.nodes} nodes", pairs, out)
        variants[way.name] = document(pairs)
        is_good &= ratios(pairs).median >= GOAL and not variants[way.name]["violations"]
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({**report, "variants": variants}, indent=2) + "\n")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
