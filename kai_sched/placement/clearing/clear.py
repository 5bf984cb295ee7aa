"""Clear: finds units whose leaving gives a gang its place, and leaves them and the gang's seats in the world.

Every candidate is an order in which units leave and the nodes on which the gang may then sit: all of them the cheapest
first; those first that are cheap for what they give; node after node, the cheapest for what it gives first. Where a level
is required each domain is looked at for itself. Of each order the shortest beginning that is enough is found by halving. Then whoever is not needed stays after all, the
dearest first. The candidate that loses least is taken, the first among equals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from kai_sched.model.resources import PODS
from kai_sched.placement.clearing.units import Loss, Roster, Unit, total
from kai_sched.placement.refusal import Refusal
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.ground import Ground
from kai_sched.placement.world.horizon import Horizon
from kai_sched.placement.world.room import Seat
from kai_sched.placement.world.stays import Stay

Mask = NDArray[np.bool_]
Seating = Callable[[Ground], Refusal | None]
"""Seats the gang on a ground, or nothing: then why."""

_MOST_AREAS: Final = 12
"""Domains that are looked at, those that promise to be cheapest."""
_MOST_TRIALS: Final = 48
"""Places sought in vain or found again while units are kept one by one, for a gang that counting does not decide."""
_LEAST_GIVEN: Final = 1e-6
_LEAVES_A_UNIT: Final = 4
"""That cost a unit of work."""


@dataclass(frozen=True, slots=True)
class Clearing:
    """Positions of the units that leave, in the order in which they were asked for; ``loss``: of all of them."""

    leaving: tuple[int, ...]
    loss: Loss


class Taker(Protocol):
    """The rights of who asks: what may be taken after all that was taken before."""

    def take(self, units: Sequence[int], /) -> bool:
        """Take these units, by position, in this order: all of them, or none."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Steps of units that leave at once (who left already is passed over), and where the gang may then sit."""

    order: Sequence[Sequence[int]]
    allowed: Mask | None


