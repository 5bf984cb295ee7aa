"""ResourceLists in statuses: whether two say the same amounts, and the merge patch that makes one of the other.

KAI's controllers write the same lists in other words ("500m" for "0.5"), and on an installation of KAI they go on
doing so beside us.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from kai_sched.cluster.ports import Document
from kai_sched.model.quantity import parse_quantity

AMOUNTS: Final = frozenset({"resourcesStatus", "allocated", "allocatedNonPreemptible", "requested"})
"""Parts of statuses that controllers of KAI write too. Told as they change, and never told again because somebody
else says them otherwise: two that correct each other would never end."""
GROUP_LISTS: Final = "resourcesStatus"
"""Lists that we write as a whole: what we do not list there goes."""


def says_amounts(present: Document, wanted: Document) -> bool:
    """Whether a status says the amounts of the one that is wanted."""
    for name in AMOUNTS & wanted.keys():
        shown, amounts = _mapping(present.get(name)), wanted[name]
        if name == GROUP_LISTS:
            if not all(_lists_same(shown.get(key), entries) for key, entries in amounts.items()):
                return False
        elif not all(_is_same(shown.get(key), amount) for key, amount in amounts.items()):
            return False
    return True


def with_removals(present: Document, wanted: Document) -> Document:
    """``wanted`` as a merge patch: resources that are listed and should not be are None."""
    lists = wanted.get(GROUP_LISTS)
    if lists is None:
        return wanted
    shown = _mapping(present.get(GROUP_LISTS))
    patch = {
        key: None if entries is None else {**dict.fromkeys(_mapping(shown.get(key))), **entries}
        for key, entries in lists.items()
    }
    return {**wanted, GROUP_LISTS: patch}


def _lists_same(shown: object, wanted: Document | None) -> bool:
    known, entries = _mapping(shown), wanted or {}
    return known.keys() == entries.keys() and all(
        _is_same(known[name], amount) for name, amount in entries.items()
    )


def _is_same(left: object, right: object) -> bool:
    if left == right:
        return True
    values = (_amount(left), _amount(right))
    return values[0] is not None and values[0] == values[1]


def _amount(value: object) -> Fraction | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    try:
        return parse_quantity(str(value))
    except ValueError:
        return None


def _mapping(value: object) -> Document:
    return value if isinstance(value, dict) else {}
