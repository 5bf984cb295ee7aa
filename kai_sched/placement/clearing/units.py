"""Units: pods that leave together or not at all, and what is lost with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kai_sched.placement.world.stays import NOWHERE, Stay

Loss = tuple[int, ...]
"""What is lost, the gravest first: losses are added part by part and compared like words. All have equally many parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One of an ``owner``; units of one owner leave in the order of their ``rank``, and come back the other way round."""

    owner: str
    rank: int
    stays: tuple[Stay, ...]
    loss: Loss
    nodes: frozenset[int]
    """On which it holds room."""

    @classmethod
    def of(cls, owner: str, rank: int, stays: Sequence[Stay], loss: Loss) -> Unit:
        """The unit of these stays."""
        nodes = frozenset(stay.node for stay in stays if stay.node != NOWHERE)
        return cls(owner=owner, rank=rank, stays=tuple(stays), loss=loss, nodes=nodes)


def total(units: Iterable[Unit], parts: int) -> Loss:
    """What is lost with all of them."""
    losses = [unit.loss for unit in units]
    return tuple(map(sum, zip(*losses, strict=True))) if losses else (0,) * parts


class Roster:
    """Units by position, in ascending order of loss, nobody before those of its owner that leave before it."""

    def __init__(self, units: Sequence[Unit]) -> None:
        dearest: dict[str, Loss] = {}
        keys: dict[int, tuple[Loss, str, int]] = {}
        self._of_owner: dict[str, list[int]] = {}
        for position in sorted(range(len(units)), key=lambda position: units[position].rank):
            unit = units[position]
            dearest[unit.owner] = max(dearest.get(unit.owner, unit.loss), unit.loss)
            keys[position] = (dearest[unit.owner], unit.owner, unit.rank)
            self._of_owner.setdefault(unit.owner, []).append(position)
        self.units = units
        self.order = sorted(keys, key=keys.__getitem__)
        """Positions."""
        self._place = {position: place for place, position in enumerate(self.order)}
        self.on_node: dict[int, list[int]] = {}
        """Positions of those that hold room on a node."""
        for position, unit in enumerate(units):
            for node in unit.nodes:
                self.on_node.setdefault(node, []).append(position)

    @property
    def parts(self) -> int:
        """Of a loss."""
        return len(self.units[0].loss) if self.units else 0

    def closed(self, chosen: Iterable[int]) -> list[int]:
        """The chosen and all that must leave before one of them, in order."""
        last: dict[str, int] = {}
        for position in chosen:
            unit = self.units[position]
            last[unit.owner] = max(last.get(unit.owner, unit.rank), unit.rank)
        found = [
            position
            for owner, rank in last.items()
            for position in self._of_owner[owner]
            if self.units[position].rank <= rank
        ]
        return sorted(found, key=self._place.__getitem__)

    def loss_of(self, chosen: Iterable[int]) -> Loss:
        """What is lost with them."""
        return total((self.units[position] for position in chosen), self.parts)
