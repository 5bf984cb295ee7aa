"""JSON of lists and watches, robust against nesting: one object that nobody can parse must not hide the others."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_DEEPEST: Final = 200
"""What we read lies within a dozen levels; opaque parts of an object may nest thousands deep."""


def decode(data: bytes) -> Any:
    """The document. Where it nests too deep for the parser, its deepest parts are replaced by null.

    For reading only: what is written back must come from an exact answer.

    Raises:
        orjson.JSONDecodeError: this is not JSON.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return orjson.loads(without_depths(data))


def without_depths(data: bytes, deepest: int = _DEEPEST) -> bytes:
    """The same JSON with null in place of every container that lies more than ``deepest`` levels down."""
    parts: list[bytes] = []
    depth = kept_to = 0
    for token in _TOKEN.finditer(data):
        mark = token[0]
        if mark in b"[{":
            depth += 1
            if depth == deepest + 1:
                parts += (data[kept_to : token.start()], b"null")
        elif mark in b"]}":
            if depth == deepest + 1:
                kept_to = token.end()
            depth -= 1
    parts.append(data[kept_to:])
    return b"".join(parts)
