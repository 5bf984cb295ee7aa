"""``kai-sched snapshot``: saves everything that a decision depends on from a live cluster into one file."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from kai_sched.api.snapshot_file import dump_json, dump_yaml, snapshot_document
from kai_sched.cli import options
from kai_sched.cli.output import OutputFormat, console, error_console, table, write_out
from kai_sched.cluster.snapshots import read_cluster
from kai_sched.errors import InvalidInput


def snapshot(
    kubeconfig: options.Kubeconfig = None,
    context: options.Context = None,
    to: Annotated[Path | None, typer.Option("--to", help="File to write. Default: standard output.")] = None,
    output: Annotated[
        OutputFormat,
        typer.Option(
            "-o", "--output", help="yaml or json; table: YAML into the file, the kinds on the screen."
        ),
    ] = OutputFormat.YAML,
) -> None:
    """Save the live cluster as a snapshot: only the fields that decisions read, no env, args, secrets.

    Example: kai-sched snapshot --kubeconfig ~/.kube/config --to cluster.yaml
    """
    if output is OutputFormat.TABLE and to is None:
        raise InvalidInput("a table is no snapshot: give --to FILE with it", field="--output")
    objects = asyncio.run(read_cluster(kubeconfig, context))
    document = snapshot_document(objects, datetime.now(UTC).timestamp())
    text = dump_json(document) if output is OutputFormat.JSON else dump_yaml(document)
    if to is None:
        write_out(text)
        return
    to.write_text(text)
    if output is OutputFormat.TABLE:
        kinds = Counter(f"{item['kind']} ({item['apiVersion']})" for item in document["items"])
        console().print(table("Saved", ("OBJECTS", "KIND"), ((kinds[kind], kind) for kind in sorted(kinds))))
    error_console().print(f"{len(document['items'])} objects saved to {to}", markup=False)
