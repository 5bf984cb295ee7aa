"""Files that people name: what is wrong with one is told in one line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from kai_sched.errors import InvalidInput

STANDARD_INPUT: Final = "-"


def read_file(path: Path) -> bytes:
    """The content; of ``-`` what comes on standard input.

    Raises:
        InvalidInput: it cannot be read.
    """
    if str(path) == STANDARD_INPUT:
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(error.strerror or str(error), source=str(path)) from error
