"""The book of a shared claim, as its annotation says it."""

from __future__ import annotations

import pytest

from kai_sched.api.dra import translate_claim
from kai_sched.api.keys import SHARE_BOOK
from kai_sched.api.share_book import Booking, book_text, read_book


def test_a_book_is_read_as_it_was_written() -> None:
    book = {"b": Booking(250, 1000.0), "a": Booking(500, 2000.0)}

    assert read_book({SHARE_BOOK: book_text(book)}) == book


@pytest.mark.parametrize("text", [None, 3, "", "[", "[]", "7"])
def test_what_is_no_book_is_an_empty_one(text: object) -> None:
    assert read_book({SHARE_BOOK: text}) == {}


def test_what_is_no_entry_is_left_out() -> None:
    text = '{"a":[0,1],"b":[1001,1],"c":[true,1],"d":"x","e":[5],"f":["5",1],"good":[1000,7]}'

    assert read_book({SHARE_BOOK: text}) == {"good": Booking(1000, 7.0)}


def test_a_claim_knows_the_parts_of_its_book() -> None:
    metadata = {"name": "c", "namespace": "team", "annotations": {SHARE_BOOK: '{"b":[1,0],"a":[2,0]}'}}

    assert translate_claim({"metadata": metadata}).parts_millis == (("a", 2), ("b", 1))
