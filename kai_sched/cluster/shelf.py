"""Shelf: the readable records of one kind, and which of its objects could not be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from enum import IntEnum
from typing import Any, Generic, TypeVar

from kai_sched.cluster.ports import Document
from kai_sched.cluster.sightings import Change, ChangeKind
from kai_sched.model.snapshot import Unreadable

T = TypeVar("T")


class Effect(IntEnum):
    """What a change means for decisions."""

    NOTHING = 0
    """The record is the same."""
    BOOKKEEPING = 1
    """Only its resourceVersion moved: somebody wrote a part that we do not read."""
    MATERIAL = 2


class Shelf(Generic[T]):
    """Records by key. ``version`` moves with every change that a snapshot shows."""

    def __init__(
        self,
        kind: str,
        read: Callable[[Document], T | Unreadable],
        *,
        order: Callable[[T], Any] | None = None,
        last_resort: Callable[[Document], T | None] | None = None,
        keep_documents: bool | Callable[[Document], bool] = False,
    ) -> None:
        self.kind = kind
        self.records: dict[str, T] = {}
        self.unreadable: dict[str, Unreadable] = {}
        self.version = 0
        self.documents: dict[str, Document] = {}
        """Kept where a record depends on more than its own object or is written back; then without managedFields."""
        self._keeps = keep_documents if callable(keep_documents) else lambda _document: bool(keep_documents)
        self._read = read
        self._order = order
        self._last_resort = last_resort
        self._sorted: tuple[int, tuple[T, ...]] = (-1, ())

    def apply(self, change: Change) -> Effect:
        """Take one change."""
        if change.kind is ChangeKind.DELETED or change.document is None:
            return self._remove(change.key)
        if self._keeps(change.document):
            change.document["metadata"].pop("managedFields", None)
            self.documents[change.key] = change.document
        else:
            self.documents.pop(change.key, None)
        return self._take(change.key, change.document)

    def read_again(self) -> Effect:
        """What the meaning of the kept documents depends on has changed."""
        effects = [self._take(key, document) for key, document in self.documents.items()]
        return max(effects, default=Effect.NOTHING)

    def put(self, key: str, record: T) -> Effect:
        """Keep this record."""
        known = self.records.get(key)
        effect = Effect.MATERIAL if known is None else _difference(known, record)
        if effect is not Effect.NOTHING:
            self.records[key] = record
            self.version += 1
        return effect

    def in_order(self) -> tuple[T, ...]:
        """All records, sorted by key or by the shelf's own order; the same tuple until something changes."""
        if self._sorted[0] != self.version:
            if self._order is None:
                found = tuple(self.records[key] for key in sorted(self.records))
            else:
                found = tuple(sorted(self.records.values(), key=self._order))
            self._sorted = (self.version, found)
        return self._sorted[1]

    def _take(self, key: str, document: Document) -> Effect:
        record = self._read(document)
        if isinstance(record, Unreadable):
            return self._cannot_read(key, document, record)
        if self.unreadable.pop(key, None) is not None:
            self.version += 1
        return self.put(key, record)

    def _remove(self, key: str) -> Effect:
        self.unreadable.pop(key, None)
        self.documents.pop(key, None)
        if self.records.pop(key, None) is None:
            return Effect.NOTHING
        self.version += 1
        return Effect.MATERIAL

    def _cannot_read(self, key: str, document: Document, problem: Unreadable) -> Effect:
        """An object that cannot be read is left out, unless a last resort says what it holds at least."""
        is_news = self.unreadable.get(key) != problem
        self.unreadable[key] = problem
        rest = self._last_resort(document) if self._last_resort is not None else None
        if rest is not None:
            return self.put(key, rest)
        if self.records.pop(key, None) is not None or is_news:
            self.version += 1
            return Effect.MATERIAL
        return Effect.NOTHING


def _difference(known: object, record: object) -> Effect:
    if known == record:
        return Effect.NOTHING
    if not _has_version(record):
        return Effect.MATERIAL
    same_version = replace(known, resource_version=record.resource_version)  # type: ignore[attr-defined,type-var]
    return Effect.BOOKKEEPING if same_version == record else Effect.MATERIAL


def _has_version(record: object) -> bool:
    return is_dataclass(record) and any(field.name == "resource_version" for field in fields(record))
