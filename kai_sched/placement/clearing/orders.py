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
from kai_sched.placement.clearing.units import Loss, Roster, total
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
class ClearingMemory:
    """What searches of one stage share; it only says in which order units are tried.

    ``slots``: shape -> int64[N], pods of it that each node took when all had left whom the first search might ask.
    ``given``: (shape, pod that runs) -> pods of the shape that it gives room to.
    """

    slots: dict[int, NDArray[np.int64]]
    given: dict[tuple[int, int], float]


@dataclass(frozen=True, slots=True)
class Orders:
    """For one gang. ``wanted``: its bulkiest shape and how many of it; ``slots``: see ``ClearingMemory``."""

    base: WorldBase
    roster: Roster
    taker: Callable[[], Taker]
    wanted: tuple[Shape, int]
    slots: NDArray[np.int64]
    memory: ClearingMemory

    def candidates(self, allowed: Mask | None, areas: NDArray[np.int32] | None) -> Iterator[Candidate]:
        """See module. ``areas``: int32[N], the domains one of which must hold it all; None: any node will do."""
        if areas is None:
            yield from self._orders(self.roster.order, allowed)
            return
        promising: list[tuple[Loss, int, Mask]] = []
        for code in np.unique(areas[areas >= 0]):
            mask = (areas == code) if allowed is None else (areas == code) & allowed
            loss = self._estimate(mask)
            if loss is not None:
                promising.append((loss, int(code), mask))
        for _, _, mask in sorted(promising, key=lambda one: one[:2])[:_MOST_AREAS]:
            inside = frozenset(np.flatnonzero(mask).tolist())
            touching = [
                unit for unit in self.roster.order if not self.roster.units[unit].nodes.isdisjoint(inside)
            ]
            yield from self._orders(self.roster.closed(touching), mask)

    def _orders(self, units: Sequence[int], allowed: Mask | None) -> Iterator[Candidate]:
        one_by_one = [[unit] for unit in units]
        cheapest = self._within_rights(one_by_one, allowed)
        yield cheapest
        if cheapest.refused:
            yield Candidate(iter(one_by_one), allowed)
        for ordered in self._by_what_they_give(units):
            yield self._within_rights((self.roster.closed([unit]) for unit in ordered), allowed)
        yield self._within_rights((step for _, step, _ in self._by_node(allowed)), allowed)

    def _by_what_they_give(self, units: Sequence[int]) -> Iterator[list[int]]:
        """Units in ascending order of what is lost for each wanted pod that they give room to; then the largest first."""
        base, wanted = self.base, self.wanted[0].request
        asked = np.flatnonzero(wanted > 0)
        # What is scarce: GPUs where the gang asks for any, be it by claims.
        gpus = np.intersect1d(asked, np.array(base.gpu_columns, dtype=np.intp))
        scarce = gpus if len(gpus) else asked[asked != base.table.position_of.get(PODS, -1)]

        def gives(stay: Stay) -> float:
            key = self.wanted[0].index, stay.pod
            known = self.memory.given.get(key)
            if known is None:
                known = self.memory.given[key] = measured(stay)
            return known

        def measured(stay: Stay) -> float:
            claims = (base.claims[key].allocation for key in stay.claims)
            devices = sum(len(one.results) for one in claims if one is not None)
            return devices + float((stay.request[scarce] / wanted[scarce]).sum())

        given = {unit: sum(map(gives, self.roster.units[unit].stays)) for unit in units}
        price = {
            unit: tuple(part / max(given[unit], _LEAST_GIVEN) for part in self.roster.units[unit].loss)
            for unit in units
        }
        yield sorted(units, key=lambda unit: (price[unit], unit))
        yield sorted(units, key=lambda unit: (-given[unit], self.roster.units[unit].loss, unit))

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

    def _by_node(self, allowed: Mask | None) -> list[tuple[tuple[float, ...], list[int], int]]:
        """(loss for each pod that finds room, who must leave, pods), the cheapest nodes first."""
        there: dict[int, list[int]] = {}
        slots = self.slots
        for position, nodes in enumerate(unit.nodes for unit in self.roster.units):
            for node in nodes:
                there.setdefault(node, []).append(position)
        usable = slots > 0 if allowed is None else (slots > 0) & allowed
        worth: list[tuple[tuple[float, ...], int]] = []
        for node in np.flatnonzero(usable).tolist():
            loss = total(
                (self.roster.units[unit] for unit in there.get(node, ())), len(self.roster.units[0].loss)
            )
            worth.append((tuple(part / int(slots[node]) for part in loss), node))
        return [
            (price, self.roster.closed(there.get(node, ())), int(slots[node]))
            for price, node in sorted(worth)
        ]

    def _estimate(self, allowed: Mask) -> Loss | None:
        """What is lost where as many nodes are emptied as counting asks for; None: there are too few."""
        gained, leaving = 0, set[int]()
        for _, step, pods in self._by_node(allowed):
            if gained < self.wanted[1]:
                leaving.update(step)
            gained += pods
        if gained < self.wanted[1]:
            return None
        return total((self.roster.units[unit] for unit in leaving), len(self.roster.units[0].loss))
