"""Conditions as Kubernetes keeps them: the time of the last transition moves only when the status does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kai_sched.api.times import format_time
from kai_sched.cluster.ports import Document


@dataclass(frozen=True, slots=True)
class Condition:
    """What an object's condition should be; ``is_true`` False with no earlier condition is not written at all."""

    type: str
    is_true: bool
    reason: str = ""
    message: str = ""


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
        "message": condition.message,
        "lastTransitionTime": since or stamp(now),
    }
