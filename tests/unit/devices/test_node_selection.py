"""Which nodes a device may be used from, where labels are compared as numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kai_sched.devices.allocator import DeviceRefusal
from tests.unit.devices.dra import NODE, a_claim, a_device, a_slice, ask


def is_reached(rank: str, operator: str, bound: str) -> bool:
    """Whether a node of that rank may use a fabric port of nodes whose rank compares so."""
    expression = {"key": "rank", "operator": operator, "values": [bound]}
    terms = [{"matchExpressions": [expression]}]
    fabric = a_slice(a_device("port"), pool="fabric", nodeSelector={"nodeSelectorTerms": terms})
    node = replace(NODE, labels=(("rank", rank),))
    return not isinstance(ask([fabric], a_claim(), node=node), DeviceRefusal)


@pytest.mark.parametrize(
    ("rank", "operator", "bound", "is_so"),
    [
        ("7", "Gt", "6", True),
        ("7", "Gt", "7", False),
        ("-7", "Lt", "-6", True),
        ("10", "Gt", "9", True),
        ("9223372036854775807", "Gt", "0", True),
    ],
)
def test_a_rank_is_compared_as_a_number(rank, operator, bound, is_so):
    assert is_reached(rank, operator, bound) is is_so


@pytest.mark.parametrize("rank", ["1_0", "ten", "", "9223372036854775808", "٣", "9" * 5000])
def test_what_go_would_not_read_as_a_number_of_64_bits_is_neither_more_nor_less(rank):
    assert not is_reached(rank, "Gt", "1")
    assert not is_reached(rank, "Lt", "99")
