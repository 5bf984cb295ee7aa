"""``kai-sched plan``: one cycle on a snapshot, nothing written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kai_sched.api.plan_document import plan_document
from kai_sched.cli import options
from kai_sched.cli.each import for_each
from kai_sched.cli.namespaces import of_namespace
from kai_sched.cli.output import OutputFormat, console, print_document
from kai_sched.cli.plan_tables import print_plan
from kai_sched.cli.worlds import WorldOptions, load_world
from kai_sched.solving.in_process import decide_in_process


def plan(
    files: options.Files,
    now: options.Now = None,
    stages: options.Stages = None,
    shard: options.Shard = None,
    config: options.Config = None,
    namespace: options.Namespace = None,
    each: options.Each = False,
    timings: Annotated[bool, typer.Option(help="Add the seconds of each stage to the output.")] = False,
    output: options.Output = OutputFormat.TABLE,
) -> None:
    """Plan one cycle for a snapshot and print what would be done and why.

    Example: kai-sched plan -f examples/snapshots/two-racks.yaml
    """
    world_options = WorldOptions(now=now, stages=stages, shard=shard, config=config)

    def decide(paths: list[Path]) -> dict[str, Any]:
        world = load_world(paths, world_options)
        decided = decide_in_process(world.snapshot, world.policy, timed=timings)
        return of_namespace(plan_document(decided, with_timings=timings), namespace)

    if each:
        for_each(files, decide)
        return
    document = decide(files)
    if output is OutputFormat.TABLE:
        print_plan(document, console())
    else:
        print_document(document, output)
