"""Wires the commands together and maps errors to exit codes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, NoReturn

import typer

from kai_sched import __version__
from kai_sched.cli.lazy import LazyGroup
from kai_sched.cli.output import error_console, show_what_can_be_shown, write_out
from kai_sched.errors import ApiFailure, InvalidInput, KaiSchedError
from kai_sched.model.texts import shown


class Commands(LazyGroup):
    """All commands of ``kai-sched``."""

    places: ClassVar[Mapping[str, str]] = {
        "run": "kai_sched.cli.run:run",
        "plan": "kai_sched.cli.plan:plan",
        "simulate": "kai_sched.cli.simulate:simulate",
        "snapshot": "kai_sched.cli.snapshot:snapshot",
        "topology": "kai_sched.cli.topology:topology",
        "webhook": "kai_sched.cli.webhook:webhook",
        "demo": "kai_sched.cli.demo:demo",
        "dev": "kai_sched.cli.dev:app",
        "crds": "kai_sched.cli.crds:app",
        "version": "kai_sched.cli.version:version",
    }


app = typer.Typer(
    name="kai-sched",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Commands inherit it.
    context_settings={"help_option_names": ["-h", "--help"]},
)


_INTERRUPTED: Final = 130
"""The code by which shells tell of SIGINT."""


def _show_version(asked: bool) -> None:
    if asked:
        write_out(f"kai-sched {__version__}\n")
        raise typer.Exit


@app.callback()
def kai_sched(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A Kubernetes scheduler for GPU clusters: gangs, topology, fair share and DRA decided together.

    Example: kai-sched plan -f examples/snapshots/two-racks.yaml
    """
    del version


def main() -> None:
    """Entry of ``kai-sched`` and ``kubectl-kai``; errors are one line, exit code 2."""
    show_what_can_be_shown()
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as error:
        _fail_usage(error)
    except (typer.Abort, KeyboardInterrupt):
        _fail("interrupted", code=_INTERRUPTED)
    except ApiFailure as error:
        _fail(f"the API server refused: {shown(str(error))}")
    except InvalidInput as error:
        # It repeats what files and objects say.
        _fail(shown(str(error)))
    except KaiSchedError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _fail_usage(error: typer.TyperException) -> NoReturn:
    """Wrong arguments are told as everything else that is wrong; without any the help was shown already."""
    message = " ".join(error.format_message().split()).rstrip(".")
    if not message:
        sys.exit(2)
    context = getattr(error, "ctx", None)
    _fail(f"{message} (see {getattr(context, 'command_path', 'kai-sched')} --help)")


def _fail(message: str, code: int = 2) -> NoReturn:
    error_console().print(f"error: {message}", style="red", markup=False, soft_wrap=True)
    sys.exit(code)
