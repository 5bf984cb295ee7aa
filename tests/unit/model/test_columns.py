"""Columns bring back equal records, whatever is in their fields."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from enum import IntEnum

from hypothesis import given
from hypothesis import strategies as st

from kai_sched.model.columns import pack, unpack
from kai_sched.model.pods import PodTable
from tests.builders import a_pod, a_spec


class Colour(IntEnum):
    RED = 1


@dataclass(frozen=True, slots=True)
class Record:
    name: str
    size: float
    count: object
    tags: tuple[str, ...] = ()
    parent: str | None = None


texts = st.text(max_size=3)
records = st.builds(
    Record,
    name=texts,
    size=st.floats(allow_nan=False),
    count=st.sampled_from([0, 1, True, False, 1.0, Colour.RED, None, "1"]),
    tags=st.lists(texts, max_size=2).map(tuple),
    parent=st.none() | texts,
)


@given(st.lists(records, max_size=20))
def test_records_survive_the_journey_with_their_types(given_records: list[Record]) -> None:
    arrived = unpack(*pickle.loads(pickle.dumps(pack(Record, given_records), protocol=5)))

    assert arrived == tuple(given_records)
    assert [type(record.count) for record in arrived] == [type(record.count) for record in given_records]


def test_a_text_with_the_separator_inside_survives() -> None:
    odd = [Record(name=f"a\x1f{index}", size=0.0, count=0) for index in range(3)]

    assert unpack(*pack(Record, odd)) == tuple(odd)


def test_a_pod_table_survives_and_stays_small() -> None:
    spec = a_spec()
    table = PodTable.sorted_by_key(
        a_pod(f"p{index:04d}", spec, node=f"n{index % 50}") for index in range(2000)
    )

    data = pickle.dumps(table, protocol=5)

    assert pickle.loads(data) == table
    assert len(data) < 2000 * 80
