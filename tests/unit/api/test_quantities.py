"""Quantities in the units of the model."""

from __future__ import annotations

import pytest

from kai_sched.api.quantities import amount_in, text_of


@pytest.mark.parametrize(
    ("resource", "text", "amount"),
    [
        ("cpu", "1", 1000),
        ("cpu", "100m", 100),
        ("cpu", "0.5", 500),
        ("cpu", "1e3", 1_000_000),
        ("cpu", "100500u", 101),
        ("memory", "1Gi", 1 << 30),
        ("memory", "1G", 10**9),
        ("memory", "1.5Gi", 3 << 29),
        ("memory", "100m", 1),
        ("ephemeral-storage", "10Mi", 10 << 20),
        ("hugepages-2Mi", "4Mi", 4 << 20),
        ("nvidia.com/gpu", "8", 8),
        ("pods", "110", 110),
    ],
)
def test_amounts_are_in_the_unit_of_their_resource_and_rounded_up(
    resource: str, text: str, amount: int
) -> None:
    assert amount_in(resource, text) == amount


@pytest.mark.parametrize("text", ["", "abc", "1.2.3", "1 Gi", "1KiB", "--1", "0x10", "1e999"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        amount_in("memory", text)


@pytest.mark.parametrize(
    ("resource", "amount", "text"),
    [
        ("cpu", 1500, "1500m"),
        ("cpu", 2000, "2"),
        ("memory", 3 << 30, "3Gi"),
        ("memory", 1000, "1000"),
        ("nvidia.com/gpu", 1024, "1024"),
        ("memory", 0, "0"),
    ],
)
def test_amounts_are_written_as_people_write_them(resource: str, amount: int, text: str) -> None:
    assert text_of(resource, amount) == text
