"""Durations and timestamps. Devices publish neither, so they meet literals only; time zones are fixed offsets."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from kai_sched.devices.cel.budget import Budget
from kai_sched.devices.cel.types import Overload, overload
from kai_sched.devices.cel.values import INT_MAX, CelError, Duration, Timestamp
from kai_sched.model.integers import int_of_digits

_SECOND: Final = 10**9
_UNITS: Final = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "h": 3600 * _SECOND,
}
_PART: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_INSTANT: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_OFFSET: Final = re.compile(r"([+-]?)(\d\d):(\d\d)", re.ASCII)
_DAYS_BEFORE_1970: Final = 719468
_DAYS_AN_ERA: Final = 146097


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970 of a civil date, by eras of 400 years that start in March."""
    shifted = year - (month <= 2)
    era, year_of_era = divmod(shifted, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return (
        era * _DAYS_AN_ERA
        + year_of_era * 365
        + year_of_era // 4
        - year_of_era // 100
        + day_of_year
        - _DAYS_BEFORE_1970
    )


def _civil(days: int) -> tuple[int, int, int]:
    era, day_of_era = divmod(days + _DAYS_BEFORE_1970, _DAYS_AN_ERA)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    return era * 400 + year_of_era + (month <= 2), month, day


_FRACTION_DIGITS: Final = 18
"""More are less than a nanosecond, even of hours."""


def _duration(_budget: Budget, text: str) -> Duration:
    body = text[1:] if text[:1] in {"+", "-"} else text
    nanoseconds = 0
    position = 0
    for part in _PART.finditer(body):
        if part.start() != position:
            break
        whole, _, fraction = part[1].partition(".")
        unit = _UNITS[part[2]]
        nanoseconds += int_of_digits(whole) * unit
        fraction = fraction[:_FRACTION_DIGITS]
        nanoseconds += int_of_digits(fraction) * unit // 10 ** len(fraction)
        position = part.end()
    if body == "0":
        return Duration(0)
    if not body or position != len(body) or nanoseconds > INT_MAX:
        raise CelError(f"invalid duration {text!r}")
    return Duration(-nanoseconds if text.startswith("-") else nanoseconds)


def _timestamp(_budget: Budget, text: str) -> Timestamp:
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise CelError(f"invalid timestamp {text!r}")
    year, month, day, hour, minute, second = (int(match[index]) for index in range(1, 7))
    if not (1 <= month <= 12 and hour < 24 and minute < 60 and second < 60) or year == 0:
        raise CelError(f"invalid timestamp {text!r}")
    days = _days(year, month, day)
    if _civil(days) != (year, month, day):
        raise CelError(f"invalid timestamp {text!r}")
    seconds = days * 86400 + hour * 3600 + minute * 60 + second
    if match[8]:
        offset = int(match[9]) * 3600 + int(match[10]) * 60
        seconds -= offset if match[8] == "+" else -offset
    return Timestamp(seconds * _SECOND + int((match[7] or "").ljust(9, "0")))


def _shifted(instant: Timestamp, zone: str) -> Timestamp:
    if zone in {"UTC", "Z", ""}:
        return instant
    match = _OFFSET.fullmatch(zone)
    if match is None:
        raise CelError(f"time zone {zone!r} is not supported in device selectors: use UTC or an offset")
    offset = (int(match[2]) * 3600 + int(match[3]) * 60) * _SECOND
    return Timestamp(instant.nanoseconds + (-offset if match[1] == "-" else offset))


def _day_of_year(seconds: int) -> int:
    year, _, _ = _civil(seconds // 86400)
    return seconds // 86400 - _days(year, 1, 1)


_PARTS_OF_INSTANT: Final[dict[str, Callable[[int], int]]] = {
    "getFullYear": lambda s: _civil(s // 86400)[0],
    "getMonth": lambda s: _civil(s // 86400)[1] - 1,
    "getDate": lambda s: _civil(s // 86400)[2],
    "getDayOfMonth": lambda s: _civil(s // 86400)[2] - 1,
    "getDayOfWeek": lambda s: (s // 86400 + 4) % 7,
    "getDayOfYear": _day_of_year,
    "getHours": lambda s: s % 86400 // 3600,
    "getMinutes": lambda s: s % 3600 // 60,
    "getSeconds": lambda s: s % 60,
}
_UNITS_OF_DURATION: Final = {"getHours": 3600 * _SECOND, "getMinutes": 60 * _SECOND, "getSeconds": _SECOND}


def _getters() -> list[Overload]:
    entries: list[Overload] = []
    for name, part in _PARTS_OF_INSTANT.items():
        entries += [
            overload(
                f"timestamp:{name}() -> int",
                lambda _b, x, part=part: part(x.nanoseconds // _SECOND),
            ),
            overload(
                f"timestamp:{name}(string) -> int",
                lambda _b, x, z, part=part: part(_shifted(x, z).nanoseconds // _SECOND),
            ),
        ]
    for name, unit in _UNITS_OF_DURATION.items():
        entries.append(
            overload(f"duration:{name}() -> int", lambda _b, x, unit=unit: int(x.nanoseconds / unit))
        )
    return entries


OVERLOADS: Final = (
    *_getters(),
    overload("timestamp:getMilliseconds() -> int", lambda _b, x: x.nanoseconds % _SECOND // 10**6),
    overload("duration:getMilliseconds() -> int", lambda _b, x: int(x.nanoseconds / 10**6)),
    overload("duration(string) -> duration", _duration),
    overload("duration(duration) -> duration", lambda _b, x: x),
    overload("timestamp(string) -> timestamp", _timestamp),
    overload("timestamp(timestamp) -> timestamp", lambda _b, x: x),
    overload("timestamp(int) -> timestamp", lambda _b, x: Timestamp(x * _SECOND)),
    overload(
        "string(duration) -> string",
        lambda _b, x: f"{x.nanoseconds / _SECOND:.9f}".rstrip("0").rstrip(".") + "s",
    ),
)
