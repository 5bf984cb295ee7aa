"""PodTable: all pods of a snapshot, a sequence of ``Pod`` that travels between processes as columns.

Forty thousand pickled objects cost a second; the same pods as columns cost some tens of milliseconds, because
specs are shared and each column is one flat piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import overload

from kai_sched.model.columns import Column, pack, unpack
from kai_sched.model.workloads import Pod


class PodTable(Sequence[Pod]):
    """An immutable sequence of pods, sorted by key when it comes from ``sorted_by_key``."""

    __slots__ = ("_pods",)

    def __init__(self, pods: Iterable[Pod]) -> None:
        self._pods: tuple[Pod, ...] = tuple(pods)

    @classmethod
    def sorted_by_key(cls, pods: Iterable[Pod]) -> PodTable:
        """The table in the order every snapshot uses."""
        return cls(sorted(pods, key=attrgetter("key")))

    @overload
    def __getitem__(self, index: int) -> Pod: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Pod, ...]: ...
    def __getitem__(self, index: int | slice) -> Pod | tuple[Pod, ...]:
        return self._pods[index]

    def __len__(self) -> int:
        return len(self._pods)

    def __iter__(self) -> Iterator[Pod]:
        return iter(self._pods)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PodTable) and self._pods == other._pods

    def __hash__(self) -> int:
        return hash(self._pods)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return _from_columns, pack(Pod, self._pods)


def _from_columns(record_type: type[Pod], count: int, columns: tuple[Column, ...]) -> PodTable:
    return PodTable(unpack(record_type, count, columns))
