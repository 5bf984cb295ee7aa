"""``kai-sched dev``: control planes of one's own, to try things on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

import kai_sched
from kai_sched.cli import options
from kai_sched.cli.output import OutputFormat, console, error_console, print_document, table, write_out
from kai_sched.errors import InvalidInput
from kai_sched.localcluster.binaries import ALL_BUT_KIND, Located, ensure, locate
from kai_sched.localcluster.fleet import fleet_objects, read_fleet
from kai_sched.localcluster.providers import registry
from kai_sched.localcluster.providers.ports import ProviderName

ROOT = Path(kai_sched.__file__).parents[1]
CRDS = ROOT / "crds"
BEGINNINGS = (ROOT / "manifests/priority-classes.yaml", ROOT / "manifests/default-queues.yaml")
"""What a cluster of KAI's begins with."""

app = typer.Typer(
    help="A real control plane on this machine, with fake nodes: build, up, down, status.\n\n"
    "Example: kai-sched dev up --cluster examples/fleets/small.yaml",
    no_args_is_help=True,
    add_completion=False,
)

Name = Annotated[str, typer.Option(help="Name of the cluster.")]


@app.command()
def build(output: options.Output = OutputFormat.TABLE) -> None:
    """Find or build the binaries (etcd, kube-apiserver ...) once, into the cache folder.

    Example: kai-sched dev build
    """
    ensure(ALL_BUT_KIND)
    found = [locate(tool) for tool in ALL_BUT_KIND]
    if output is OutputFormat.TABLE:
        _print_binaries(found)
        return
    print_document(
        {
            "binaries": [
                {
                    "name": one.tool.value,
                    "source": one.source,
                    "path": str(one.path),
                    "passedOver": list(one.passed_over),
                }
                for one in found
            ]
        },
        output,
    )


@app.command()
def up(
    name: Name = "default",
    provider: Annotated[ProviderName, typer.Option(help="Who makes it.")] = ProviderName.LOCAL,
    cluster: Annotated[
        Path | None, typer.Option(help="Fleet file: the fake nodes and devices to create.")
    ] = None,
    kubeconfig: Annotated[Path | None, typer.Option(help="Also write the kubeconfig to this file.")] = None,
) -> None:
    """Start a control plane with our CRDs, KAI's priority classes and default queues; print the path of its kubeconfig.

    Example: export KUBECONFIG=$(kai-sched dev up --cluster examples/fleets/small.yaml)
    """
    started = time.monotonic()
    objects = [*_beginnings(), *([] if cluster is None else _objects(cluster))]
    errors = error_console()
    with errors.status("starting") as status:
        record = registry.up(
            name,
            provider,
            crds=CRDS if CRDS.is_dir() else None,
            objects=objects,
            kubeconfig=kubeconfig,
            on_progress=status.update,
        )
    errors.print(f"cluster {name} is ready after {time.monotonic() - started:.1f} s")
    write_out(f"{kubeconfig or record.kubeconfig}\n")


@app.command()
def down(
    name: Name = "default",
    every: Annotated[bool, typer.Option("--all", help="End all clusters.")] = False,
) -> None:
    """End a control plane and remove its files.

    Example: kai-sched dev down --all
    """
    for one in registry.known() if every else [name]:
        registry.down(one)
        error_console().print(f"cluster {one} is gone")


@app.command()
def status(output: options.Output = OutputFormat.TABLE) -> None:
    """List the control planes that were started, and what of each runs.

    Example: kai-sched dev status -o json
    """
    standings = registry.standings()
    if output is OutputFormat.TABLE:
        rows = ((one.name, *_cells(one)) for one in standings)
        console().print(table("", ("NAME", "PROVIDER", "STATE", "KUBECONFIG"), rows))
        return
    print_document({"clusters": [_document(one) for one in standings]}, output)


def _print_binaries(found: Sequence[Located]) -> None:
    """Names and sources, then the folders: paths are too long for a column."""
    out = console()
    out.print(table("", ("BINARY", "FROM"), ((one.tool.value, one.source) for one in found)))
    folders = dict.fromkeys((one.source, one.path.parent) for one in found if one.path is not None)
    for source, folder in folders:
        out.print(f"{source}: {folder}", markup=False, soft_wrap=True)


def _beginnings() -> list[dict[str, Any]]:
    """Nothing where the package is installed without them."""
    texts = [path.read_text() for path in BEGINNINGS if path.is_file()]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def _objects(file: Path) -> list[dict[str, Any]]:
    fleet = read_fleet(file)
    try:
        return fleet_objects(fleet)
    except InvalidInput as error:
        raise InvalidInput(error.reason, source=str(file), field=error.field) from error


def _state(standing: registry.Standing) -> str:
    if standing.is_running:
        return "running"
    dead = [part for part, runs in standing.parts.items() if not runs]
    return f"broken ({', '.join(dead)})" if dead else "broken"


def _cells(standing: registry.Standing) -> tuple[str, str, str]:
    record = standing.record
    if record is None:
        return "", _state(standing), ""
    return record.provider.value, _state(standing), str(record.kubeconfig)


def _document(standing: registry.Standing) -> dict[str, Any]:
    record = standing.record
    return {
        "name": standing.name,
        "provider": None if record is None else record.provider.value,
        "running": standing.is_running,
        "parts": standing.parts,
        "kubeconfig": None if record is None else str(record.kubeconfig),
        "url": None if record is None else record.url,
    }
