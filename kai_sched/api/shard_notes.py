"""What of a SchedulingShard does not hold, key by key: the rest of it does.

One key that we do not serve, or that is wrong, must not cost the others their force, least of all the partition: two
operators would decide about the same nodes.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kai_sched.api.kinds import Raw
from kai_sched.api.translate.fields import FieldError, at
from kai_sched.model.texts import PROBLEM, shown


class NotServed(ValueError):
    """What is asked for is right, but not to be had here."""


@dataclass(frozen=True, slots=True)
class Note:
    """One key that does not hold, and why."""

    field: str
    reason: str

    def __str__(self) -> str:
        return shown(f"{self.field}: {self.reason}", PROBLEM)


class ShardNotes:
    """Collects while the shard is read."""

    def __init__(self) -> None:
        self.not_served: list[Note] = []
        self.wrong: list[Note] = []

    @contextmanager
    def each(self, field: str) -> Iterator[None]:
        """Whatever cannot be applied in the block costs what the block applies."""
        try:
            yield
        except FieldError as error:
            self.wrong.append(Note(error.field, error.reason))
        except NotServed as error:
            self.not_served.append(Note(field, str(error)))
        except ValueError as error:
            self.wrong.append(Note(field, str(error)))

    def known(self, raw: Raw, known: Container[str], path: str) -> list[str]:
        """The keys that are known, in their order; the others are noted."""
        self.not_served += [Note(at(path, str(key)), "unknown key") for key in raw if key not in known]
        return [key for key in raw if key in known]
