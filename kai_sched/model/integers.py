"""Integers in texts of others: exact as far as anything counts, and never so long that Python refuses to read them."""

from __future__ import annotations

import re
from typing import Final

_INT64: Final = range(-(2**63), 2**63)
_PARTS: Final = re.compile(r"([+-]?)([0-9]+)", re.ASCII)
_MOST_DIGITS: Final = 20
TOO_LARGE: Final = 10**_MOST_DIGITS
"""Stands for every number of more digits: beyond 64 bits, signed or not."""


def int_of_digits(digits: str) -> int:
    """The number that ASCII digits write; ``TOO_LARGE`` where they are too many."""
    significant = digits.lstrip("0")
    return int(significant or "0") if len(significant) <= _MOST_DIGITS else TOO_LARGE


def parse_int64(text: str) -> int | None:
    """A decimal integer as Go's ParseInt reads it, None if it is none or does not fit 64 bits."""
    match = _PARTS.fullmatch(text)
    if match is None:
        return None
    number = int_of_digits(match[2]) * (-1 if match[1] == "-" else 1)
    return number if number in _INT64 else None
