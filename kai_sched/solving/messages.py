"""Messages between the parent and the solving child."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from kai_sched.model.columns import Column, pack, unpack
from kai_sched.model.plan import Plan, Verdict
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot, Fleet

Packed = tuple[type[Any], int, tuple[Column, ...]]


@dataclass(frozen=True, slots=True)
class SnapshotColumns:
    """A snapshot without its fleet, long tuples of like records as columns."""

    snapshot: ClusterSnapshot
    packed: Mapping[str, Packed]

    @classmethod
    def of(cls, snapshot: ClusterSnapshot) -> SnapshotColumns:
        """Pack every tuple whose records are all of one class."""
        packed: dict[str, Packed] = {}
        for field in fields(snapshot):
            value = getattr(snapshot, field.name)
            if isinstance(value, tuple) and len(set(map(type, value))) == 1 and is_dataclass(value[0]):
                packed[field.name] = pack(type(value[0]), value)
        stripped: dict[str, Any] = dict.fromkeys(packed, ())
        return cls(replace(snapshot, fleet=Fleet(version=snapshot.fleet.version), **stripped), packed)

    def restore(self, fleet: Fleet) -> ClusterSnapshot:
        """The snapshot again."""
        restored: dict[str, Any] = {name: unpack(*packed) for name, packed in self.packed.items()}
        return replace(self.snapshot, fleet=fleet, **restored)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecideRequest:
    """``fleet``: None where the child has this version already."""

    number: int
    columns: SnapshotColumns
    policy: Policy
    fleet: Fleet | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The child has loaded everything and waits for its first request."""

    process: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Improved:
    """A plan, better than those before it."""

    number: int
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """No better plan will come. ``memory_bytes``: the child's resident set.

    ``is_telling``: the child goes on to find out what those who wait may hope for, and ``Prospects`` will come. It stops
    at the next request.
    """

    number: int
    seconds: float
    memory_bytes: int = 0
    is_telling: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospects:
    """Those verdicts of the last plan to which something was found out. ``error``: how the finding failed, for a log."""

    number: int
    verdicts: tuple[Verdict, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """The cycle ended with an error; ``is_input``: the caller's input is to blame, not the child."""

    number: int
    error: str
    is_input: bool
