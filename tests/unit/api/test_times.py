"""Instants and durations of the wire."""

from __future__ import annotations

import pytest

from kai_sched.api.times import (
    format_duration,
    format_micro_time,
    format_time,
    parse_duration,
    parse_time,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("1970-01-01T01:00:00+01:00", 0.0),
        ("1970-01-01T00:00:01.5Z", 1.5),
        ("2026-11-21T00:00:00Z", 1_795_219_200.0),
    ],
)
def test_instants_are_seconds_since_the_epoch(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "2026-11-21", "2026-11-21T00:00:00", "now", "1795219200"])
def test_an_instant_without_time_or_offset_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="RFC 3339"):
        parse_time(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60s", 60.0),
        ("1h30m", 5400.0),
        ("-1s", -1.0),
        ("0", 0.0),
        ("1.5h", 5400.0),
        ("250ms", 0.25),
        ("+2m", 120.0),
    ],
)
def test_durations_are_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "60", "1d", "s", "1h-30m", "1 h", "5"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


def test_times_are_written_in_utc_with_a_fraction_only_where_there_is_one() -> None:
    assert format_time(1_795_219_200.0) == "2026-11-21T00:00:00Z"
    assert format_time(0.5) == "1970-01-01T00:00:00.500000Z"
    assert format_micro_time(0.0) == "1970-01-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("seconds", "text"), [(5400.0, "1h30m0s"), (60.0, "1m0s"), (-1.0, "-1s"), (0.25, "0.25s")]
)
def test_durations_are_written_as_go_does(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
