"""Quantities of the wire in the units of ``model.resources``, rounded up as the scheduler framework does."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from kai_sched.model.quantity import parse_quantity, rounded_up
from kai_sched.model.resources import CPU, EPHEMERAL_STORAGE, HUGE_PAGES, MEMORY
from kai_sched.model.texts import shown

_MILLI: Final = 1000
MOST: Final = 1 << 50
"""No machine has 1 PiB of memory; a limit keeps sums over all pods of a node, and over a fleet, inside 64 bits."""
EXACT: Final = 2.0**53
"""Floats beyond it have gaps, and JSON of 64 bits ends soon after."""
_QUOTED: Final = 80
_BYTES: Final = frozenset({MEMORY, EPHEMERAL_STORAGE})


@lru_cache(maxsize=16384)
def cpu_millis(text: str) -> int:
    """CPU in millicores: "1500m", "0.1", "2".

    Raises:
        ValueError: the text is no quantity, or beyond what a machine can have.
    """
    return _bounded(rounded_up(parse_quantity(text) * _MILLI), text)


@lru_cache(maxsize=16384)
def whole(text: str) -> int:
    """Bytes or pieces: "64Gi", "8".

    Raises:
        ValueError: the text is no quantity, or beyond what a machine can have.
    """
    return _bounded(rounded_up(parse_quantity(text)), text)


def amount_in(resource: str, text: str) -> int:
    """The amount of one resource in its unit.

    Raises:
        ValueError: the text is no quantity, or beyond what a machine can have.
    """
    return cpu_millis(text) if resource == CPU else whole(text)


def text_of(resource: str, amount: int) -> str:
    """The quantity of an amount, as ``kubectl`` users write it."""
    if resource == CPU:
        return str(amount // _MILLI) if amount % _MILLI == 0 else f"{amount}m"
    if resource in _BYTES or resource.startswith(HUGE_PAGES):
        return _binary(amount)
    return str(amount)


def number_of(value: float) -> float | int:
    """An amount as documents carry it: whole where it is whole."""
    return int(value) if abs(value) < EXACT and value == int(value) else value


def _bounded(amount: int, text: str) -> int:
    if abs(amount) > MOST:
        raise ValueError(f"{shown(text, _QUOTED)} is more than any machine has (at most {MOST})")
    return amount


def _binary(amount: int) -> str:
    for suffix, power in (("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)):
        if amount and amount % (1 << power) == 0:
            return f"{amount >> power}{suffix}"
    return str(amount)
