"""Quantities: the Kubernetes quantity library."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from kai_sched.devices.cel.budget import Budget
from kai_sched.devices.cel.types import overload
from kai_sched.devices.cel.values import CelError, Quantity, as_int
from kai_sched.model.quantity import parse_quantity

_NO_DIGITS: Final = re.compile(r"[+-]?\.?(?:[KMGTPE]i|[eE][+-]?\d+|[numkMGTPE])?", re.ASCII)
"""What the reference takes for zero: a sign, a point or a suffix with no digits before it."""


def _parsed(text: str) -> Fraction:
    return Fraction(0) if text and _NO_DIGITS.fullmatch(text) else parse_quantity(text)


def _quantity(_budget: Budget, text: str) -> Quantity:
    try:
        return Quantity(_parsed(text))
    except ValueError as error:
        raise CelError(str(error)) from None


def _is_quantity(_budget: Budget, text: str) -> bool:
    try:
        _parsed(text)
    except ValueError:
        return False
    return True


def _as_integer(_budget: Budget, value: Quantity) -> int:
    if value.value.denominator != 1:
        raise CelError("cannot convert value to integer")
    return as_int(value.value.numerator)


def _is_integer(_budget: Budget, value: Quantity) -> bool:
    return value.value.denominator == 1 and -(2**63) <= value.value < 2**63


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
    overload("quantity:add(quantity) -> quantity", lambda _b, x, y: Quantity(x.value + y.value)),
    overload("quantity:add(int) -> quantity", lambda _b, x, y: Quantity(x.value + Fraction(y))),
    overload("quantity:sub(quantity) -> quantity", lambda _b, x, y: Quantity(x.value - y.value)),
    overload("quantity:sub(int) -> quantity", lambda _b, x, y: Quantity(x.value - Fraction(y))),
)
