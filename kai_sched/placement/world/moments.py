"""Moments: how long what was concluded from a world may be believed.

A conclusion such as "no devices here for such pods" is drawn from a world that goes on changing. Seats taken later only
take room away, so it stands as long as every seat of its moment is still taken. Where pods also ask for neighbours it
outlives no seat at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Moment:
    """``era``: a stretch of a world's life in which room grows by undoing the newest entries only."""

    era: object
    length: int
    last: object


@dataclass(slots=True)
class Refused:
    """Nodes refused to pods of one shape, each with its moment, oldest first."""

    nodes: list[int] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)

    def add(self, node: int, moment: Moment) -> None:
        self.nodes.append(node)
        self.moments.append(moment)

    def forget_newest(self) -> None:
        self.nodes.pop()
        self.moments.pop()

    def forget(self, nodes: set[int]) -> None:
        """These nodes changed."""
        if nodes.isdisjoint(self.nodes):
            return
        kept = [position for position, node in enumerate(self.nodes) if node not in nodes]
        self.nodes = [self.nodes[position] for position in kept]
        self.moments = [self.moments[position] for position in kept]
