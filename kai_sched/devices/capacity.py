"""Consumable capacity (KEP-5075): what a request takes of each capacity of a device, and whether that is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from kai_sched.model.devices import DeviceCapacity, RequestPolicy
from kai_sched.model.quantity import rounded_up

_INT64_MAX: Final = 2**63 - 1
_MILLI: Final = 1000

Number = int | Fraction
"""Whole amounts as int, because a search adds and compares them all the time."""
Amounts = dict[str, Number]


def narrowed(value: Fraction) -> Number:
    """The value as int where it is whole."""
    return value.numerator if value.denominator == 1 else value


class NotRepresentable(Exception):
    """The request cannot be rounded within the reference's arithmetic, which is an error for the whole claim."""


def consumed_amounts(
    requested: tuple[tuple[str, Fraction], ...],
    capacity: tuple[tuple[str, DeviceCapacity], ...],
    *,
    is_fractional: bool,
) -> Amounts | None:
    """What a request takes of every capacity of a device; None: the device is not eligible.

    Raises:
        NotRepresentable: for the request, whatever the device has free.
    """
    wanted = dict(requested)
    if not wanted.keys() <= {name for name, _ in capacity}:
        return None
    exact = {
        name: _resolved(name, wanted.get(name), entry, is_fractional=is_fractional)
        for name, entry in capacity
    }
    for name, entry in capacity:
        if entry.policy is not None and _violates(exact[name], entry.policy, is_fractional=is_fractional):
            return None
    return {name: narrowed(value) for name, value in exact.items()}


def fits_beside(
    amounts: Mapping[str, Number],
    capacity: tuple[tuple[str, Number], ...],
    used: Mapping[str, Number],
    taken: Mapping[str, Number],
) -> bool:
    """Whether new amounts fit beside what claims and this attempt hold already."""
    return all(amounts[name] + used.get(name, 0) + taken.get(name, 0) <= value for name, value in capacity)


def _resolved(name: str, wanted: Fraction | None, entry: DeviceCapacity, *, is_fractional: bool) -> Fraction:
    policy = entry.policy
    if wanted is None:
        amount = policy.default if policy is not None and policy.default is not None else entry.value
    elif policy is None:
        amount = wanted
    elif policy.has_range and policy.range_min is not None:
        amount = _rounded_to_range(name, wanted, policy, is_fractional=is_fractional)
    else:
        # The smallest allowed value that suffices; none: the request itself, which then violates.
        amount = next((value for value in policy.valid_values if wanted <= value), wanted)
    if amount < 0:
        raise NotRepresentable(f'capacity "{name}": capacity value is negative')
    return amount


def _rounded_to_range(name: str, wanted: Fraction, policy: RequestPolicy, *, is_fractional: bool) -> Fraction:
    low, step = policy.range_min, policy.range_step
    assert low is not None
    if wanted < low:
        return low
    if step is None:
        return wanted
    unit = _MILLI if is_fractional and _fits_milli(policy) else 1
    scaled = wanted * unit
    if scaled > _INT64_MAX or (unit == _MILLI and scaled.denominator != 1):
        raise NotRepresentable(
            f'capacity "{name}": capacity request cannot be represented in the device\'s range arithmetic'
        )
    start, width = rounded_up(low * unit), rounded_up(step * unit)
    if width <= 0:
        return wanted
    result = start + width * -(-(rounded_up(scaled) - start) // width)
    if result > _INT64_MAX:
        raise NotRepresentable(
            f'capacity "{name}": capacity request cannot be represented in the device\'s range arithmetic'
        )
    return Fraction(result, unit)


def _fits_milli(policy: RequestPolicy) -> bool:
    """Whether the range's numbers are whole thousandths: then steps are counted in thousandths."""
    for value in (policy.range_min, policy.range_max, policy.range_step):
        if value is not None and ((value * _MILLI).denominator != 1 or abs(value * _MILLI) > _INT64_MAX):
            return False
    return policy.range_step is None or policy.range_step * _MILLI >= 1


def _violates(amount: Fraction, policy: RequestPolicy, *, is_fractional: bool) -> bool:
    if policy.default is not None and amount == policy.default:
        return False
    if policy.has_range:
        return _outside_range(amount, policy, is_fractional=is_fractional)
    return bool(policy.valid_values) and amount not in policy.valid_values


def _outside_range(amount: Fraction, policy: RequestPolicy, *, is_fractional: bool) -> bool:
    if policy.range_max is not None and amount > policy.range_max:
        return True
    if policy.range_step is None:
        return False
    unit = _MILLI if is_fractional and _fits_milli(policy) else 1
    if unit == _MILLI and (amount * unit).denominator != 1:
        return True
    width = rounded_up(policy.range_step * unit)
    start = rounded_up((policy.range_min or Fraction(0)) * unit)
    return width > 0 and (rounded_up(amount * unit) - start) % width != 0
