"""Arithmetic, comparison, ``in`` and negation, with 64-bit overflow as an error."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Final

from kai_sched.devices.cel.budget import Budget
from kai_sched.devices.cel.types import Implementation, Overload, overload
from kai_sched.devices.cel.values import (
    CelError,
    CelMap,
    Duration,
    Timestamp,
    as_int,
    as_uint,
    equal,
)

_ORDERED: Final = ("bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration")
_NUMERIC: Final = ("int", "uint", "double")
_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "_<_": operator.lt,
    "_<=_": operator.le,
    "_>_": operator.gt,
    "_>=_": operator.ge,
}


def _truncated(left: int, right: int) -> int:
    """Division towards zero."""
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _add(budget: Budget, left: Any, right: Any) -> object:
    budget.take(1 + (len(left) + len(right)) // 10)
    return left + right


def _divide_double(_budget: Budget, left: float, right: float) -> float:
    if right == 0:
        if left == 0 or math.isnan(left):
            return math.nan
        return math.copysign(math.inf, left) * math.copysign(1, right)
    return left / right


def _nonzero(right: int, what: str) -> int:
    if right == 0:
        raise CelError(what)
    return right


def _modulo_int(_budget: Budget, left: int, right: int) -> int:
    return left - right * _truncated(left, _nonzero(right, "modulus by zero"))


def _in_list(budget: Budget, item: object, items: list[object]) -> bool:
    budget.take(1 + len(items))
    return any(equal(item, other) for other in items)


def _in_map(_budget: Budget, key: object, entries: CelMap) -> bool:
    return entries.has(key)


_ARITHMETIC: Final = (
    overload("_+_(int, int) -> int", lambda _b, x, y: as_int(x + y)),
    overload("_+_(uint, uint) -> uint", lambda _b, x, y: as_uint(int(x) + int(y))),
    overload("_+_(double, double) -> double", lambda _b, x, y: x + y),
    overload("_+_(string, string) -> string", _add),
    overload("_+_(bytes, bytes) -> bytes", _add),
    overload("_+_(list(T), list(T)) -> list(T)", _add),
    overload(
        "_+_(timestamp, duration) -> timestamp", lambda _b, x, y: Timestamp(x.nanoseconds + y.nanoseconds)
    ),
    overload(
        "_+_(duration, timestamp) -> timestamp", lambda _b, x, y: Timestamp(x.nanoseconds + y.nanoseconds)
    ),
    overload(
        "_+_(duration, duration) -> duration",
        lambda _b, x, y: Duration(as_int(x.nanoseconds + y.nanoseconds)),
    ),
    overload("_-_(int, int) -> int", lambda _b, x, y: as_int(x - y)),
    overload("_-_(uint, uint) -> uint", lambda _b, x, y: as_uint(int(x) - int(y))),
    overload("_-_(double, double) -> double", lambda _b, x, y: x - y),
    overload(
        "_-_(timestamp, timestamp) -> duration",
        lambda _b, x, y: Duration(as_int(x.nanoseconds - y.nanoseconds)),
    ),
    overload(
        "_-_(timestamp, duration) -> timestamp", lambda _b, x, y: Timestamp(x.nanoseconds - y.nanoseconds)
    ),
    overload(
        "_-_(duration, duration) -> duration",
        lambda _b, x, y: Duration(as_int(x.nanoseconds - y.nanoseconds)),
    ),
    overload("_*_(int, int) -> int", lambda _b, x, y: as_int(x * y)),
    overload("_*_(uint, uint) -> uint", lambda _b, x, y: as_uint(int(x) * int(y))),
    overload("_*_(double, double) -> double", lambda _b, x, y: x * y),
    overload("_/_(int, int) -> int", lambda _b, x, y: as_int(_truncated(x, _nonzero(y, "division by zero")))),
    overload(
        "_/_(uint, uint) -> uint", lambda _b, x, y: as_uint(int(x) // _nonzero(int(y), "division by zero"))
    ),
    overload("_/_(double, double) -> double", _divide_double),
    overload("_%_(int, int) -> int", _modulo_int),
    overload(
        "_%_(uint, uint) -> uint", lambda _b, x, y: as_uint(int(x) % _nonzero(int(y), "modulus by zero"))
    ),
    overload("-_(int) -> int", lambda _b, x: as_int(-x)),
    overload("-_(double) -> double", lambda _b, x: -x),
    overload("-_(duration) -> duration", lambda _b, x: Duration(as_int(-x.nanoseconds))),
    overload("!_(bool) -> bool", lambda _b, x: not x),
    overload("@in(T, list(T)) -> bool", _in_list),
    overload("@in(K, map(K, V)) -> bool", _in_map),
    overload("_==_(T, T) -> bool", lambda _b, x, y: equal(x, y)),
    overload("_!=_(T, T) -> bool", lambda _b, x, y: not equal(x, y)),
)


def _comparisons() -> list[Overload]:
    pairs = [(kind, kind) for kind in _ORDERED]
    pairs += [(a, b) for a in _NUMERIC for b in _NUMERIC if a != b]
    entries: list[Overload] = []
    for left, right in pairs:
        for name, compare in _COMPARISONS.items():
            call = _of_numbers(compare) if "double" in {left, right} else _of_values(compare)
            entries.append(overload(f"{name}({left}, {right}) -> bool", call))
    return entries


def _of_values(compare: Callable[[Any, Any], bool]) -> Implementation:
    return lambda _budget, left, right: compare(left, right)


def _of_numbers(compare: Callable[[Any, Any], bool]) -> Implementation:
    def call(_budget: Budget, left: float, right: float) -> bool:
        if math.isnan(left) or math.isnan(right):
            raise CelError("NaN values cannot be ordered")
        # Integers are rounded to doubles first, as the reference does, which shows beyond 2**53.
        return compare(float(left), float(right))

    return call


OVERLOADS: Final = (*_ARITHMETIC, *_comparisons())
