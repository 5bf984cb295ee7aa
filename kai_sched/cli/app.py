"""Wires the commands together and maps errors to exit codes."""

from __future__ import annotations

import sys

import typer

from kai_sched import __version__
from kai_sched.cli import crds, demo, dev, options
from kai_sched.cli.output import OutputFormat, error_console, print_document
from kai_sched.cli.plan import plan
from kai_sched.cli.run import run
from kai_sched.cli.simulate import simulate
from kai_sched.cli.snapshot import snapshot
from kai_sched.cli.topology import topology
from kai_sched.cli.webhook import webhook
from kai_sched.errors import ApiFailure, KaiSchedError

app = typer.Typer(
    name="kai-sched",
    help="A Kubernetes scheduler for GPU clusters: gangs, topology, fair share and DRA decided together.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(run)
app.command()(plan)
app.command()(simulate)
app.command()(snapshot)
app.command()(topology)
app.command()(webhook)
app.command("demo")(demo.demo)
app.add_typer(dev.app, name="dev")
app.add_typer(crds.app, name="crds")


@app.command()
def version(
    output: options.Output = OutputFormat.TABLE,
) -> None:
    """Print the version.

    Example: kai-sched version -o json
    """
    if output is OutputFormat.TABLE:
        sys.stdout.write(f"kai-sched {__version__}\n")
    else:
        print_document({"version": __version__}, output)


def main() -> None:
    """Entry of ``kai-sched`` and ``kubectl-kai``; errors are one line, exit code 2."""
    try:
        app()
    except ApiFailure as error:
        _fail(f"the API server refused: {error}")
    except (KaiSchedError, OSError) as error:
        _fail(str(error))


def _fail(message: str) -> None:
    error_console().print(f"error: {message}", style="red", markup=False, soft_wrap=True)
    sys.exit(2)
