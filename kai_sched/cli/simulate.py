"""``kai-sched simulate``: cycles on a snapshot until nothing changes, or a fixed number, nothing written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kai_sched.api.plan_document import plan_document, share_documents
from kai_sched.api.times import format_time
from kai_sched.cli import options
from kai_sched.cli.each import for_each
from kai_sched.cli.namespaces import of_namespace
from kai_sched.cli.output import OutputFormat, console, print_document, table
from kai_sched.cli.plan_tables import print_verdicts
from kai_sched.cli.worlds import Scene, WorldOptions, load_world
from kai_sched.errors import InvalidInput
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.sim.engine import MAX_CYCLES, PHASES, Simulation
from kai_sched.sim.engine import simulate as run_simulation
from kai_sched.solving.in_process import Decider


def simulate(
    files: options.Files,
    cycles: Annotated[int | None, typer.Option(min=1, help="Run exactly this many cycles.")] = None,
    until_stable: Annotated[
        bool,
        typer.Option("--until-stable", help=f"Stop when a cycle changes nothing ({MAX_CYCLES} at most)."),
    ] = False,
    tick: Annotated[float, typer.Option(min=0, help="Seconds that pass between cycles.")] = 0.0,
    now: options.Now = None,
    stages: options.Stages = None,
    shard: options.Shard = None,
    config: options.Config = None,
    namespace: options.Namespace = None,
    each: options.Each = False,
    timings: Annotated[bool, typer.Option(help="Add the seconds of each stage to the output.")] = False,
    output: options.Output = OutputFormat.TABLE,
) -> None:
    """Run cycles on a snapshot: bound pods run on, evicted and releasing ones come back pending.

    Exit code 1: --until-stable found no fixed point.

    Example: kai-sched simulate -f examples/snapshots/two-racks.yaml --until-stable -o json
    """
    if (cycles is None) != until_stable:
        raise InvalidInput("give exactly one of --cycles and --until-stable", field="--cycles")
    world_options = WorldOptions(now=now, stages=stages, shard=shard, config=config)
    found_all = True

    def answer(paths: list[Path]) -> dict[str, Any]:
        nonlocal found_all
        world = load_world(paths, world_options)
        _refuse_long(world.snapshot.now + tick * (cycles or MAX_CYCLES))
        result = _simulate(world, cycles, tick, timed=timings)
        found_all &= cycles is not None or result.fixed_point_at is not None
        document = _document(result, world, with_timings=timings)
        return {
            **document,
            "cycles": [of_namespace(plan, namespace) for plan in document["cycles"]],
            "final": of_namespace(document["final"], namespace),
        }

    if each:
        for_each(files, answer)
    else:
        document = answer(files)
        if output is OutputFormat.TABLE:
            _print(document)
        else:
            print_document(document, output)
    if not found_all:
        raise typer.Exit(1)


def _refuse_long(end: float) -> None:
    try:
        format_time(end)
    except (ValueError, OverflowError) as error:
        raise InvalidInput("the last cycle would be after the year 9999", field="--tick") from error


def _simulate(world: Scene, cycles: int | None, tick: float, *, timed: bool) -> Simulation:
    decider = Decider(world.policy, timed=timed)
    return run_simulation(world.snapshot, decider.decide, cycles=cycles, tick_seconds=tick)


def _document(result: Simulation, world: Scene, *, with_timings: bool) -> dict[str, Any]:
    return {
        "cycles": [
            plan_document(plan, cycle=number, with_timings=with_timings)
            for number, plan in enumerate(result.plans, start=1)
        ],
        "final": {
            "pods": _pods(result.final),
            "queues": share_documents(Decider(world.policy).shares(result.final)),
        },
        "fixedPointAt": result.fixed_point_at,
    }


def _pods(snapshot: ClusterSnapshot) -> list[dict[str, Any]]:
    claims = {claim.key: claim for claim in snapshot.claims}
    rows: list[dict[str, Any]] = []
    for pod in snapshot.pods:
        held = [claims[ref.claim] for ref in pod.claims if ref.claim in claims] if pod.node else []
        row: dict[str, Any] = {
            "pod": pod.key,
            "phase": PHASES[pod.state],
            "node": pod.node,
            "gpuIndices": list(pod.gpu_indices),
        }
        if pod.gpu_groups:
            row["gpuGroups"] = list(pod.gpu_groups)
        row["claims"] = [
            {"claim": claim.key, "devices": [result.device_id for result in claim.allocation.results]}
            for claim in held
            if claim.allocation is not None
        ]
        rows.append(row)
    return rows


def _print(document: dict[str, Any]) -> None:
    out = console()
    rows = [
        (plan["cycle"], len(plan["binds"]), len(plan["pipelined"]), len(plan["evictions"]), _waiting(plan))
        for plan in document["cycles"]
    ]
    out.print(table("Cycles", ("CYCLE", "BINDS", "PIPELINED", "EVICTIONS", "WAITING"), rows))
    point = document["fixedPointAt"]
    out.print(f"stable from cycle {point}" if point else "no fixed point was reached")
    print_verdicts(document["cycles"][-1]["verdicts"], out)


def _waiting(plan: dict[str, Any]) -> int:
    return sum(verdict["verdict"] in ("Unplaced", "NotReady") for verdict in plan["verdicts"])
