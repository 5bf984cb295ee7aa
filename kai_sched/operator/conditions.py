"""Conditions as Kubernetes keeps them: the time of the last transition moves only when the status does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from kai_sched.api.times import format_time
from kai_sched.cluster.ports import Document
from kai_sched.model.texts import CONDITION, shown


@dataclass(frozen=True, slots=True)
class Condition:
    """What an object's condition should be; ``is_true`` False with no earlier condition is not written at all."""

    type: str
    is_true: bool
    reason: str = ""
    message: str = ""


TELLING_FAILED: Final = "TellingFailed"
TOLD: Final = Condition(TELLING_FAILED, is_true=False, reason="Told")
"""What an object says once it could be told again."""


def telling_failed(failure: str) -> Condition:
    """What an object says of which nothing else can be told: the error is ours, the way out may be the user's."""
    text = f"kai-sched could not say what it knows of this object: {failure}. Next: report it, or remove what is unusual"
    return Condition(TELLING_FAILED, is_true=True, reason="InternalError", message=text)


def entries_of(value: object) -> list[Document]:
    """The conditions in a field of a status; whatever else is there is left out."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def stamp(now: float) -> str:
    """The time as conditions carry it: whole seconds."""
    return format_time(int(now))


def merged_conditions(present: Sequence[Document], wanted: Iterable[Condition], now: float) -> list[Document]:
    """The object's conditions with ours in place; those of others stay as they are."""
    by_type = {str(entry.get("type")): entry for entry in present}
    for condition in wanted:
        known = by_type.get(condition.type)
        if known is None and not condition.is_true:
            continue
        by_type[condition.type] = _document(known, condition, now)
    return list(by_type.values())


def _document(known: Document | None, condition: Condition, now: float) -> Document:
    status = "True" if condition.is_true else "False"
    moved = known is None or known.get("status") != status
    since = stamp(now) if moved or known is None else known.get("lastTransitionTime")
    return {
        **(known or {}),
        "type": condition.type,
        "status": status,
        "reason": condition.reason,
        "message": shown(condition.message, CONDITION),
        "lastTransitionTime": since or stamp(now),
    }
