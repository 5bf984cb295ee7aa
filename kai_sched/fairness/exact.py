"""Quota amounts as integers, because the laws of fair division do not survive floating point.

Queues and requests arrive as floats (0.7 of a GPU, 1500 millicores, megabytes). Adding and taking back thousands
of them drifts, and a drift of one unit in the last place is enough to call a full queue over its limit or to
break a tie the other way on the next run. So fairness counts in whole numbers and converts at its border only.
"""

from __future__ import annotations

from typing import Final

from kai_sched.model.queues import QUOTA_RESOURCES, UNLIMITED, Queue, QuotaResource, QuotaVector

Exact = tuple[int, int, int]
"""gpu, cpu, memory, in the order of ``QUOTA_RESOURCES``."""

NOTHING: Final[Exact] = (0, 0, 0)
UNBOUNDED: Final = 1 << 200
"""Stands for -1; above every amount, so that bounds compare without a special case."""

WHOLE: Final[Exact] = (10**12, 10**6, 1)
"""The unit that shares are rounded to, as KAI does: one GPU, one millicore, one byte."""

_PER_MODEL_UNIT: Final[Exact] = (10**12, 10**6, 10**6)
_MOST: Final = 10.0**15
"""More GPUs, millicores or megabytes than any cluster has; a queue that says more means no more."""
_TOLERANCE: Final[Exact] = (10**3, 0, 0)
"""A billionth of a GPU, KAI's own: three thirds of a device fill it exactly."""


def exact_of(vector: QuotaVector) -> Exact:
    """The integers of an amount."""
    return (round(vector.gpu * 10**12), round(vector.cpu * 10**6), round(vector.memory * 10**6))


def vector_of(amount: Exact) -> QuotaVector:
    """The amount in the model's units; unbounded parts are -1."""
    return QuotaVector(*(float_of(part, index) for index, part in enumerate(amount)))


def float_of(part: int, index: int) -> float:
    """One part of an amount in the model's units."""
    return UNLIMITED if part == UNBOUNDED else part / _PER_MODEL_UNIT[index]


def deserved_of(queue: Queue) -> Exact:
    """The deserved quota of a queue."""
    gpu, cpu, memory = (_bound(queue.resource(name).deserved, name) for name in QUOTA_RESOURCES)
    return gpu, cpu, memory


def limit_of(queue: Queue) -> Exact:
    """The limit of a queue."""
    gpu, cpu, memory = (_bound(queue.resource(name).limit, name) for name in QUOTA_RESOURCES)
    return gpu, cpu, memory


def add(left: Exact, right: Exact) -> Exact:
    """Sum by part."""
    return left[0] + right[0], left[1] + right[1], left[2] + right[2]


def subtract(left: Exact, right: Exact) -> Exact:
    """Difference by part."""
    return left[0] - right[0], left[1] - right[1], left[2] - right[2]


def times(amount: Exact, count: int) -> Exact:
    """``count`` times an amount."""
    return amount[0] * count, amount[1] * count, amount[2] * count


def is_within(amount: Exact, bound: Exact) -> bool:
    """Whether no part is above its bound."""
    return amount[0] <= bound[0] + _TOLERANCE[0] and amount[1] <= bound[1] and amount[2] <= bound[2]


def exceeds(part: int, bound: int, index: int) -> bool:
    """Whether one part is above its bound."""
    return part > bound + _TOLERANCE[index]


def _bound(value: float, name: QuotaResource) -> int:
    if value == UNLIMITED:
        return UNBOUNDED
    return round(min(value, _MOST) * _PER_MODEL_UNIT[QUOTA_RESOURCES.index(name)])
