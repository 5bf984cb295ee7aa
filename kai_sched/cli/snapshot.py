"""``kai-sched snapshot``: saves everything that a decision depends on from a live cluster into one file."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from kai_sched.api.snapshot_file import dump_json, dump_yaml, snapshot_document
from kai_sched.cli.output import OutputFormat, error_console
from kai_sched.cluster.snapshots import read_cluster


def snapshot(
    kubeconfig: Annotated[
        Path | None,
        typer.Option(help="Kubeconfig of the cluster. Default: KUBECONFIG, ~/.kube/config, in-cluster."),
    ] = None,
    to: Annotated[Path | None, typer.Option("--to", help="File to write. Default: standard output.")] = None,
    output: Annotated[OutputFormat, typer.Option("-o", "--output", help="yaml or json.")] = OutputFormat.YAML,
) -> None:
    """Save the live cluster as a snapshot: only the fields that decisions read, no env, args, secrets.

    Example: kai-sched snapshot --kubeconfig ~/.kube/config --to cluster.yaml
    """
    objects = asyncio.run(read_cluster(kubeconfig))
    document = snapshot_document(objects, datetime.now(UTC).timestamp())
    text = dump_json(document) if output is OutputFormat.JSON else dump_yaml(document)
    if to is None:
        sys.stdout.write(text)
        return
    to.write_text(text)
    error_console().print(f"{len(document['items'])} objects saved to {to}", markup=False)
