"""Wire values survive the way in and out."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kai_sched.api.quantities import MOST, amount_in, text_of
from kai_sched.api.times import format_duration, format_micro_time, format_time, parse_duration, parse_time
from kai_sched.model.quantity import format_quantity, parse_quantity

AMOUNTS = st.integers(min_value=0, max_value=1 << 50)
RESOURCES = st.sampled_from(["cpu", "memory", "ephemeral-storage", "hugepages-2Mi", "nvidia.com/gpu", "pods"])
EXACT = st.builds(
    Fraction, st.integers(-(10**18), 10**18), st.sampled_from([1, 10, 10**3, 10**6, 10**9, 1 << 9])
)


@given(RESOURCES, AMOUNTS)
def test_an_amount_is_the_same_after_writing_and_reading_it(resource: str, amount: int) -> None:
    assert amount_in(resource, text_of(resource, amount)) == amount


@given(EXACT)
def test_an_exact_quantity_is_the_same_after_writing_and_reading_it(value: Fraction) -> None:
    assert parse_quantity(format_quantity(value)) == value
    assert parse_quantity(format_quantity(value, as_decimal=True)) == value


@given(st.integers(0, 5000), st.sampled_from(["", "k", "M", "G", "Ki", "Mi", "Gi", "m", "u"]))
def test_amounts_are_never_below_the_exact_value_and_less_than_one_unit_above_or_refused_whole(
    number: int, suffix: str
) -> None:
    text = f"{number}{suffix}"
    for resource, exact in (("memory", parse_quantity(text)), ("cpu", parse_quantity(text) * 1000)):
        if exact > MOST:
            with pytest.raises(ValueError, match="more than any machine has"):
                amount_in(resource, text)
        else:
            assert 0 <= amount_in(resource, text) - exact < 1


@given(st.integers(0, 4_000_000_000))
def test_an_instant_is_the_same_after_writing_and_reading_it(seconds: int) -> None:
    assert parse_time(format_time(float(seconds))) == seconds
    assert parse_time(format_micro_time(float(seconds))) == seconds


@given(st.integers(-(10**6), 10**6))
def test_a_duration_is_the_same_after_writing_and_reading_it(seconds: int) -> None:
    assert parse_duration(format_duration(float(seconds))) == seconds
