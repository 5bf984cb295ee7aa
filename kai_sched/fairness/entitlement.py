"""Entitlement: may one queue take room back from another, and after every unit taken still. KAI's rules of reclaim.

Two queues are compared where their paths to the root part: the taker's side and the holder's side are siblings there.
Room may be taken while the holder's side is above what it may hold, or, for a taker's side that stays within its quota,
while the holder's side is above its quota. In the end no queue above the taker may use its fair share more than a
sibling that lost something.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from kai_sched.fairness.exact import (
    NOTHING,
    UNBOUNDED,
    Exact,
    add,
    deserved_of,
    exact_of,
    is_within,
    limit_of,
    subtract,
)
from kai_sched.fairness.ledger import Ledger
from kai_sched.fairness.tree import QueueTree
from kai_sched.model.ids import QueueName
from kai_sched.model.queues import QueueShare

Sides = tuple[QueueName, QueueName]
"""(the taker's side, the holder's side): siblings."""


@dataclass(frozen=True, slots=True)
class _Bounds:
    deserved: Exact
    fair: Exact
    allocatable: Exact
    """What it may come to hold: its quota or fair share, the larger, within its limit."""


@dataclass(frozen=True, slots=True)
class Entitlement:
    """The rights of one cycle; what queues hold at the moment is the ledger's."""

    tree: QueueTree
    multiplier: Fraction
    """How much less than its siblings the taker must use its fair share; at least 1."""
    bounds: Mapping[QueueName, _Bounds]

    @classmethod
    def of(
        cls, tree: QueueTree, shares: Mapping[QueueName, QueueShare], multiplier: float = 1.0
    ) -> Entitlement:
        """The rights that a division of the cluster gives."""
        return cls(
            tree,
            Fraction(multiplier),
            {name: _bounds_of(tree, shares, name) for name in tree.queues},
        )

    def may_reclaim(self, ledger: Ledger, queue: QueueName, request: Exact, *, is_preemptible: bool) -> bool:
        """Whether a leaf queue may take anything back for a gang: it stays within its fair share with it."""
        bounds = self.bounds[queue]
        if not is_within(add(ledger.exact_allocated(queue), request), bounds.fair):
            return False
        return is_preemptible or is_within(add(ledger.exact_fixed(queue), request), bounds.deserved)

    def sides(self, taker: QueueName, holder: QueueName) -> Sides | None:
        """Where the paths of two leaf queues part; None for one queue, and for one that is not in the tree."""
        mine, theirs = list(self.tree.ancestors(taker)), list(self.tree.ancestors(holder))
        while mine and theirs and mine[-1] == theirs[-1]:
            mine.pop()
            theirs.pop()
        return (mine[-1], theirs[-1]) if mine and theirs else None


def _bounds_of(tree: QueueTree, shares: Mapping[QueueName, QueueShare], name: QueueName) -> _Bounds:
    queue = tree.queues[name]
    deserved, limit, fair = deserved_of(queue), limit_of(queue), exact_of(shares[name].fair_share)
    gpu, cpu, memory = (min(limit[i], max(deserved[i], fair[i])) for i in range(3))
    return _Bounds(deserved, fair, (gpu, cpu, memory))


class Taking:
    """What one gang takes, unit by unit in the order of leaving."""

    def __init__(
        self, rights: Entitlement, ledger: Ledger, queue: QueueName, request: Exact, *, is_preemptible: bool
    ) -> None:
        self._rights = rights
        self._ledger = ledger
        self._queue = queue
        self._request = request
        self._is_preemptible = is_preemptible
        self._lost: dict[QueueName, Exact] = {}

    def may_ask(self, holder: QueueName) -> bool:
        """Whether gangs of a queue are looked at at all."""
        sides = self._rights.sides(self._queue, holder)
        if sides is None:
            return False
        mine, theirs = (self._rights.bounds[side] for side in sides)
        held = self._ledger.exact_allocated(sides[1])
        if self._stays_in_quota(sides[0], mine):
            asked = [i for i in range(3) if self._request[i] > 0 and theirs.deserved[i] != UNBOUNDED]
            return any(held[i] >= theirs.deserved[i] for i in asked)
        return not is_within(held, theirs.allocatable)

    def take(self, holder: QueueName, amount: Exact) -> bool:
        """Take a unit of a queue, if that is within the rights after all that was taken before."""
        sides = self._rights.sides(self._queue, holder)
        if sides is None:
            return False
        mine, theirs = (self._rights.bounds[side] for side in sides)
        left = self._left(sides[1])
        is_above_share = not is_within(left, theirs.allocatable)
        is_owed = self._stays_in_quota(sides[0], mine) and not is_within(left, theirs.deserved)
        if not (is_above_share or is_owed):
            return False
        before = self.mark()
        for name in self._rights.tree.ancestors(holder):
            self._lost[name] = add(self._lost.get(name, NOTHING), amount)
        if self.is_balanced():
            return True
        self.rollback(before)
        return False

    def mark(self) -> dict[QueueName, Exact]:
        """What was taken so far, to go back to."""
        return dict(self._lost)

    def rollback(self, mark: dict[QueueName, Exact]) -> None:
        """Give back what was taken since."""
        self._lost = mark

    def is_balanced(self) -> bool:
        """Whether no queue above the gang would use its fair share more than a sibling that lost something."""
        rights = self._rights
        return all(self._is_balanced_at(name) for name in rights.tree.ancestors(self._queue))

    def _is_balanced_at(self, name: QueueName) -> bool:
        rights, tree = self._rights, self._rights.tree
        mine = add(self._left(name), self._request)
        if not self._is_preemptible and not is_within(
            add(self._ledger.exact_fixed(name), self._request), rights.bounds[name].deserved
        ):
            return False
        parent = tree.queues[name].parent
        siblings = tree.children[parent] if parent else tree.roots
        for sibling in siblings:
            lost = self._lost.get(sibling, NOTHING)
            if sibling == name or lost == NOTHING:
                continue
            theirs = self._left(sibling)
            for index in range(3):
                fair = rights.bounds[name].fair[index], rights.bounds[sibling].fair[index]
                if lost[index] > 0 and self._is_worse(mine[index], theirs[index], fair):
                    return False
        return True

    def _is_worse(self, mine: int, theirs: int, fair: tuple[int, int]) -> bool:
        """Whether the taker's side is above its fair share, and uses it no less than the sibling."""
        own, other = fair
        if mine <= own or other <= 0:
            return False
        if own <= 0:
            return True
        return Fraction(mine, own) * self._rights.multiplier >= Fraction(theirs, other)

    def _left(self, name: QueueName) -> Exact:
        return subtract(self._ledger.exact_allocated(name), self._lost.get(name, NOTHING))

    def _stays_in_quota(self, side: QueueName, bounds: _Bounds) -> bool:
        return is_within(add(self._ledger.exact_allocated(side), self._request), bounds.deserved)
