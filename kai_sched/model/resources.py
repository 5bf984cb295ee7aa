"""Amounts of resources as sorted tuples of integers, so that they hash, compare and travel cheaply.

Units by name: ``cpu`` millicores, ``memory`` and ``ephemeral-storage`` bytes, ``hugepages-*`` bytes,
everything else whole pieces. Shared GPUs are not in here: see ``workloads.GpuShare``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Final

from kai_sched.model.quantity import format_quantity

CPU: Final = "cpu"
MEMORY: Final = "memory"
EPHEMERAL_STORAGE: Final = "ephemeral-storage"
PODS: Final = "pods"
HUGE_PAGES: Final = "hugepages-"
"""Beginning of resources, one a size of page."""
CLASS_DOMAIN: Final = "deviceclass.resource.kubernetes.io"
"""Domain of the resources that every device class has without saying so (KEP-5004)."""

Amounts = tuple[tuple[str, int], ...]
"""Sorted by name, no zero entries."""

NOTHING: Final[Amounts] = ()


def amounts(values: Mapping[str, int]) -> Amounts:
    """Sorted tuple form of a mapping; zeros are dropped."""
    return tuple(sorted((name, value) for name, value in values.items() if value != 0))


def total(parts: Iterable[Amounts]) -> Amounts:
    """Sum of several amounts."""
    sums: dict[str, int] = {}
    for part in parts:
        for name, value in part:
            sums[name] = sums.get(name, 0) + value
    return amounts(sums)


def amount_of(values: Amounts, name: str) -> int:
    """The amount of one resource, 0 if absent."""
    for key, value in values:
        if key == name:
            return value
    return 0


def amount_text(name: str, amount: int) -> str:
    """An amount as people write it: ``4500m`` of cpu, ``20Gi`` of memory, ``2`` of others."""
    if name == CPU:
        return format_quantity(Fraction(amount, 1000))
    if name in {MEMORY, EPHEMERAL_STORAGE} or name.startswith(HUGE_PAGES):
        return format_quantity(Fraction(amount))
    return str(amount)
