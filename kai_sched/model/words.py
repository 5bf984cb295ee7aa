"""Numbers in the sentences that people read."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """Such as "1 pod", "2 pods": of nouns that take an s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