@dataclass(slots=True)
class Clearer:
    """One gang's search.

    ``wanted``: its bulkiest shape and how many of it there are. ``areas``: int32[N], the domains one of which must hold
    it all, None where any node will do. ``taker``: its rights, nothing taken yet.
    """

    boards: Boards
    units: Sequence[Unit]
    seat: Seating
    taker: Callable[[], Taker]
    wanted: tuple[Shape, int]
    allowed: Mask | None = None
    areas: NDArray[np.int32] | None = None
    _roster: Roster = field(init=False)
    _nodes: list[frozenset[int]] = field(init=False)

    def __post_init__(self) -> None:
        self._roster = Roster(self.units)
        self._nodes = [unit.nodes() for unit in self.units]

    def clear(self) -> Clearing | None:
        """The cheapest that was found, left in the world with the gang's seats; None, and nothing is changed."""
        world = self.boards.world
        mark = world.checkpoint()
        if not self.units or not self._fits(self._roster.order, self.allowed):
            return None
        slots = self.boards.slots(self.wanted[0], Horizon.LATER).copy()
        world.rollback(mark)
        best: tuple[Clearing, Mask | None] | None = None
        for candidate in self._candidates(slots):
            found = self._least(candidate)
            world.rollback(mark)
            if found is not None and (best is None or found.loss < best[0].loss):
                best = found, candidate.allowed
        if best is None:
            return None
        self._must_fit(best[0].leaving, best[1])
        return best[0]

    def _candidates(self, slots: NDArray[np.int64]) -> Iterator[_Candidate]:
        if self.areas is None:
            yield from self._orders(self._roster.order, slots, self.allowed)
            return
        promising: list[tuple[Loss, int, Mask]] = []
        for code in np.unique(self.areas[self.areas >= 0]):
            mask = (self.areas == code) if self.allowed is None else (self.areas == code) & self.allowed
            loss = self._estimate(slots, mask)
            if loss is not None:
                promising.append((loss, int(code), mask))
        for _, _, mask in sorted(promising, key=lambda one: one[:2])[:_MOST_AREAS]:
            inside = frozenset(np.flatnonzero(mask).tolist())
            touching = [unit for unit in self._roster.order if not self._nodes[unit].isdisjoint(inside)]
            yield from self._orders(self._roster.closed(touching), slots, mask)

    def _orders(
        self, units: Sequence[int], slots: NDArray[np.int64], allowed: Mask | None
    ) -> Iterator[_Candidate]:
        one_by_one = [[unit] for unit in units]
        yield _Candidate(one_by_one, allowed)
        within = self._within_rights(one_by_one)
        if len(within) < len(one_by_one):
            yield _Candidate(within, allowed)
        for ordered in self._by_what_they_give(units):
            steps = self._within_rights([self._roster.closed([unit]) for unit in ordered])
            yield _Candidate(steps, allowed)
        yield _Candidate(self._within_rights([step for _, step, _ in self._by_node(slots, allowed)]), allowed)

    def _by_what_they_give(self, units: Sequence[int]) -> Iterator[list[int]]:
        """Units in ascending order of what is lost for each wanted pod that they give room to; then the largest first."""
        base, wanted = self.boards.world.base, self.wanted[0].request
        asked = np.flatnonzero(wanted > 0)
        # What is scarce: GPUs where the gang asks for any, be it by claims.
        gpus = np.intersect1d(asked, np.array(base.gpu_columns, dtype=np.intp))
        scarce = gpus if len(gpus) else asked[asked != base.table.position_of.get(PODS, -1)]

        def gives(stay: Stay) -> float:
            claims = (base.claims[key].allocation for key in stay.claims)
            devices = sum(len(one.results) for one in claims if one is not None)
            return devices + float((stay.request[scarce] / wanted[scarce]).sum())

        given = {unit: sum(map(gives, self.units[unit].stays)) for unit in units}
        price = {
            unit: tuple(part / max(given[unit], _LEAST_GIVEN) for part in self.units[unit].loss)
            for unit in units
        }
        yield sorted(units, key=lambda unit: (price[unit], unit))
        yield sorted(units, key=lambda unit: (-given[unit], self.units[unit].loss, unit))

    def _within_rights(self, steps: Sequence[Sequence[int]]) -> list[Sequence[int]]:
        """The steps that may be taken one after another, each without those who left before."""
        taker, gone = self.taker(), set[int]()
        found: list[Sequence[int]] = []
        for step in steps:
            new = [unit for unit in step if unit not in gone]
            if self._has_all_before(new, gone) and taker.take(new):
                gone.update(new)
                found.append(new)
        return found

    def _has_all_before(self, step: Sequence[int], gone: AbstractSet[int]) -> bool:
        return all(unit in gone or unit in step for unit in self._roster.closed(step))

    def _by_node(
        self, slots: NDArray[np.int64], allowed: Mask | None
    ) -> list[tuple[tuple[float, ...], list[int], int]]:
        """(loss for each pod that finds room, who must leave, pods), the cheapest nodes first."""
        there: dict[int, list[int]] = {}
        for position, nodes in enumerate(self._nodes):
            for node in nodes:
                there.setdefault(node, []).append(position)
        usable = slots > 0 if allowed is None else (slots > 0) & allowed
        worth: list[tuple[tuple[float, ...], int]] = []
        for node in np.flatnonzero(usable).tolist():
            loss = total((self.units[unit] for unit in there.get(node, ())), len(self.units[0].loss))
            worth.append((tuple(part / int(slots[node]) for part in loss), node))
        return [
            (price, self._roster.closed(there.get(node, ())), int(slots[node]))
            for price, node in sorted(worth)
        ]

    def _estimate(self, slots: NDArray[np.int64], allowed: Mask) -> Loss | None:
        """What is lost where as many nodes are emptied as counting asks for; None: there are too few."""
        gained, leaving = 0, set[int]()
        for _, step, pods in self._by_node(slots, allowed):
            if gained < self.wanted[1]:
                leaving.update(step)
            gained += pods
        if gained < self.wanted[1]:
            return None
        return total((self.units[unit] for unit in leaving), len(self.units[0].loss))

    def _least(self, candidate: _Candidate) -> Clearing | None:
        """The shortest beginning that is enough, less those whom nobody misses; None where rights do not reach so far."""
        world = self.boards.world
        mark = world.checkpoint()
        low, high = -1, len(candidate.order)
        if not self._fits(_union(candidate.order), candidate.allowed):
            return None
        world.rollback(mark)
        while high - low > 1:
            middle = (low + high) // 2
            if self._fits(_union(candidate.order[:middle]), candidate.allowed):
                high = middle
            else:
                low = middle
            world.rollback(mark)
        chosen = self._roster.closed(self._kept(_union(candidate.order[:high]), candidate.allowed))
        if not self.taker().take(chosen):
            return None
        return Clearing(tuple(chosen), total((self.units[unit] for unit in chosen), len(self.units[0].loss)))

    def _kept(self, chosen: list[int], allowed: Mask | None) -> list[int]:
        """The chosen less those who may stay. Nothing of it is in the world before, all of it after."""
        world = self.boards.world
        mark = world.checkpoint()
        self._must_fit(chosen, allowed)
        seats = world.seats_since(mark)
        on_seats = {seat.node for seat in seats}
        needed = self._roster.closed([unit for unit in chosen if self._nodes[unit] & on_seats])
        if len(needed) < len(chosen):
            world.rollback(mark)
            if self._fits(needed, allowed):
                chosen, seats = needed, world.seats_since(mark)
            else:
                self._must_fit(chosen, allowed)
        if world.base.has_dynamic_rules or any(map(_is_searched, seats)):
            return self._kept_by_trying(chosen, allowed, mark)
        fewer = self._kept_by_counting(chosen)
        world.rollback(mark)
        # The seats are there; whether they are found again is another question.
        if self._fits(fewer, allowed):
            return fewer
        self._must_fit(chosen, allowed)
        return chosen

    def _kept_by_counting(self, chosen: list[int]) -> list[int]:
        """Without those who have room beside the seats that are taken; they are back in the world."""
        world = self.boards.world
        left = list(chosen)
        for unit in reversed(chosen):
            if self._is_first_back(unit, left):
                mark = world.checkpoint()
                for stay in self.units[unit].stays:
                    world.come_back(stay)
                if bool((world.later.free[list(self._nodes[unit])] >= 0).all()):
                    left.remove(unit)
                else:
                    world.rollback(mark)
        return left

    def _kept_by_trying(self, chosen: list[int], allowed: Mask | None, mark: int) -> list[int]:
        """Without those beside whom the gang finds a place again."""
        left, trials = list(chosen), 0
        for unit in reversed(chosen):
            if trials < _MOST_TRIALS and self._is_first_back(unit, left):
                trials += 1
                self.boards.world.rollback(mark)
                fewer = [other for other in left if other != unit]
                if self._fits(fewer, allowed):
                    left = fewer
                else:
                    self._must_fit(left, allowed)
        return left

    def _is_first_back(self, unit: int, left: Sequence[int]) -> bool:
        """Whether nobody of its owner left after it."""
        mine = self.units[unit]
        return not any(
            self.units[other].owner == mine.owner and self.units[other].rank > mine.rank for other in left
        )

    def _must_fit(self, chosen: Sequence[int], allowed: Mask | None) -> None:
        """The same again: what was found once is found in the same world, or something is wrong."""
        if not self._fits(chosen, allowed):
            raise AssertionError("a gang that had a place found none in the same world")

    def _fits(self, chosen: Sequence[int], allowed: Mask | None) -> bool:
        """Whether the gang has a place once these have left; then they leave and it is seated, else nothing changes."""
        world = self.boards.world
        mark = world.checkpoint()
        stays = [stay for unit in chosen for stay in self.units[unit].stays]
        world.base.meter.charge(1 + len(stays) // _LEAVES_A_UNIT)
        for stay in stays:
            world.leave(stay)
        if self.seat(Ground(self.boards, Horizon.LATER, allowed)) is None:
            return True
        world.rollback(mark)
        return False


def _union(steps: Sequence[Sequence[int]]) -> list[int]:
    return list(dict.fromkeys(unit for step in steps for unit in step))


def _is_searched(seat: Seat) -> bool:
    return bool(seat.allocations) or seat.share is not None
