"""How a queue stands among its siblings: the key that decides who is served next.

KAI's comparator, first difference wins: not above its fair share in every resource; within its quota even with
its next job; higher priority; not using what it has no share of; lower dominant share with the job; lower dominant
share without; smaller allocatable share; older.

All but the last two are one tuple. "Smaller allocatable share" means smaller or equal in every resource, which
leaves pairs undecided, and together with age that runs in circles once there are three queues (a before b by
share, b before c by age, c before a by age). ``choose`` makes it a choice that always exists, that agrees with
every pair and that no order of comparing can change: of the queues that tie, those with nobody below them, and of
these the oldest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from kai_sched.fairness.exact import UNBOUNDED, WHOLE, Exact, add, deserved_of, exact_of, is_within, limit_of
from kai_sched.model.queues import Queue, QueueShare

Key = tuple[bool, bool, int, bool, float, float]
"""Smaller is served first."""

_NO_SHARE_PENALTY = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What of a queue's place does not change during a cycle."""

    priority: int
    seniority: tuple[float, str]
    deserved: Exact
    fair_share: Exact
    allocatable: Exact
    """What it may come to hold: its quota or fair share, the larger, within its limit."""
    measure: Exact
    """What its dominant share is measured against: ``allocatable``, the whole cluster where that is unbounded."""

    @staticmethod
    def of(queue: Queue, share: QueueShare, total: Exact) -> Standing:
        """The standing of a queue in a cluster of that size."""
        deserved, limit, fair = deserved_of(queue), limit_of(queue), exact_of(share.fair_share)
        gpu, cpu, memory = (min(limit[i], max(deserved[i], fair[i])) for i in range(3))
        allocatable = (gpu, cpu, memory)
        gpu, cpu, memory = (total[i] if allocatable[i] == UNBOUNDED else allocatable[i] for i in range(3))
        return Standing(
            priority=queue.priority,
            seniority=(queue.created_at, queue.uid),
            deserved=deserved,
            fair_share=fair,
            allocatable=allocatable,
            measure=(gpu, cpu, memory),
        )

    def key(self, allocated: Exact, request: Exact) -> Key:
        """The key while it holds ``allocated`` and its next job asks for ``request``."""
        fair, with_job = self.fair_share, add(allocated, request)
        return (
            fair[0] < allocated[0] and fair[1] < allocated[1] and fair[2] < allocated[2],
            not is_within(with_job, self.deserved),
            -self.priority,
            any(share == 0 and held > 0 for share, held in zip(self.allocatable, with_job, strict=True)),
            self._dominant_share(with_job),
            self._dominant_share(allocated),
        )

    def _dominant_share(self, held: Exact) -> float:
        gpu, cpu, memory = self.measure
        return max(
            held[0] / gpu if gpu else held[0] / WHOLE[0] * _NO_SHARE_PENALTY,
            held[1] / cpu if cpu else held[1] / WHOLE[1] * _NO_SHARE_PENALTY,
            held[2] / memory if memory else held[2] / WHOLE[2] * _NO_SHARE_PENALTY,
        )


def choose(tied: Sequence[Standing]) -> int:
    """The index of the queue to serve first among queues whose keys are equal."""
    by_age = sorted(range(len(tied)), key=lambda index: tied[index].seniority)
    return next(
        index
        for index in by_age
        if not any(is_below(other.allocatable, tied[index].allocatable) for other in tied)
    )


def is_below(left: Exact, right: Exact) -> bool:
    """Whether one allocatable share is smaller than another: never larger, and not the same."""
    return left != right and left[0] <= right[0] and left[1] <= right[1] and left[2] <= right[2]


def is_chain(siblings: Sequence[Standing]) -> bool:
    """Whether their allocatable shares compare pair by pair, so that sorting decides every tie."""
    ordered = sorted(standing.allocatable for standing in siblings)
    return all(low[1] <= high[1] and low[2] <= high[2] for low, high in pairwise(ordered))
