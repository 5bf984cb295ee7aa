"""Orders: in which order units may be asked to leave for a gang, and where it may sit once they have left.

All of them the cheapest first; those first that are cheap for what they give; the largest first; node after node, the
cheapest for what it gives first. Where a level is required each domain is looked at for itself, those that promise to be
cheapest. Each order is within the rights of who asks, and is worked out as far as somebody looks at it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from kai_sched.model.resources import PODS
from kai_sched.placement.clearing.units import Loss, Roster
from kai_sched.placement.site.base import WorldBase
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.world.stays import Stay

Mask = NDArray[np.bool_]

_MOST_AREAS: Final = 12
"""Domains that are looked at."""
_LEAST_GIVEN: Final = 1e-6


class Taker(Protocol):
    """The rights of who asks: what may be taken after all that was taken before."""

    def take(self, units: Sequence[int], /) -> bool:
        """Take these units, by position, in this order: all of them, or none."""


@dataclass(slots=True)
class Candidate:
    """Units in steps, worked out as far as they are looked at, and where the gang may sit once they have left."""

    steps: Iterator[Sequence[int]]
    allowed: Mask | None
    refused: int = 0
    """Steps that are not among them, as rights do not reach so far."""
    _known: list[Sequence[int]] = field(default_factory=list)

    def first(self, count: int) -> list[int] | None:
        """The units of so many steps; None where there are fewer."""
        self._known += islice(self.steps, max(0, count - len(self._known)))
        if len(self._known) < count:
            return None
        return list(dict.fromkeys(unit for step in self._known[:count] for unit in step))

    def length(self) -> int:
        """How many steps there are."""
        self._known += self.steps
        return len(self._known)


@dataclass(frozen=True, slots=True)
class Ranking:
    """How units stand for one shape, whoever asks; it only says in which order they are tried.

    ``slots``: int64[N], pods of it that each node took when all had left whom the first search might ask.
    """

    slots: NDArray[np.int64]
    by_price: Sequence[int]
    """In ascending order of what is lost for each wanted pod that they give room to."""
    by_size: Sequence[int]
    """Those that give room to most pods first."""
    nodes: Sequence[int]
    """In ascending order of what is lost for each pod where all leave."""

    @classmethod
    def of(cls, base: WorldBase, roster: Roster, shape: Shape, slots: NDArray[np.int64]) -> Ranking:
        """The ranking of all units."""
        asked = np.flatnonzero(shape.request > 0)
        # What is scarce: GPUs where the gang asks for any, be it by claims.
        gpus = np.intersect1d(asked, np.array(base.gpu_columns, dtype=np.intp))
        scarce = gpus if len(gpus) else asked[asked != base.table.position_of.get(PODS, -1)]

        def gives(stay: Stay) -> float:
            claims = (base.claims[key].allocation for key in stay.claims)
            devices = sum(len(one.results) for one in claims if one is not None)
            return devices + float((stay.request[scarce] / shape.request[scarce]).sum())

        units = roster.units
        given = [max(sum(map(gives, unit.stays)), _LEAST_GIVEN) for unit in units]
        price = [tuple(part / gain for part in unit.loss) for unit, gain in zip(units, given, strict=True)]
        everybody = range(len(units))
        nodes = [
            (tuple(part / int(slots[node]) for part in roster.loss_of(roster.on_node.get(node, ()))), node)
            for node in np.flatnonzero(slots > 0).tolist()
        ]
        return cls(
            slots,
            sorted(everybody, key=lambda unit: (price[unit], unit)),
            sorted(everybody, key=lambda unit: (-given[unit], units[unit].loss, unit)),
            [node for _, node in sorted(nodes)],
        )


@dataclass(frozen=True, slots=True)
class Orders:
    """For one gang. ``may_ask``: whether it may ask a unit at all; ``pods``: how many of the ranking's shape it has."""

    roster: Roster
    ranking: Ranking
    may_ask: Callable[[int], bool]
    taker: Callable[[], Taker]
    pods: int

    def candidates(self, allowed: Mask | None, areas: NDArray[np.int32] | None) -> Iterator[Candidate]:
        """See module. ``areas``: int32[N], the domains one of which must hold it all; None: any node will do."""
        if areas is None:
            yield from self._orders(allowed, None)
            return
        promising: list[tuple[Loss, int, Mask]] = []
        for code in np.unique(areas[areas >= 0]):
            mask = (areas == code) if allowed is None else (areas == code) & allowed
            loss = self._estimate(mask)
            if loss is not None:
                promising.append((loss, int(code), mask))
        for _, _, mask in sorted(promising, key=lambda one: one[:2])[:_MOST_AREAS]:
            touching = (
                unit for node in np.flatnonzero(mask).tolist() for unit in self.roster.on_node.get(node, ())
            )
            yield from self._orders(mask, frozenset(self.roster.closed(filter(self.may_ask, touching))))

    def _orders(self, allowed: Mask | None, inside: AbstractSet[int] | None) -> Iterator[Candidate]:
        def asked(units: Iterable[int]) -> Iterator[int]:
            return (unit for unit in units if (inside is None or unit in inside) and self.may_ask(unit))

        cheapest = self._within_rights(((unit,) for unit in asked(self.roster.order)), allowed)
        yield cheapest
        if cheapest.refused:
            yield Candidate(((unit,) for unit in asked(self.roster.order)), allowed)
        for ordered in (self.ranking.by_price, self.ranking.by_size):
            yield self._within_rights((self.roster.closed([unit]) for unit in asked(ordered)), allowed)
        yield self._within_rights((step for step, _ in self._by_node(allowed)), allowed)

    def _within_rights(self, steps: Iterable[Sequence[int]], allowed: Mask | None) -> Candidate:
        """The steps that may be taken one after another, each without those who left before."""
        candidate = Candidate(iter(()), allowed)

        def taken() -> Iterator[Sequence[int]]:
            taker, gone = self.taker(), set[int]()
            for step in steps:
                new = [unit for unit in step if unit not in gone]
                if self._has_all_before(new, gone) and taker.take(new):
                    gone.update(new)
                    yield new
                else:
                    candidate.refused += 1

        candidate.steps = taken()
        return candidate

    def _has_all_before(self, step: Sequence[int], gone: AbstractSet[int]) -> bool:
        return all(unit in gone or unit in step for unit in self.roster.closed(step))

    def _by_node(self, allowed: Mask | None) -> Iterator[tuple[list[int], int]]:
        """(who must leave, pods that then find room) node by node, the cheapest first."""
        for node in self.ranking.nodes:
            if allowed is None or allowed[node]:
                there = filter(self.may_ask, self.roster.on_node.get(node, ()))
                yield self.roster.closed(there), int(self.ranking.slots[node])

    def _estimate(self, allowed: Mask) -> Loss | None:
        """What is lost where as many nodes are emptied as counting asks for; None: there are too few."""
        gained, leaving = 0, set[int]()
        for step, pods in self._by_node(allowed):
            leaving.update(step)
            gained += pods
            if gained >= self.pods:
                return self.roster.loss_of(leaving)
        return None
