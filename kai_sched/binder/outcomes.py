"""What became of a command: a value, because a lost race is an expected end and not an error."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kai_sched.model.commands import Command
from kai_sched.model.ids import PodKey


class Result(StrEnum):
    """How a command ended."""

    DONE = "Done"
    STALE = "Stale"
    """The world moved on: its precondition no longer holds. The next cycle decides anew."""
    UNANSWERED = "Unanswered"
    """The API server did not answer often enough. It says nothing about the command."""
    RETRY = "Retry"
    """Nothing wrong with the command, but it could not be finished now."""
    UNPREPARED = "Unprepared"
    """The devices were given back because their drivers did not prepare them. Tried again."""
    FAILED = "Failed"
    """The API server refuses it for good, for a reason that a person should read."""


@dataclass(frozen=True, slots=True)
class Setback:
    """Why a command cannot go on."""

    result: Result
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOutcome:
    """The end of one command. ``bound``: the pods that have their node now, also when the rest failed."""

    command: Command
    result: Result
    reason: str = ""
    bound: tuple[PodKey, ...] = ()
