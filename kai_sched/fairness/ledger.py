"""The running account of a cycle: what every queue holds while decisions are being made, and what it may not pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kai_sched.fairness.exact import (
    Exact,
    add,
    deserved_of,
    exact_of,
    exceeds,
    float_of,
    limit_of,
    subtract,
    vector_of,
)
from kai_sched.fairness.tree import QueueTree
from kai_sched.model.ids import QueueName
from kai_sched.model.queues import QUOTA_RESOURCES, QueueShare, QuotaResource, QuotaVector

_REPORTED_FIRST = (1, 2, 0)
"""cpu, memory, gpu: which of several breaches is named, as KAI names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitBreach:
    """Why a request is refused: ``allocated + requested`` would pass ``bound`` in this queue."""

    queue: QueueName
    resource: QuotaResource
    bound: float
    """The limit, or the deserved quota for non-preemptible work."""
    allocated: float
    requested: float


@dataclass(slots=True)
class Ledger:
    """Allocation of every valid queue, rolled up; starts at the shares' and changes with every decision."""

    _tree: QueueTree
    _bounds: Mapping[QueueName, tuple[Exact, Exact]]
    """(limit, deserved)"""
    _allocated: dict[QueueName, Exact]
    _fixed: dict[QueueName, Exact]
    """The part of ``_allocated`` that cannot be taken back."""
    _journal: list[QueueName]

    @staticmethod
    def open(tree: QueueTree, shares: Mapping[QueueName, QueueShare]) -> Ledger:
        """The account at the start of a cycle."""
        return Ledger(
            tree,
            {name: (limit_of(queue), deserved_of(queue)) for name, queue in tree.queues.items()},
            {name: exact_of(shares[name].allocated) for name in tree.queues},
            {name: exact_of(shares[name].allocated_non_preemptible) for name in tree.queues},
            [],
        )

    def fork(self) -> Ledger:
        """An independent copy, for trying decisions out."""
        return Ledger(
            self._tree, self._bounds, self._allocated.copy(), self._fixed.copy(), self._journal.copy()
        )

    def charge(self, queue: QueueName, request: QuotaVector, *, is_preemptible: bool) -> None:
        """Count a request as allocated, here and in every ancestor."""
        amount = exact_of(request)
        for name in self._tree.ancestors(queue):
            self._allocated[name] = add(self._allocated[name], amount)
            if not is_preemptible:
                self._fixed[name] = add(self._fixed[name], amount)
        self._journal.append(queue)

    def refund(self, queue: QueueName, request: QuotaVector, *, is_preemptible: bool) -> None:
        """Take a charge back."""
        amount = exact_of(request)
        for name in self._tree.ancestors(queue):
            self._allocated[name] = subtract(self._allocated[name], amount)
            if not is_preemptible:
                self._fixed[name] = subtract(self._fixed[name], amount)
        self._journal.append(queue)

    def allocated(self, queue: QueueName) -> QuotaVector:
        """What a queue and its descendants hold now."""
        return vector_of(self._allocated[queue])

    def allocated_non_preemptible(self, queue: QueueName) -> QuotaVector:
        """The part of ``allocated`` that cannot be taken back."""
        return vector_of(self._fixed[queue])

    def over_limit(self, queue: QueueName, request: QuotaVector) -> LimitBreach | None:
        """The first queue, from ``queue`` upwards, whose limit the request would pass."""
        amount = exact_of(request)
        for name in self._tree.ancestors(queue):
            if breach := self._breach(name, self._allocated[name], amount, self._bounds[name][0]):
                return breach
        return None

    def non_preemptible_over_quota(self, queue: QueueName, request: QuotaVector) -> LimitBreach | None:
        """The first queue, from ``queue`` upwards, whose quota a non-preemptible request would pass."""
        amount = exact_of(request)
        for name in self._tree.ancestors(queue):
            if breach := self._breach(name, self._fixed[name], amount, self._bounds[name][1]):
                return breach
        return None

    def exact_allocated(self, queue: QueueName) -> Exact:
        """``allocated`` without rounding, for comparing."""
        return self._allocated[queue]

    def exact_fixed(self, queue: QueueName) -> Exact:
        """``allocated_non_preemptible`` without rounding."""
        return self._fixed[queue]

    def touched_since(self, position: int) -> list[QueueName]:
        """The queues charged or refunded after the first ``position`` changes."""
        return self._journal[position:]

    @staticmethod
    def _breach(name: QueueName, held: Exact, amount: Exact, bound: Exact) -> LimitBreach | None:
        for index in _REPORTED_FIRST:
            # A queue already over a bound still takes work that does not ask for that resource.
            if amount[index] > 0 and exceeds(held[index] + amount[index], bound[index], index):
                return LimitBreach(
                    queue=name,
                    resource=QUOTA_RESOURCES[index],
                    bound=float_of(bound[index], index),
                    allocated=float_of(held[index], index),
                    requested=float_of(amount[index], index),
                )
        return None
