"""The book of a shared claim: which part of its devices each ticket stands for, kept in an annotation of the claim.

``{"<ticket>": [thousandths, booked at (seconds since 1970)]}``. A pod names its ticket in an annotation of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from kai_sched.api.keys import SHARE_BOOK


@dataclass(frozen=True, slots=True)
class Booking:
    """One entry."""

    part_millis: int
    booked_at: float


Book = Mapping[str, Booking]
_LATEST: Final = 2.0**40
"""Seconds: a time that can still be written."""


def read_book(annotations: Mapping[str, object]) -> dict[str, Booking]:
    """By ticket; what is no entry is left out: nobody has a part by it."""
    written = annotations.get(SHARE_BOOK)
    try:
        document = orjson.loads(written) if isinstance(written, str) else {}
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(document, dict):
        return {}
    entries = {ticket: _booking(entry) for ticket, entry in document.items()}
    return {ticket: booking for ticket, booking in entries.items() if booking is not None}


def book_text(book: Book) -> str:
    """The annotation's value."""
    entries = {ticket: [one.part_millis, round(one.booked_at)] for ticket, one in book.items()}
    return orjson.dumps(entries, option=orjson.OPT_SORT_KEYS).decode()


def _booking(entry: object) -> Booking | None:
    match entry:
        case [int(part), int() | float() as booked_at] if not isinstance(part, bool) and 0 < part <= 1000:
            return Booking(part, min(float(booked_at), _LATEST))
    return None
