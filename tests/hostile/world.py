"""A hostile world: what somebody may send to a cluster, as a function of how much of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.hostile.documents import Documents

Maker = Callable[[str, int], Documents]
"""Namespace and size to documents."""


@dataclass(frozen=True, slots=True)
class World:
    """One case."""

    name: str
    make: Maker
    size: int
    """For the tests without a control plane."""
    live_size: int
    live_only: bool = False
    """Nothing of it is there without an API server."""

    def __str__(self) -> str:
        return self.name


class Shelf:
    """Worlds of one file, kept as they are declared."""

    def __init__(self) -> None:
        self.worlds: list[World] = []

    def world(self, size: int = 1, *, live: int = 0, live_only: bool = False) -> Callable[[Maker], Maker]:
        """Keep a world under its function's name; ``live`` is its size on a control plane."""

        def keep(make: Maker) -> Maker:
            name = make.__name__.replace("_", "-")
            self.worlds.append(World(name, make, size, live or size, live_only))
            return make

        return keep
