"""Verdict rows: what selectors say of each device of a fleet, a byte a device."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

V = TypeVar("V")
_MOST_DIFFERENT: Final = 255


class VerdictRow(Generic[V]):
    """The verdicts of one question, which mostly are few different objects.

    Of more than 255 different ones (errors that name their device) the others are not kept.
    """

    __slots__ = ("_codes", "_number_of", "_verdicts")

    def __init__(self, devices: int) -> None:
        self._codes = bytearray(devices)
        self._verdicts: list[V | None] = [None]
        self._number_of: dict[int, int] = {}
        """By identity: the verdicts are kept here, so that their ids are not given to others."""

    def get(self, ordinal: int) -> V | None:
        """The verdict on a device; None where it is not known."""
        return self._verdicts[self._codes[ordinal]]

    def keep(self, ordinal: int, verdict: V) -> V:
        """Remember a verdict, which is handed back."""
        number = self._number_of.get(id(verdict))
        if number is None:
            if len(self._verdicts) > _MOST_DIFFERENT:
                return verdict
            number = self._number_of[id(verdict)] = len(self._verdicts)
            self._verdicts.append(verdict)
        self._codes[ordinal] = number
        return verdict
