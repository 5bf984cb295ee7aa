"""The bounds of every text that is told: how long it may be, and that it cannot act on who reads it.

Names and reasons come from other people's objects. Control characters are shown escaped, so that a name cannot forge
a line of a log or paint a terminal; a text that is too long is cut and says how much was left out.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

MESSAGE: Final = 1000
"""Characters of a message: in verdicts, plans, logs."""
NEXT_STEP: Final = 400
"""Characters of an advice: what it answers has to fit beside it."""
CONDITION: Final = 1024
"""Characters of a condition's message."""
EVENT_BYTES: Final = 1000
"""Bytes of an event's note: below the API's 1,024."""
QUEUE_TEXT: Final = 300
"""Characters of a message in the status of a queue, which repeats what a pod group says in full."""
PROBLEM: Final = 600
"""Characters of one thing that is wrong with an object: leaves room for the sentence around it."""
_ACTS: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
"""Control characters, marks that reorder or hide text, and halves of characters, which cannot be written at all."""


def shown(text: str, most: int = MESSAGE) -> str:
    """The text as it may be told, in at most so many characters."""
    if len(text) <= most and not _ACTS.search(text):
        return text
    # An escape is at most six characters: what lies behind can never be among those that are kept.
    return _cut(_escaped(text[: most + 1]), most, len(text))


def shown_bytes(text: str, most: int) -> str:
    """The text as it may be told, in at most so many bytes of UTF-8."""
    kept = shown(text, most)
    while (size := len(kept.encode())) > most:
        kept = shown(text, min(len(kept) - 1, max(1, len(kept) * most // size)))
    return kept


def _cut(escaped: tuple[str, ...], most: int, length: int) -> str:
    whole = "".join(escaped)
    if len(escaped) == length and len(whole) <= most:
        return whole
    # The count is longest when all is left out.
    room = most - len(_left_out(length))
    kept: list[str] = []
    for piece in escaped:
        room -= len(piece)
        if room < 0:
            break
        kept.append(piece)
    return "".join(kept) + _left_out(length - len(kept))


def _left_out(count: int) -> str:
    return f"... ({count} more characters)"


def _escaped(text: str) -> tuple[str, ...]:
    """Character by character, as Python would write it in a string."""
    return tuple(_escape(one) if _ACTS.match(one) else one for one in text)


@lru_cache(maxsize=256)
def _escape(one: str) -> str:
    return one.encode("unicode_escape").decode()
