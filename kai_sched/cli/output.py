"""Output: one document as table, JSON or YAML.

On a terminal tables fit its width (or COLUMNS) and have colour; into a pipe or a file nothing is wrapped or cut, one
object a line.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NoReturn

import orjson
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from kai_sched.api.snapshot_file import dump_yaml
from kai_sched.model.texts import shown

_NO_READER: Final = 141
_UNBOUNDED: Final = 1 << 20
"""Columns."""


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
    """Standard output; as wide as its terminal or COLUMNS say, without bound where neither does."""
    has_width = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    return _Output(width=None if has_width else _UNBOUNDED, highlight=False, soft_wrap=not has_width)


def most_rows(out: Console, count: int) -> int | None:
    """How many rows of a long list are shown; None: all, where they are piped."""
    return count if out.width < _UNBOUNDED else None


def show_what_can_be_shown() -> None:
    """Signs that the terminal's encoding lacks become "?" instead of the end of the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


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


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows below titles. On a terminal the last column takes the width that is left and wraps."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __rich_console__(self, out: Console, options: ConsoleOptions) -> RenderResult:
        """A table where there is a width, else plain lines."""
        if options.max_width < _UNBOUNDED:
            yield self._table()
            return
        if self.title:
            yield Text(self.title)
        widths = [
            max(len(row[position]) for row in (self.columns, *self.rows))
            for position in range(len(self.columns))
        ]
        for row in (self.columns, *self.rows):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            yield Text("  ".join(cells).rstrip())

    def _table(self) -> Table:
        result = Table(title=self.title, title_justify="left", box=None, pad_edge=False, title_style="bold")
        for position, column in enumerate(self.columns):
            is_last = position == len(self.columns) - 1
            result.add_column(column, overflow="fold", no_wrap=False, ratio=1 if is_last else None)
        for row in self.rows:
            result.add_row(*map(Text, row))
        return result


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Listing:
    """Rows of anything; None is an empty cell, what is no text for a terminal is shown escaped."""
    texts = [["" if cell is None else shown(str(cell)) for cell in row] for row in rows]
    return Listing(title, columns, texts)
