"""Output: one document as table, JSON or YAML; tables fit 80 columns and have colour only on terminals."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Final, NoReturn

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kai_sched.api.snapshot_file import dump_yaml
from kai_sched.model.texts import shown

_NO_READER: Final = 141


class OutputFormat(StrEnum):
    """Values of ``-o``."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


class _Output(Console):
    """A console whose reader may go away."""

    def on_broken_pipe(self) -> None:
        _no_reader()


def console() -> Console:
    """Standard output; 80 columns where it is no terminal, so that pipes and logs stay readable."""
    return _Output(width=None if sys.stdout.isatty() else 80, highlight=False, soft_wrap=False)


def error_console() -> Console:
    """Standard error, for progress and errors."""
    return Console(stderr=True, highlight=False)


def warn(remark: str) -> None:
    """Say on standard error what somebody should know, and go on."""
    error_console().print(f"warning: {shown(remark)}", style="yellow", markup=False, soft_wrap=True)


def write_out(text: str) -> None:
    """Write to standard output, flushed."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _no_reader()


def _no_reader() -> NoReturn:
    """Ends quietly, with the code by which shells tell of SIGPIPE."""
    # What is left in the buffer must not be written at the end either.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(_NO_READER)


def print_document(document: Any, form: OutputFormat) -> None:
    """Print a document as JSON (indented, keys in contract order) or YAML."""
    if form is OutputFormat.YAML:
        write_out(dump_yaml(document))
        return
    write_out(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")


def print_line(document: Any) -> None:
    """One compact JSON document a line, flushed, for many worlds in one process."""
    write_out(orjson.dumps(document).decode() + "\n")


def print_hanging(out: Console, text: Text, indent: int = 2) -> None:
    """A paragraph whose lines after the first are indented further."""
    beginning = len(text.plain) - len(text.plain.lstrip())
    for number, line in enumerate(text.wrap(out, out.width - beginning - indent)):
        line.rstrip()
        out.print(line if number == 0 else Text(" " * (beginning + indent)).append_text(line))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A plain table; the last column takes the width that is left and wraps."""
    result = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")
    for position, column in enumerate(columns):
        is_last = position == len(columns) - 1
        result.add_column(column, overflow="fold", no_wrap=False, ratio=1 if is_last else None)
    for row in rows:
        result.add_row(*("" if cell is None else shown(str(cell)) for cell in row))
    return result
