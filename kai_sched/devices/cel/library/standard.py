"""The functions every CEL environment has: sizes, text tests, conversions, ``type``."""

from __future__ import annotations

import math
from typing import Any, Final

from kai_sched.devices.cel.budget import Budget
from kai_sched.devices.cel.regex import match
from kai_sched.devices.cel.types import overload
from kai_sched.devices.cel.values import (
    INT_MAX,
    INT_MIN,
    UINT_MAX,
    CelError,
    CelType,
    Uint,
    as_int,
    as_uint,
    type_name,
)

_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})


def _size(_budget: Budget, value: Any) -> int:
    return len(value)


def _contains(budget: Budget, text: str, part: str) -> bool:
    budget.take_text(text, part)
    return part in text


def _double_to_int(_budget: Budget, value: float) -> int:
    if not math.isfinite(value) or value <= INT_MIN or value >= INT_MAX:
        raise CelError("integer overflow")
    return int(value)


def _double_to_uint(_budget: Budget, value: float) -> Uint:
    if not math.isfinite(value) or value < 0 or value >= UINT_MAX:
        raise CelError("unsigned integer overflow")
    return Uint(int(value))


def _text_to_int(text: str) -> int:
    digits = text[1:] if text[:1] in {"+", "-"} else text
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 400:
        raise CelError(f"type conversion error from 'string' to 'int': {text!r}")
    return int(text)


def _text_to_double(_budget: Budget, text: str) -> float:
    try:
        if "_" in text or text != text.strip():
            raise ValueError  # noqa: TRY301 — Python reads what Go does not
        return float(text)
    except ValueError:
        raise CelError("type conversion error from 'string' to 'double'") from None


def _text_to_bool(_budget: Budget, text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise CelError("type conversion error from 'string' to 'bool'")


def double_text(value: float) -> str:
    """A double as Go's %g with the shortest digits that read back."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    mantissa, _, exponent = text.partition("e")
    if not exponent:
        return mantissa.removesuffix(".0")
    return f"{mantissa.removesuffix('.0')}e{int(exponent):+03d}"


def _bytes_to_text(budget: Budget, value: bytes) -> str:
    budget.take_text(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise CelError("invalid UTF-8 in bytes, cannot convert to string") from None


def _text_to_bytes(budget: Budget, value: str) -> bytes:
    budget.take_text(value)
    return value.encode()


OVERLOADS: Final = (
    overload("size(string) -> int", _size),
    overload("size(bytes) -> int", _size),
    overload("size(list(T)) -> int", _size),
    overload("size(map(K, V)) -> int", lambda _b, x: x.size()),
    overload("string:size() -> int", _size),
    overload("bytes:size() -> int", _size),
    overload("list(T):size() -> int", _size),
    overload("map(K, V):size() -> int", lambda _b, x: x.size()),
    overload("string:contains(string) -> bool", _contains),
    overload("string:startsWith(string) -> bool", lambda _b, x, y: x.startswith(y)),
    overload("string:endsWith(string) -> bool", lambda _b, x, y: x.endswith(y)),
    overload("string:matches(string) -> bool", match.matches),
    overload("matches(string, string) -> bool", match.matches),
    overload("int(int) -> int", lambda _b, x: x),
    overload("int(uint) -> int", lambda _b, x: as_int(int(x))),
    overload("int(double) -> int", _double_to_int),
    overload("int(string) -> int", lambda _b, x: as_int(_text_to_int(x))),
    overload("int(timestamp) -> int", lambda _b, x: x.nanoseconds // 10**9),
    overload("int(duration) -> int", lambda _b, x: x.nanoseconds),
    overload("uint(uint) -> uint", lambda _b, x: x),
    overload("uint(int) -> uint", lambda _b, x: as_uint(x)),
    overload("uint(double) -> uint", _double_to_uint),
    overload("uint(string) -> uint", lambda _b, x: as_uint(_text_to_int(x))),
    overload("double(double) -> double", lambda _b, x: x),
    overload("double(int) -> double", lambda _b, x: float(x)),
    overload("double(uint) -> double", lambda _b, x: float(x)),
    overload("double(string) -> double", _text_to_double),
    overload("bool(bool) -> bool", lambda _b, x: x),
    overload("bool(string) -> bool", _text_to_bool),
    overload("string(string) -> string", lambda _b, x: x),
    overload("string(bool) -> string", lambda _b, x: "true" if x else "false"),
    overload("string(int) -> string", lambda _b, x: str(x)),
    overload("string(uint) -> string", lambda _b, x: str(int(x))),
    overload("string(double) -> string", lambda _b, x: double_text(x)),
    overload("string(bytes) -> string", _bytes_to_text),
    overload("bytes(bytes) -> bytes", lambda _b, x: x),
    overload("bytes(string) -> bytes", _text_to_bytes),
    overload("dyn(T) -> dyn", lambda _b, x: x),
    overload("type(T) -> type", lambda _b, x: CelType(type_name(x))),
)
