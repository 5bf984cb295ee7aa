"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kai_sched.cli.output import OutputFormat

Files = Annotated[
    list[Path],
    typer.Option(
        "-f",
        "--file",
        help="Snapshot file: a Kubernetes List or documents, YAML or JSON; - reads standard input. Repeatable.",
    ),
]
Kubeconfig = Annotated[
    Path | None,
    typer.Option(help="Kubeconfig of the cluster. Default: KUBECONFIG, ~/.kube/config, in-cluster."),
]
Context = Annotated[str | None, typer.Option(help="Context of the kubeconfig. Default: its own.")]
Namespace = Annotated[
    str | None,
    typer.Option(
        "-n",
        "--namespace",
        help="Show only pods and pod groups of this namespace; all are decided. Default: all.",
    ),
]
Now = Annotated[
    str | None,
    typer.Option(
        help="The instant to decide at (RFC 3339). Default: when the snapshot was taken, as it says itself, "
        "else the present."
    ),
]
Stages = Annotated[
    str | None,
    typer.Option(
        help="Stages to run, comma separated, of: allocate, consolidate, reclaim, preempt, stale_gangs."
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(
        help="SchedulingShard whose policy applies. Default: the only one, or the one named default."
    ),
]
Config = Annotated[Path | None, typer.Option(help="Configuration file of the process (kind: Configuration).")]
Each = Annotated[
    bool,
    typer.Option("--each", help="Every -f is a world of its own: one compact JSON document a line."),
]
Output = Annotated[OutputFormat, typer.Option("-o", "--output", help="Output format.")]
