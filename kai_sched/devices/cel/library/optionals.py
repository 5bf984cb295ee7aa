"""Optional values: a value or nothing, and what to do without one."""

from __future__ import annotations

from typing import Final

from kai_sched.devices.cel.budget import Budget
from kai_sched.devices.cel.types import overload
from kai_sched.devices.cel.values import NOTHING, CelError, CelMap, OptionalValue


def _value(_budget: Budget, optional: OptionalValue) -> object:
    if not optional.is_present:
        raise CelError("optional.none() dereference")
    return optional.value


def _is_zero(value: object) -> bool:
    if isinstance(value, CelMap):
        return value.size() == 0
    return value is None or (isinstance(value, bool | int | float | str | bytes | list) and not value)


def _of_non_zero(_budget: Budget, value: object) -> OptionalValue:
    return NOTHING if _is_zero(value) else OptionalValue(is_present=True, value=value)


OVERLOADS: Final = (
    overload("optional.of(T) -> optional(T)", lambda _b, x: OptionalValue(is_present=True, value=x)),
    overload("optional.none() -> optional(T)", lambda _b: NOTHING),
    overload("optional.ofNonZeroValue(T) -> optional(T)", _of_non_zero),
    overload("optional(T):hasValue() -> bool", lambda _b, x: x.is_present),
    overload("optional(T):value() -> T", _value),
    overload("optional(T):or(optional(T)) -> optional(T)", lambda _b, x, y: x if x.is_present else y),
    overload("optional(T):orValue(T) -> T", lambda _b, x, y: x.value if x.is_present else y),
)
