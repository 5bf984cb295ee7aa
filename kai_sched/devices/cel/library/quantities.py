"""Quantities: the Kubernetes quantity library."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Final

from kai_sched.devices.cel.budget import Budget
from kai_sched.devices.cel.types import overload
from kai_sched.devices.cel.values import CelError, Quantity
from kai_sched.model.quantity import parse_quantity

_NO_DIGITS: Final = re.compile(r"[+-]?\.?(?:[KMGTPE]i|[eE][+-]?\d+|[numkMGTPE])?", re.ASCII)
"""What the reference takes for zero: a sign, a point or a suffix with no digits before it."""
_PARTS: Final = re.compile(r"[+-]?0*(\d*)(?:\.(\d*))?(.*)", re.ASCII | re.DOTALL)
_SCALES: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_FINEST: Final = -9
_DIGITS: Final = 18
_BINARY_DIGITS: Final = 15
_MOST: Final = 2**63
_LONGEST: Final = 1000


@lru_cache(maxsize=4096)
def quantity_of(text: str) -> Quantity:
    """A quantity as the reference reads it.

    Raises:
        ValueError: the text is no quantity.
    """
    if len(text) > _LONGEST:
        raise ValueError("a text that long is not a quantity")
    value = Fraction(0) if text and _NO_DIGITS.fullmatch(text) else parse_quantity(text)
    return Quantity(value, scale_of(text))


def scale_of(text: str) -> int | None:
    """Where the digits fit into 64 bits beforehand, as the reference estimates it; the arithmetic is its own."""
    match = _PARTS.fullmatch(text)
    assert match is not None
    whole, fraction, suffix = match.group(1) or "0", match.group(2) or "", match.group(3)
    if suffix in _BINARY:
        precision = _BINARY_DIGITS - len(whole) - _BINARY[suffix] * 3 // 10 - 1
        return 0 if not fraction and precision >= 0 else None
    scale = _SCALES[suffix] if suffix in _SCALES else int(suffix[1:])
    scale -= len(fraction)
    return scale if _DIGITS - len(whole) - len(fraction) >= 0 and scale >= _FINEST else None


def _sum(left: Quantity, right: Quantity, sign: int) -> Quantity:
    """In the finer scale of the two, as long as both can be counted in it."""
    value = left.value + sign * right.value
    if left.scale is None or right.scale is None:
        return Quantity(value, None)
    if not left.value or not right.value:
        return Quantity(value, right.scale if right.value else left.scale)
    scale = min(left.scale, right.scale)
    counts = [abs(amount) * Fraction(10) ** -scale for amount in (left.value, right.value, value)]
    return Quantity(value, scale if all(count < _MOST for count in counts) else None)


def _with_int(left: Quantity, right: int, sign: int) -> Quantity:
    return _sum(left, Quantity(Fraction(right)), sign)


def _quantity(_budget: Budget, text: str) -> Quantity:
    try:
        return quantity_of(text)
    except ValueError as error:
        raise CelError(str(error)) from None


def _is_quantity(_budget: Budget, text: str) -> bool:
    try:
        quantity_of(text)
    except ValueError:
        return False
    return True


def _as_integer(budget: Budget, value: Quantity) -> int:
    if not _is_integer(budget, value):
        raise CelError("cannot convert value to integer")
    return value.value.numerator


def _is_integer(_budget: Budget, value: Quantity) -> bool:
    return value.scale is not None and value.scale >= 0 and -_MOST <= value.value < _MOST


def _sign(_budget: Budget, value: Quantity) -> int:
    return (value.value > 0) - (value.value < 0)


def _compare(_budget: Budget, left: Quantity, right: Quantity) -> int:
    return (left.value > right.value) - (left.value < right.value)


OVERLOADS: Final = (
    overload("quantity(string) -> quantity", _quantity),
    overload("isQuantity(string) -> bool", _is_quantity),
    overload("sign(quantity) -> int", _sign),
    overload("quantity:isGreaterThan(quantity) -> bool", lambda _b, x, y: x.value > y.value),
    overload("quantity:isLessThan(quantity) -> bool", lambda _b, x, y: x.value < y.value),
    overload("quantity:compareTo(quantity) -> int", _compare),
    overload("quantity:asApproximateFloat() -> double", lambda _b, x: float(x.value)),
    overload("quantity:asInteger() -> int", _as_integer),
    overload("quantity:isInteger() -> bool", _is_integer),
    overload("quantity:add(quantity) -> quantity", lambda _b, x, y: _sum(x, y, 1)),
    overload("quantity:add(int) -> quantity", lambda _b, x, y: _with_int(x, y, 1)),
    overload("quantity:sub(quantity) -> quantity", lambda _b, x, y: _sum(x, y, -1)),
    overload("quantity:sub(int) -> quantity", lambda _b, x, y: _with_int(x, y, -1)),
)
