"""Output: one document as table, JSON or YAML; tables fit 80 columns and have colour only on terminals."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

import orjson
import yaml
from rich.console import Console
from rich.table import Table


class OutputFormat(StrEnum):
    """Values of ``-o``."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def console() -> Console:
    """Standard output; 80 columns where it is no terminal, so that pipes and logs stay readable."""
    return Console(width=None if sys.stdout.isatty() else 80, highlight=False, soft_wrap=False)


def error_console() -> Console:
    """Standard error, for progress and errors."""
    return Console(stderr=True, highlight=False)


def print_document(document: Any, form: OutputFormat) -> None:
    """Print a document as JSON (indented, keys in contract order) or YAML."""
    if form is OutputFormat.YAML:
        sys.stdout.write(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
        return
    sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")


def print_line(document: Any) -> None:
    """One compact JSON document a line, flushed, for many worlds in one process."""
    sys.stdout.write(orjson.dumps(document).decode() + "\n")
    sys.stdout.flush()


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A plain table; the last column takes the width that is left and wraps."""
    result = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")
    for position, column in enumerate(columns):
        is_last = position == len(columns) - 1
        result.add_column(column, overflow="fold", no_wrap=False, ratio=1 if is_last else None)
    for row in rows:
        result.add_row(*("" if cell is None else str(cell) for cell in row))
    return result
