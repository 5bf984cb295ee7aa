"""Lists and sets: the Kubernetes list library, the lists and sets extensions, and ``includes``."""

from __future__ import annotations

from collections.abc import Callable
from functools import cmp_to_key
from itertools import pairwise
from typing import Any, Final

from kai_sched.devices.cel.budget import Budget
from kai_sched.devices.cel.types import Overload, overload
from kai_sched.devices.cel.values import (
    NOTHING,
    CelError,
    Duration,
    OptionalValue,
    Timestamp,
    Uint,
    as_int,
    as_uint,
    equal,
    no_overload,
)

MAX_INCLUDES: Final = 48
_SUMMABLE: Final = {"int": 0, "uint": Uint(0), "double": 0.0, "duration": Duration(0)}
_ORDERED: Final = ("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes")
_NUMBERS: Final = frozenset({int, Uint, float})
_COMPARABLE: Final = frozenset({int, Uint, float, bool, str, bytes, Duration, Timestamp})


def _less(left: Any, right: Any) -> bool:
    kinds = {type(left), type(right)}
    if kinds <= _NUMBERS or (len(kinds) == 1 and type(left) in _COMPARABLE):
        return bool(left < right)
    raise no_overload("_<_", left, right)


def order(left: Any, right: Any) -> int:
    """-1, 0 or 1, for ``sort``."""
    if _less(left, right):
        return -1
    return 1 if _less(right, left) else 0


def sorted_by(items: list[Any], keys: list[Any]) -> list[object]:
    """Items in the order of their keys; stable."""
    if len({type(key) for key in keys}) > 1:
        raise CelError("list elements must have the same type")
    by_key = cmp_to_key(order)
    indices = sorted(range(len(items)), key=lambda index: by_key(keys[index]))
    return [items[index] for index in indices]


def _is_sorted(budget: Budget, items: list[Any]) -> bool:
    budget.take(1 + len(items))
    return not any(_less(b, a) for a, b in pairwise(items))


def _sum_of(kind: str) -> Callable[[Budget, list[Any]], object]:
    def call(budget: Budget, items: list[Any]) -> object:
        budget.take(1 + len(items))
        total = _SUMMABLE[kind]
        for item in items:
            total = _plus(total, item)
        return total

    return call


def _plus(left: Any, right: Any) -> Any:
    if type(left) is not type(right):
        raise no_overload("_+_", left, right)
    if isinstance(left, Duration):
        return Duration(as_int(left.nanoseconds + right.nanoseconds))
    if isinstance(left, Uint):
        return as_uint(int(left) + int(right))
    return left + right if isinstance(left, float) else as_int(left + right)


def _extreme(budget: Budget, items: list[Any], *, largest: bool) -> object:
    budget.take(1 + len(items))
    if not items:
        raise CelError(f"{'max' if largest else 'min'} called on empty list")
    best = items[0]
    for item in items[1:]:
        if _less(best, item) if largest else _less(item, best):
            best = item
    return best


def _index_of(budget: Budget, items: list[object], wanted: object) -> int:
    budget.take(1 + len(items))
    return next((index for index, item in enumerate(items) if equal(item, wanted)), -1)


def _last_index_of(budget: Budget, items: list[object], wanted: object) -> int:
    budget.take(1 + len(items))
    found = (index for index in range(len(items) - 1, -1, -1) if equal(items[index], wanted))
    return next(found, -1)


def _includes(budget: Budget, target: object, wanted: object) -> bool:
    if not isinstance(target, list):
        return equal(target, wanted)
    if len(target) > MAX_INCLUDES:
        raise CelError(f"'includes' function cannot be applied to lists longer than {MAX_INCLUDES} values")
    budget.take(1 + len(target))
    return any(equal(item, wanted) for item in target)


def _contains_all(budget: Budget, left: list[object], right: list[object]) -> bool:
    budget.take(1 + len(left) * len(right))
    return all(any(equal(a, b) for a in left) for b in right)


def _equivalent(budget: Budget, left: list[object], right: list[object]) -> bool:
    return _contains_all(budget, left, right) and _contains_all(budget, right, left)


