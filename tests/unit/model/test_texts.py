"""Whatever is told fits its place and cannot act on its reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kai_sched.model.texts import EVENT_BYTES, MESSAGE, shown, shown_bytes

ANYTHING = st.text(st.characters(), max_size=400) | st.text("a\x1b\n\u202e\u00e9\U0001f600", max_size=400)


def test_a_text_that_fits_is_told_as_it_is():
    assert shown("2 GPUs are missing in zone München") == "2 GPUs are missing in zone München"


def test_what_acts_on_a_terminal_or_forges_a_line_is_shown_escaped():
    assert shown("\x1b[31mRED\x1b[0m\nFAKE \u202egnp.exe") == r"\x1b[31mRED\x1b[0m\nFAKE \u202egnp.exe"


def test_a_text_that_is_too_long_says_how_much_was_left_out():
    told = shown("x" * 727_000)

    kept = told.index(".")
    assert len(told) <= MESSAGE
    assert told[kept:] == f"... ({727_000 - kept} more characters)"


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f600", "\n", "\x1b"])
def test_notes_are_cut_by_bytes(letter: str):
    told = shown_bytes(letter * 5000, EVENT_BYTES)

    assert EVENT_BYTES // 2 < len(told.encode()) <= EVENT_BYTES


@given(ANYTHING, st.integers(min_value=40, max_value=300))
def test_nothing_is_longer_than_its_place_and_telling_twice_changes_nothing(text: str, most: int):
    told = shown(text, most)

    assert len(told) <= most
    assert not any(ord(one) < 32 or 0x7F <= ord(one) < 0xA0 for one in told)
    assert shown(told, most) == told
    assert len(shown_bytes(text, most).encode()) <= most
