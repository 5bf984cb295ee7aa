"""Kubernetes quantities as exact fractions: "1500m", "64Gi", "1e3".

Source: apimachinery resource.Quantity. Never a float: 100m ten times is exactly 1.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Final

from kai_sched.model.integers import parse_int64

_BINARY: Final = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_QUANTITY: Final = re.compile(
    r"([+-]?)(\d+\.?\d*|\.\d+)(Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?\d+|[numkMGTPE]|)", re.ASCII
)
_POWERS_OF_TWO: Final = tuple((suffix, 1024**power) for suffix, power in _BINARY.items())
_THOUSANDS: Final = tuple((suffix, 10**power) for suffix, power in _DECIMAL.items() if power > 0)
_NANO: Final = 10**9
_MAX_EXPONENT: Final = 100
"""Beyond any device; keeps a hostile "1e999999999" from filling memory."""
_MAX_DIGITS: Final = 1000


@lru_cache(maxsize=16384)
def parse_quantity(text: str) -> Fraction:
    """The exact value; finer than a billionth is rounded away from zero, as the API server does.

    Raises:
        ValueError: the text is no quantity.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a quantity")
    sign, digits, suffix = match.groups()
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"{text[:_MAX_DIGITS]}... is not a quantity: too many digits")
    value = Fraction(digits if not digits.endswith(".") else digits[:-1])
    if suffix in _BINARY:
        value *= 1024 ** _BINARY[suffix]
    elif suffix in _DECIMAL:
        value *= Fraction(10) ** _DECIMAL[suffix]
    else:
        exponent = parse_int64(suffix[1:])
        if exponent is None or abs(exponent) > _MAX_EXPONENT:
            raise ValueError(f"{text!r} is not a quantity: exponent out of range")
        value *= Fraction(10) ** exponent
    scaled = value * _NANO
    if scaled.denominator != 1:
        value = Fraction(-(-scaled.numerator // scaled.denominator), _NANO)
    return -value if sign == "-" else value


def is_decimal(text: str) -> bool:
    """Whether a quantity is written in thousands, not in powers of 1024."""
    return not text.endswith("i")


def format_quantity(value: Fraction, *, as_decimal: bool = False) -> str:
    """A text of exactly that value: the largest suffix that divides it, binary or decimal; else plain, milli ..."""
    if value.denominator == 1:
        return _format_whole(value.numerator, as_decimal=as_decimal)
    for suffix, exponent in (("m", 3), ("u", 6), ("n", 9)):
        scaled = value * 10**exponent
        if scaled.denominator == 1:
            return f"{scaled.numerator}{suffix}"
    scaled = value * _NANO
    return f"{-(-scaled.numerator // scaled.denominator)}n"


def _format_whole(number: int, *, as_decimal: bool) -> str:
    best = str(number)
    for suffix, unit in _THOUSANDS if as_decimal else _POWERS_OF_TWO:
        if number and number % unit == 0:
            best = f"{number // unit}{suffix}"
    return best


def rounded_up(value: Fraction) -> int:
    """The smallest integer not below the value: what the reference calls ``Value()``."""
    return -(-value.numerator // value.denominator)
