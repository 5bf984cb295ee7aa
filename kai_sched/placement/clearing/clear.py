"""Clear: finds units whose leaving gives a gang its place, and leaves them and the gang's seats in the world.

Of each order in which they may leave (``orders``) the shortest beginning that is enough is found by doubling and halving.
Then whoever is not needed stays after all, the dearest first. What loses least is taken, the first among equals.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kai_sched.placement.clearing.orders import Candidate, Mask, Orders, Ranking, Taker
from kai_sched.placement.clearing.units import Loss, Roster
from kai_sched.placement.refusal import Refusal
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.ground import Ground
from kai_sched.placement.world.horizon import Horizon
from kai_sched.placement.world.room import Seat

Seating = Callable[[Ground], Refusal | None]
"""Seats the gang on a ground, or nothing: then why."""

_MOST_TRIALS: Final = 48
"""Places sought in vain or found again while units are kept one by one, for a gang that counting does not decide."""
_LEAVES_A_UNIT: Final = 4
"""That cost a unit of work."""


@dataclass(frozen=True, slots=True)
class Clearing:
    """Positions of the units that leave, in the order in which they were asked for; ``loss``: of all of them."""

    leaving: tuple[int, ...]
    loss: Loss


@dataclass(slots=True)
class Clearer:
    """One gang's search.

    ``may_ask``: whether a unit, by position, may be asked to leave. ``taker``: the gang's rights, nothing taken yet.
    ``wanted``: its bulkiest shape and how many of it there are. ``areas``: int32[N], the domains one of which must hold
    it all, None where any node will do. ``rankings``: by shape, shared by the searches over one roster.
    """

    boards: Boards
    roster: Roster
    may_ask: Callable[[int], bool]
    seat: Seating
    taker: Callable[[], Taker]
    wanted: tuple[Shape, int]
    allowed: Mask | None = None
    areas: NDArray[np.int32] | None = None
    rankings: dict[int, Ranking] = field(default_factory=dict)

    def clear(self) -> Clearing | None:
        """The cheapest that was found, left in the world with the gang's seats; None, and nothing is changed."""
        world = self.boards.world
        mark = world.checkpoint()
        ranking = self._ranking()
        if ranking is None:
            return None
        orders = Orders(self.roster, ranking, self.may_ask, self.taker, self.wanted[1])
        best: tuple[Clearing, Mask | None] | None = None
        for candidate in orders.candidates(self.allowed, self.areas):
            found = self._least(candidate)
            world.rollback(mark)
            if found is not None and (best is None or found.loss < best[0].loss):
                best = found, candidate.allowed
        if best is None:
            return None
        self._must_fit(best[0].leaving, best[1])
        return best[0]

    def _ranking(self) -> Ranking | None:
        """Of the bulkiest shape; None where the gang has no place though all have left whom it may ask."""
        shape, world = self.wanted[0], self.boards.world
        known = self.rankings.get(shape.index)
        if known is None:
            mark = world.checkpoint()
            if not self._fits(list(filter(self.may_ask, self.roster.order)), self.allowed):
                return None
            slots = self.boards.slots(shape, Horizon.LATER).copy()
            for seat in world.seats_since(mark):
                slots[seat.node] += seat.shape is shape
            world.rollback(mark)
            known = self.rankings[shape.index] = Ranking.of(world.base, self.roster, shape, slots)
        return known

    def _least(self, candidate: Candidate) -> Clearing | None:
        """The shortest beginning that is enough, less those whom nobody misses; None where rights do not reach so far."""
        world = self.boards.world
        mark = world.checkpoint()
        high = self._enough(candidate)
        if high is None:
            return None
        low = high // 2 if high > 1 else high - 1
        while high - low > 1:
            middle = (low + high) // 2
            if self._fits(candidate.first(middle) or (), candidate.allowed):
                high = middle
            else:
                low = middle
            world.rollback(mark)
        chosen = self.roster.closed(self._kept(candidate.first(high) or [], candidate.allowed))
        if not self.taker().take(chosen):
            return None
        return Clearing(tuple(chosen), self.roster.loss_of(chosen))

    def _enough(self, candidate: Candidate) -> int | None:
        """So many steps are enough: found by doubling, as mostly few are; None where all of them are not."""
        world = self.boards.world
        mark, count = world.checkpoint(), 0
        while True:
            chosen = candidate.first(count)
            if chosen is None:
                count = candidate.length()
                chosen = candidate.first(count) or []
            is_enough = self._fits(chosen, candidate.allowed)
            world.rollback(mark)
            if is_enough:
                return count
            if candidate.first(count + 1) is None:
                return None
            count = max(1, 2 * count)

    def _kept(self, chosen: list[int], allowed: Mask | None) -> list[int]:
        """The chosen less those who may stay. Nothing of it is in the world before, all of it after."""
        world = self.boards.world
        mark = world.checkpoint()
        self._must_fit(chosen, allowed)
        seats = world.seats_since(mark)
        on_seats = {seat.node for seat in seats}
        needed = self.roster.closed([unit for unit in chosen if self.roster.units[unit].nodes & on_seats])
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
        left = dict.fromkeys(chosen)
        for unit in self._dearest_first(chosen, left):
            mark = world.checkpoint()
            for stay in self.roster.units[unit].stays:
                world.come_back(stay)
            if bool((world.later.free[list(self.roster.units[unit].nodes)] >= 0).all()):
                del left[unit]
            else:
                world.rollback(mark)
        return list(left)

    def _kept_by_trying(self, chosen: list[int], allowed: Mask | None, mark: int) -> list[int]:
        """Without those beside whom the gang finds a place again."""
        left = dict.fromkeys(chosen)
        for unit in islice(self._dearest_first(chosen, left), _MOST_TRIALS):
            self.boards.world.rollback(mark)
            fewer = [other for other in left if other != unit]
            if self._fits(fewer, allowed):
                del left[unit]
            else:
                self._must_fit(list(left), allowed)
        return list(left)

    def _dearest_first(self, chosen: Sequence[int], left: Collection[int]) -> Iterator[int]:
        """The chosen, without those of an owner of whom somebody that left after them is among ``left`` still."""
        held: set[str] = set()
        for unit in reversed(chosen):
            owner = self.roster.units[unit].owner
            if owner not in held:
                yield unit
                if unit in left:
                    held.add(owner)

    def _must_fit(self, chosen: Sequence[int], allowed: Mask | None) -> None:
        """The same again: what was found once is found in the same world, or something is wrong."""
        if not self._fits(chosen, allowed):
            raise AssertionError("a gang that had a place found none in the same world")

    def _fits(self, chosen: Sequence[int], allowed: Mask | None) -> bool:
        """Whether the gang has a place once these have left; then they leave and it is seated, else nothing changes."""
        world = self.boards.world
        mark = world.checkpoint()
        stays = [stay for unit in chosen for stay in self.roster.units[unit].stays]
        world.base.meter.charge(1 + len(stays) // _LEAVES_A_UNIT)
        for stay in stays:
            world.leave(stay)
        if self.seat(Ground(self.boards, Horizon.LATER, allowed)) is None:
            return True
        world.rollback(mark)
        return False


def _is_searched(seat: Seat) -> bool:
    return bool(seat.allocations) or seat.share is not None
