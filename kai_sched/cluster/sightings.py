"""What has been seen of one kind, so that lists and watch events become exact changes: nothing lost, nothing twice.

A list may run while events of the same kind keep arriving (the low-volume kinds come from elsewhere and are
listed for comparison), so a listed object never overrules a newer sighting. resourceVersions of one kind are
compared as numbers, as Kubernetes allows since 1.35 (KEP-5504) and has always made them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from kai_sched.cluster.ports import Document
from kai_sched.model.ids import key_of


class ChangeKind(StrEnum):
    """What happened to an object since it was last seen."""

    ADDED = "Added"
    MODIFIED = "Modified"
    DELETED = "Deleted"


@dataclass(frozen=True, slots=True)
class Change:
    """One object that came, changed or went. ``document`` None: it vanished between two lists."""

    kind: ChangeKind
    key: str
    uid: str
    document: Document | None


@dataclass(slots=True)
class _Listing:
    """A list in progress."""

    watched_to: int
    """Number up to which events had been seen when the list was asked for."""
    listed: set[str] = field(default_factory=set)
    deleted_meanwhile: set[str] = field(default_factory=set)
    """uids: a page that was answered before their deletion must not bring them back."""
    missed: int = 0


class Sightings:
    """uid and resourceVersion by key of every object of one kind."""

    __slots__ = ("_listing", "_seen", "resource_version", "unreadable")

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, str]] = {}
        self._listing: _Listing | None = None
        self.resource_version = ""
        """Where a watch goes on; "" until a list has ended."""
        self.unreadable = 0
        """Objects so malformed that they have no name or uid."""

    def __len__(self) -> int:
        return len(self._seen)

    def keys(self) -> Iterable[str]:
        """Keys of all objects that exist as far as seen."""
        return self._seen.keys()

    def begin_list(self) -> None:
        """A list is about to be asked for."""
        self._listing = _Listing(_number(self.resource_version))

    def add_page(self, items: Iterable[Document], list_version: str) -> list[Change]:
        """The changes that one page tells of."""
        listing = self._listing
        if listing is None:
            raise AssertionError("begin_list comes first")
        if _number(list_version) < listing.watched_to:
            # Numbers went back: the store was restored from a backup. Whatever the list says is newer.
            self._seen = {key: (uid, "") for key, (uid, _) in self._seen.items()}
            listing.watched_to = 0
        changes: list[Change] = []
        for item in items:
            self._list_item(item, listing, changes)
        return changes

    def end_list(self, list_version: str) -> tuple[list[Change], int]:
        """The objects that the list no longer has, and how many changes the watch had failed to tell."""
        listing, self._listing = self._listing, None
        if listing is None:
            raise AssertionError("begin_list comes first")
        limit = _number(list_version)
        vanished = [
            key
            for key, (_, version) in self._seen.items()
            if key not in listing.listed and _number(version) <= limit
        ]
        changes = [Change(ChangeKind.DELETED, key, self._seen.pop(key)[0], None) for key in vanished]
        if limit == listing.watched_to:
            listing.missed += len(vanished)
        if limit > _number(self.resource_version) or listing.watched_to == 0:
            self.resource_version = list_version
        return changes, listing.missed

    def see(self, event_type: str, document: Document) -> list[Change]:
        """The changes (none, one, or two where a name was taken over by a new object) that an event tells of."""
        identity = _identity(document)
        if identity is None:
            self.unreadable += 1
            return []
        key, uid, version = identity
        if version:
            self.resource_version = version
        if event_type == "DELETED":
            return self._gone(key, uid, document)
        known = self._seen.get(key)
        if known is not None and known[1] == version and known[0] == uid:
            return []
        self._seen[key] = (uid, version)
        return _sighting(key, uid, None if known is None else known[0], document)

    def clear(self) -> list[Change]:
        """All objects are gone, because their kind is."""
        changes = [Change(ChangeKind.DELETED, key, uid, None) for key, (uid, _) in self._seen.items()]
        self._seen.clear()
        self.resource_version = ""
        return changes

    def bookmark(self, version: str) -> bool:
        """Note how far the watch has come; False: the numbers went back and only a list helps."""
        if _number(version) < _number(self.resource_version):
            return False
        self.resource_version = version
        return True

    def _gone(self, key: str, uid: str, document: Document) -> list[Change]:
        if self._listing is not None:
            self._listing.deleted_meanwhile.add(uid)
        known = self._seen.get(key)
        if known is None or known[0] != uid:
            return []
        del self._seen[key]
        return [Change(ChangeKind.DELETED, key, uid, document)]

    def _list_item(self, item: Document, listing: _Listing, changes: list[Change]) -> None:
        identity = _identity(item)
        if identity is None:
            self.unreadable += 1
            return
        key, uid, version = identity
        if uid in listing.deleted_meanwhile:
            return
        listing.listed.add(key)
        known = self._seen.get(key)
        if known is not None and _number(known[1]) >= _number(version) > 0:
            return
        if listing.watched_to >= _number(version) > 0:
            listing.missed += 1
        self._seen[key] = (uid, version)
        changes += _sighting(key, uid, None if known is None else known[0], item)


def _sighting(key: str, uid: str, known_uid: str | None, document: Document) -> list[Change]:
    if known_uid is None:
        return [Change(ChangeKind.ADDED, key, uid, document)]
    if known_uid == uid:
        return [Change(ChangeKind.MODIFIED, key, uid, document)]
    return [
        Change(ChangeKind.DELETED, key, known_uid, None),
        Change(ChangeKind.ADDED, key, uid, document),
    ]


def _identity(document: Document) -> tuple[str, str, str] | None:
    """(key, uid, resourceVersion)."""
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        return None
    name, uid = metadata.get("name"), metadata.get("uid")
    if not isinstance(name, str) or not isinstance(uid, str):
        return None
    namespace = metadata.get("namespace")
    return key_of(namespace, name) if namespace else name, uid, str(metadata.get("resourceVersion") or "")


def _number(version: str) -> int:
    return int(version) if version.isdecimal() else 0
