"""Integers in texts of others are read as Go reads them, however many digits they have."""

from __future__ import annotations

import pytest

from kai_sched.model.integers import TOO_LARGE, int_of_digits, parse_int64

ENDLESS = "9" * 5000


@pytest.mark.parametrize(
    ("text", "number"),
    [("7", 7), ("-7", -7), ("+7", 7), ("007", 7), ("7_0", None), (" 7", None), ("7\n", None), ("", None)],
)
def test_integers_are_read_as_go_reads_them(text, number):
    assert parse_int64(text) == number


def test_integers_beyond_64_bits_are_none():
    assert parse_int64("9223372036854775807") == 9223372036854775807
    assert parse_int64("9223372036854775808") is None
    assert parse_int64("-9223372036854775808") == -9223372036854775808


@pytest.mark.parametrize("text", [ENDLESS, f"-{ENDLESS}", "x", "\u0663", "\u00b2"])
def test_what_is_no_integer_of_64_bits_is_none(text):
    assert parse_int64(text) is None


def test_leading_zeros_do_not_count():
    assert parse_int64("0" * 5000 + "42") == 42
    assert int_of_digits("0" * 5000) == 0


def test_too_many_digits_are_more_than_anything():
    assert int_of_digits(ENDLESS) == TOO_LARGE > 2**64
    assert int_of_digits("18446744073709551615") == 2**64 - 1
