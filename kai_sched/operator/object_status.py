"""Statuses that are only conditions: of what cannot be read, of what cannot be told, and of the shard."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from kai_sched.cluster.ports import Document
from kai_sched.operator.conditions import (
    TOLD,
    Condition,
    entries_of,
    merged_conditions,
    telling_failed,
)

KEYS_NOT_SERVED: Final = "KeysNotServed"


def invalid_status(problem: str, present: Document, now: float) -> Document:
    """The status of an object by whether it can be read: its condition only."""
    condition = Condition("Invalid", bool(problem), "InvalidSpec" if problem else "Valid", problem)
    return {"conditions": merged_conditions(entries_of(present.get("conditions")), (condition, TOLD), now)}


def failed_status(failure: str, present: Document, now: float) -> Document:
    """The status of an object of which nothing else can be told."""
    return {
        "conditions": merged_conditions(
            entries_of(present.get("conditions")), (telling_failed(failure),), now
        )
    }


def shard_status(problem: str, remarks: Collection[str], present: Document, now: float) -> Document:
    """The status of the shard: what is wrong in it, and what is left out though nothing is wrong with it."""
    left_out = "; ".join(remarks)
    conditions = (
        Condition("Invalid", bool(problem), "InvalidSpec" if problem else "Valid", problem),
        Condition(
            KEYS_NOT_SERVED,
            bool(left_out),
            "LeftOut" if left_out else "AllServed",
            f"{left_out}. The rest of the shard is in force" if left_out else "",
        ),
    )
    return {"conditions": merged_conditions(entries_of(present.get("conditions")), conditions, now)}
