"""``kai-sched version``."""

from __future__ import annotations

from kai_sched import __version__
from kai_sched.cli import options
from kai_sched.cli.output import OutputFormat, print_document, write_out


def version(output: options.Output = OutputFormat.TABLE) -> None:
    """Print the version.

    Example: kai-sched version -o json
    """
    if output is OutputFormat.TABLE:
        write_out(f"kai-sched {__version__}\n")
    else:
        print_document({"version": __version__}, output)
