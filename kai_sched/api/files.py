"""Files that people name: what is wrong with one is told in one line."""

from __future__ import annotations

from pathlib import Path

from kai_sched.errors import InvalidInput


def read_file(path: Path) -> bytes:
    """The content.

    Raises:
        InvalidInput: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(error.strerror or str(error), source=str(path)) from error
