"""Instants (RFC 3339) and durations (Go's form) of the wire, as seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from kai_sched.model.texts import shown

_DURATION: Final = re.compile(r"([+-]?)((?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+|0)")
_PART: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_SECONDS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_MICROS: Final = 1_000_000
_LONGEST_SECONDS: Final = (2**63 - 1) / 1e9
_FIRST_SECOND: Final = datetime(1, 1, 1, tzinfo=UTC).timestamp()
_LAST_SECOND: Final = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
_QUOTED: Final = 80


def parse_time(text: str) -> float:
    """Seconds since the epoch.

    Raises:
        ValueError: the text is no RFC 3339 instant with an offset.
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None or "T" not in text:
        raise ValueError(f"{shown(text, _QUOTED)!r} is not an RFC 3339 time such as 2026-11-21T00:00:00Z")
    # An offset may lead out of the years that can be written.
    return min(max(instant.timestamp(), _FIRST_SECOND), _LAST_SECOND)


def format_time(seconds: float) -> str:
    """RFC 3339 in UTC, with a fraction only where there is one."""
    micros = round(seconds * _MICROS)
    instant = datetime.fromtimestamp(micros // _MICROS, UTC).replace(
        microsecond=micros % _MICROS, tzinfo=None
    )
    return instant.isoformat() + "Z"


def format_micro_time(seconds: float) -> str:
    """The form of fields of type MicroTime: always six digits."""
    micros = round(seconds * _MICROS)
    whole = datetime.fromtimestamp(micros // _MICROS, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{micros % _MICROS:06d}Z"


def parse_duration(text: str) -> float:
    """Seconds of "1h30m", "60s", "-1s", "0".

    Raises:
        ValueError: the text is no duration.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{shown(text, _QUOTED)!r} is not a duration such as 60s or 1h30m")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(match[2]))
    if seconds > _LONGEST_SECONDS:
        raise ValueError(f"{shown(text, _QUOTED)!r} is longer than a duration may be (292 years)")
    return -seconds if match[1] == "-" else seconds


def format_duration(seconds: float) -> str:
    """Go's form: "1h30m0s"."""
    sign = "-" if seconds < 0 else ""
    minutes, rest = divmod(abs(seconds), 60)
    hours, minutes = divmod(int(minutes), 60)
    last = f"{rest:g}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{last}"
    return f"{sign}{minutes}m{last}" if minutes else f"{sign}{last}"
