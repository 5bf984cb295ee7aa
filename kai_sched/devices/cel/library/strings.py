"""The strings extension: splitting, joining, searching, replacing, formatting."""

from __future__ import annotations

import re
from typing import Any, Final

from kai_sched.devices.cel.budget import Budget
from kai_sched.devices.cel.library.standard import double_text
from kai_sched.devices.cel.regex import match
from kai_sched.devices.cel.types import overload
from kai_sched.devices.cel.values import CelError, CelMap, Duration, Uint, type_name
from kai_sched.model.integers import int_of_digits

_UPPER: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_LOWER: Final = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}
_WHITE_SPACE: Final = " \t\n\v\f\r\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
_QUOTED: Final = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}
_VERB: Final = re.compile(r"%(?:%|(?:\.(\d+))?([sdfebxXo]))")
_MAX_PRECISION: Final = 100


def _char_at(_budget: Budget, text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise CelError(f"index out of range: {index}")
    return text[index : index + 1]


def _index_of(budget: Budget, text: str, part: str, start: int = 0) -> int:
    budget.take_text(text, part)
    if start < 0:
        raise CelError(f"index out of range: {start}")
    return text.find(part, start) if part else min(start, len(text))


def _last_index_of(budget: Budget, text: str, part: str, end: int | None = None) -> int:
    budget.take_text(text, part)
    if end is None:
        return text.rfind(part)
    if end < 0:
        raise CelError(f"index out of range: {end}")
    if not part:
        return min(end, len(text))
    return -1 if end >= len(text) else text.rfind(part, 0, end + len(part))


def _join(budget: Budget, parts: list[Any], separator: str = "") -> str:
    if not all(isinstance(part, str) for part in parts):
        raise CelError("no such overload: join")
    budget.take_text(*parts)
    budget.take(len(parts) * (1 + len(separator) // 10))
    return separator.join(parts)


def _replace(budget: Budget, text: str, old: str, new: str, count: int = -1) -> str:
    budget.take_text(text, old)
    found = text.count(old) if count < 0 else min(text.count(old), count)
    budget.take(found * (1 + len(new) // 10))
    return text.replace(old, new, count)


def _split(budget: Budget, text: str, separator: str, limit: int = -1) -> list[object]:
    budget.take_text(text, separator)
    if limit == 0:
        return []
    if separator:
        return list(text.split(separator, limit - 1 if limit > 0 else -1))
    if 0 < limit < len(text):
        return [*text[: limit - 1], text[limit - 1 :]]
    return list(text)


def _substring(budget: Budget, text: str, start: int, end: int | None = None) -> str:
    budget.take_text(text)
    stop = len(text) if end is None else end
    if not 0 <= start <= len(text) or not 0 <= stop <= len(text):
        raise CelError(f"index out of range: {start if not 0 <= start <= len(text) else stop}")
    if start > stop:
        raise CelError(f"invalid substring range. start: {start}, end: {stop}")
    return text[start:stop]


def _mapped(table: dict[int, int], budget: Budget, text: str) -> str:
    budget.take_text(text)
    return text.translate(table)


def _quote(budget: Budget, text: str) -> str:
    budget.take_text(text)
    return '"' + "".join(_QUOTED.get(char, char) for char in text) + '"'


def _format(budget: Budget, pattern: str, values: list[object]) -> str:
    budget.take_text(pattern)
    parts: list[str] = []
    used = position = 0
    for verb in _VERB.finditer(pattern):
        parts.append(_plain(pattern[position : verb.start()]))
        position = verb.end()
        if verb.group() == "%%":
            parts.append("%")
            continue
        if used >= len(values):
            raise CelError(f"index {used} out of range")
        parts.append(_formatted(verb.group(2), verb.group(1), values[used]))
        budget.take_text(parts[-1])
        used += 1
    parts.append(_plain(pattern[position:]))
    return "".join(parts)


def _plain(text: str) -> str:
    if "%" in text:
        raise CelError("could not parse formatting clause")
    return text


def _formatted(verb: str, precision: str | None, value: Any) -> str:
    if verb == "s":
        return _as_text(value)
    if verb == "d" and type(value) in {int, Uint}:
        return str(int(value))
    if verb in {"f", "e"} and type(value) in {int, Uint, float}:
        digits = 6 if precision is None else int_of_digits(precision)
        if digits > _MAX_PRECISION:
            raise CelError("precision is too large")
        return f"{float(value):.{digits}{verb}}"
    if verb == "b" and type(value) in {bool, int, Uint}:
        return f"{int(value):b}"
    if verb == "o" and type(value) in {int, Uint}:
        return f"{int(value):o}"
    if verb in {"x", "X"}:
        return _hexadecimal(verb, value)
    raise CelError(f"error during formatting: %{verb} clause cannot be used on {type_name(value)}")


def _hexadecimal(verb: str, value: Any) -> str:
    if type(value) in {int, Uint}:
        text = f"{int(value):x}"
    elif isinstance(value, str | bytes):
        text = (value.encode() if isinstance(value, str) else value).hex()
    else:
        raise CelError(f"error during formatting: %{verb} clause cannot be used on {type_name(value)}")
    return text.upper() if verb == "X" else text


def _as_text(value: object) -> str:  # noqa: PLR0911 — one case a type
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case float():
            return double_text(value)
        case bytes():
            return value.decode(errors="replace")
        case list():
            return "[" + ", ".join(_as_text(item) for item in value) + "]"
        case CelMap():
            pairs = sorted((_as_text(key), _as_text(value.find(key)[1])) for key in value.keys())  # noqa: SIM118 — no dict
            return "{" + ", ".join(f"{key}: {item}" for key, item in pairs) + "}"
        case Duration():
            return f"{value.nanoseconds / 10**9:.9f}".rstrip("0").rstrip(".") + "s"
        case int():
            return str(int(value))
        case _:
            pass
    raise CelError(f"error during formatting: string clause cannot be used on {type_name(value)}")


OVERLOADS: Final = (
    overload("string:charAt(int) -> string", _char_at),
    overload("string:indexOf(string) -> int", _index_of),
    overload("string:indexOf(string, int) -> int", _index_of),
    overload("string:lastIndexOf(string) -> int", _last_index_of),
    overload("string:lastIndexOf(string, int) -> int", _last_index_of),
    overload("list(string):join() -> string", _join),
    overload("list(string):join(string) -> string", _join),
    overload("string:lowerAscii() -> string", lambda b, x: _mapped(_UPPER, b, x)),
    overload("string:upperAscii() -> string", lambda b, x: _mapped(_LOWER, b, x)),
    overload("string:replace(string, string) -> string", _replace),
    overload("string:replace(string, string, int) -> string", _replace),
    overload("string:split(string) -> list(string)", _split),
    overload("string:split(string, int) -> list(string)", _split),
    overload("string:substring(int) -> string", _substring),
    overload("string:substring(int, int) -> string", _substring),
    overload("string:trim() -> string", lambda _b, x: x.strip(_WHITE_SPACE)),
    overload("strings.quote(string) -> string", _quote),
    overload("string:format(list(dyn)) -> string", _format),
    overload("string:find(string) -> string", match.find),
    overload("string:findAll(string) -> list(string)", match.find_all),
    overload("string:findAll(string, int) -> list(string)", match.find_all),
)