def _intersects(budget: Budget, left: list[object], right: list[object]) -> bool:
    budget.take(1 + len(left) * len(right))
    return any(equal(a, b) for a in left for b in right)


def _slice(budget: Budget, items: list[object], start: int, end: int) -> list[object]:
    budget.take(1 + max(0, end - start))
    if start < 0 or end < 0:
        raise CelError(f"cannot slice({start}, {end}), negative indexes not supported")
    if start > end:
        raise CelError(f"cannot slice({start}, {end}), start index must be less than or equal to end index")
    if end > len(items):
        raise CelError(f"cannot slice({start}, {end}), list is length {len(items)}")
    return items[start:end]


def _flatten(budget: Budget, items: list[object], levels: int = 1) -> list[object]:
    if levels < 0:
        raise CelError("level must be non-negative")
    budget.take(1 + len(items))
    flat: list[object] = []
    for item in items:
        if isinstance(item, list) and levels > 0:
            flat += _flatten(budget, item, levels - 1)
        else:
            flat.append(item)
    return flat


def _distinct(budget: Budget, items: list[object]) -> list[object]:
    kept: list[object] = []
    for item in items:
        budget.take(1 + len(kept))
        if not any(equal(item, other) for other in kept):
            kept.append(item)
    return kept


def _reverse(budget: Budget, items: list[object]) -> list[object]:
    budget.take(1 + len(items))
    return items[::-1]


def _range(budget: Budget, count: int) -> list[object]:
    budget.take(1 + max(0, count))
    return list(range(count))


def _sort(budget: Budget, items: list[object]) -> list[object]:
    budget.take(1 + len(items) * max(1, len(items).bit_length()))
    return sorted_by(items, items)


def _typed() -> list[Overload]:
    entries: list[Overload] = []
    for kind in _ORDERED:
        entries += [
            overload(f"list({kind}):isSorted() -> bool", _is_sorted),
            overload(f"list({kind}):min() -> {kind}", lambda b, x: _extreme(b, x, largest=False)),
            overload(f"list({kind}):max() -> {kind}", lambda b, x: _extreme(b, x, largest=True)),
            overload(f"list({kind}):sort() -> list({kind})", _sort),
        ]
    entries += [overload(f"list({kind}):sum() -> {kind}", _sum_of(kind)) for kind in _SUMMABLE]
    return entries


def _edge(_budget: Budget, items: list[object], position: int) -> OptionalValue:
    return OptionalValue(is_present=True, value=items[position]) if items else NOTHING


def _unwrapped(budget: Budget, items: list[object]) -> list[object]:
    budget.take(1 + len(items))
    if not all(isinstance(item, OptionalValue) for item in items):
        raise CelError("no such overload: unwrap")
    return [item.value for item in items if isinstance(item, OptionalValue) and item.is_present]


OVERLOADS: Final = (
    *_typed(),
    overload("list(T):indexOf(T) -> int", _index_of),
    overload("list(T):lastIndexOf(T) -> int", _last_index_of),
    overload("dyn:includes(dyn) -> bool", _includes),
    overload("sets.contains(list(T), list(T)) -> bool", _contains_all),
    overload("sets.equivalent(list(T), list(T)) -> bool", _equivalent),
    overload("sets.intersects(list(T), list(T)) -> bool", _intersects),
    overload("list(T):slice(int, int) -> list(T)", _slice),
    overload("list(list(T)):flatten() -> list(T)", _flatten),
    overload("list(dyn):flatten(int) -> list(dyn)", _flatten),
    overload("list(T):distinct() -> list(T)", _distinct),
    overload("list(T):reverse() -> list(T)", _reverse),
    overload("lists.range(int) -> list(int)", _range),
    overload("list(T):first() -> optional(T)", lambda b, x: _edge(b, x, 0)),
    overload("list(T):last() -> optional(T)", lambda b, x: _edge(b, x, -1)),
    overload("list(optional(T)):unwrapOpt() -> list(T)", _unwrapped),
    overload("optional.unwrap(list(optional(T))) -> list(T)", _unwrapped),
)
