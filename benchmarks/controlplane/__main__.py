"""``python -m benchmarks.controlplane``: fill a cluster with one-GPU pods, beside kube-scheduler on the same API server.

The pods wait before the scheduler starts, each its own gang. The clock runs from the first to the last bind in the API
server's audit log. Neither scheduler has client limits. Pairs alternate; the first one warms up and is not counted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.controlplane.arena import NAMESPACE, Arena, Round, alternate, open_arena
from benchmarks.controlplane.rivals import KubeScheduler, OurOperator, Rival
from benchmarks.controlplane.summary import document, print_summary, ratios
from benchmarks.machine import machine, machine_line
from kai_sched.localcluster.fleet import Fleet, fleet_objects

GOAL = 1.5
GPUS_A_NODE = 8


def one_gpu_pods(count: int, rival: Rival) -> Iterator[dict[str, Any]]:
    """Pods of one GPU by device plugin."""
    resources = {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "1"}
    container = {"name": "main", "image": "none", "resources": {"requests": resources, "limits": resources}}
    for number in range(count):
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"p{number:05}", "namespace": NAMESPACE},
            "spec": {"schedulerName": rival.scheduler_name, "containers": [container]},
        }


def fleet(nodes: int) -> list[dict[str, Any]]:
    """Alike nodes of eight GPUs."""
    pool = {
        "name": "gpu",
        "count": nodes,
        "devices": [{"profile": "nvidia-h100", "via": "devicePlugin", "count": GPUS_A_NODE}],
    }
    head = {"apiVersion": "kai-sched.dev/v1alpha1", "kind": "Fleet"}
    return fleet_objects(Fleet.model_validate({**head, "pools": [pool]}))


def fill(arena: Arena, rivals: tuple[Rival, Rival], pods: int, pairs: int) -> list[tuple[Round, Round]]:
    """All pairs of rounds."""

    def race(rival: Rival) -> Round:
        return arena.race(rival, [], list(one_gpu_pods(pods, rival)))

    return alternate(race, rivals, pairs, _tell)


def _tell(one: Round) -> None:
    print(
        f"  {one.rival:>15}: {one.pods} pods in {one.seconds:.2f} s, {one.pods_per_second:.0f} pods/s",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--pods", type=int, default=800)
    parser.add_argument("--json", type=Path, help="write all figures to this file too")
    arguments = parser.parse_args()
    if arguments.pods > arguments.nodes * GPUS_A_NODE:
        parser.error(f"{arguments.pods} pods do not fit on {arguments.nodes} nodes of {GPUS_A_NODE} GPUs")

    rivals = (KubeScheduler(), OurOperator())
    out = Console(width=100)
    found = {"machine": machine(), "configuration": {one.name: one.configuration for one in rivals}}
    out.print(f"machine: {machine_line()}", highlight=False)
    for one in rivals:
        out.print(f"{one.name}: {one.configuration}", highlight=False)
    with open_arena(fleet(arguments.nodes), rivals) as arena:
        pairs = fill(arena, rivals, arguments.pods, arguments.pairs)
    print_summary(f"{arguments.pods} one-GPU pods on {arguments.nodes} nodes", pairs, out)
    if arguments.json is not None:
        sizes = {"nodes": arguments.nodes, "pods": arguments.pods}
        arguments.json.write_text(json.dumps({**found, **sizes, **document(pairs)}, indent=2) + "\n")
    is_clean = all(not one.violations and one.pods == arguments.pods for pair in pairs for one in pair)
    return 0 if is_clean and ratios(pairs).median >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
