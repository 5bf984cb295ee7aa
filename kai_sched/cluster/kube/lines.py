"""Cuts a byte stream into whole lines, as many at once as have arrived."""

from __future__ import annotations


class LineCutter:
    """Keeps the unfinished last line between chunks. A line of megabytes is joined once, not once a chunk."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that this chunk completes, without their ends; empty lines are left out."""
        if b"\n" not in chunk:
            self._parts.append(chunk)
            return []
        lines = chunk.split(b"\n")
        if self._parts:
            lines[0] = b"".join((*self._parts, lines[0]))
        rest = lines.pop()
        self._parts = [rest] if rest else []
        return [line for line in lines if line]
