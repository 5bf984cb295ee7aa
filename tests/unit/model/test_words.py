"""Numbers as people read them."""

from __future__ import annotations

import pytest

from kai_sched.model.resources import amount_text
from kai_sched.model.words import counted


@pytest.mark.parametrize(("count", "text"), [(0, "0 pods"), (1, "1 pod"), (2, "2 pods")])
def test_one_thing_has_no_s(count, text):
    assert counted(count, "pod") == text


@pytest.mark.parametrize(
    ("name", "amount", "text"),
    [
        ("cpu", 4500, "4500m"),
        ("cpu", 16000, "16"),
        ("memory", 6 << 30, "6Gi"),
        ("hugepages-2Mi", 4 << 20, "4Mi"),
        ("nvidia.com/gpu", 1024, "1024"),
    ],
)
def test_amounts_are_written_as_in_a_pod(name, amount, text):
    assert amount_text(name, amount) == text
