"""Numbers and chains of names in the sentences that people read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

CHAIN_SHOWN: Final = 8
"""Names of a chain that are told."""


def counted(count: int, noun: str) -> str:
    """Such as "1 pod", "2 pods": of nouns that take an s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def chained(names: Sequence[str], count: int | None = None) -> str:
    """Such as "a -> b -> a"; of a long chain its beginning, with the number left out said.

    ``count``: how long the chain is where only its beginning is given.
    """
    length = len(names) if count is None else count
    if length <= CHAIN_SHOWN:
        return " -> ".join(names)
    return f"{' -> '.join(names[:CHAIN_SHOWN])} -> ... ({length - CHAIN_SHOWN} more)"
