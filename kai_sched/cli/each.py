"""``--each``: many worlds in one process, one line each; a file that fails says so and the others go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from kai_sched.cli.output import print_line
from kai_sched.errors import KaiSchedError


def for_each(files: list[Path], answer: Callable[[list[Path]], dict[str, Any]]) -> None:
    """Print ``{"file": ..., **answer}`` for every file; exit code 2 at the end if one failed."""
    has_failed = False
    for path in files:
        try:
            print_line({"file": str(path), **answer([path])})
        except (KaiSchedError, OSError) as error:
            has_failed = True
            print_line({"file": str(path), "error": str(error)})
    if has_failed:
        raise typer.Exit(2)
