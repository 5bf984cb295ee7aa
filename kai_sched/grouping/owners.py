"""Owners: the objects above a pod, as far as they are known, nearest first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from kai_sched.api.kinds import Kind, Raw

_MAX_HEIGHT = 16
"""Real chains have three links; more is a loop in somebody's references."""

Place = tuple[Kind, str, str]
"""(kind, namespace, name)."""


@dataclass(frozen=True, slots=True)
class OwnerReference:
    """A controller reference as an object carries it."""

    kind: Kind
    api_version: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Owner:
    """An owner; labels and annotations are empty where only the reference to it is known."""

    reference: OwnerReference
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    created_at: str = ""
    controller: OwnerReference | None = None
    is_seen: bool = False
    """Whether the object itself was seen, not only a reference to it."""

    @property
    def kind(self) -> Kind:
        return self.reference.kind


class Owners:
    """The owners seen so far, and who is below whom."""

    def __init__(self) -> None:
        self._known: dict[Place, Owner] = {}
        self._below: dict[Place, set[Place]] = defaultdict(set)

    def put(self, place: Place, document: Raw) -> bool:
        """Remember an owner; returns whether anything that is read of it is new."""
        kind, namespace, name = place
        metadata = _mapping(document.get("metadata"))
        controller = controller_of(document)
        owner = Owner(
            OwnerReference(kind, _api_version(document, kind), name, str(metadata.get("uid") or "")),
            texts_of(metadata.get("labels")),
            texts_of(metadata.get("annotations")),
            str(metadata.get("creationTimestamp") or ""),
            controller,
            is_seen=True,
        )
        if self._known.get(place) == owner:
            return False
        self.remove(place)
        self._known[place] = owner
        if controller is not None:
            self._below[controller.kind, namespace, controller.name].add(place)
        return True

    def remove(self, place: Place) -> bool:
        """Forget an owner; what refers to it keeps the reference. Returns whether it was known."""
        owner = self._known.pop(place, None)
        if owner is not None and owner.controller is not None:
            above = (owner.controller.kind, place[1], owner.controller.name)
            self._below[above].discard(place)
            if not self._below[above]:
                del self._below[above]
        return owner is not None

    def chain(self, namespace: str, reference: OwnerReference | None) -> tuple[Owner, ...]:
        """The owner that a pod refers to, then the owners above it."""
        found: list[Owner] = []
        while reference is not None and len(found) < _MAX_HEIGHT:
            owner = self._known.get((reference.kind, namespace, reference.name))
            if owner is None or (reference.uid and owner.reference.uid != reference.uid):
                # Not seen, or another object of the same name: the reference is all there is.
                owner = Owner(reference)
            found.append(replace(owner, reference=reference))
            reference = owner.controller
        return tuple(found)

    def at_or_below(self, place: Place) -> Iterator[Place]:
        """The place itself and everything whose chain may lead to it."""
        waiting, seen = [place], {place}
        while waiting:
            current = waiting.pop()
            yield current
            fresh = self._below.get(current, set()) - seen
            seen |= fresh
            waiting.extend(sorted(fresh))


def controller_of(document: Raw) -> OwnerReference | None:
    """The reference with ``controller: true``; others only tie lifetimes together."""
    references = _mapping(document.get("metadata")).get("ownerReferences")
    for raw in references if isinstance(references, list) else ():
        if isinstance(raw, dict) and raw.get("controller") is True:
            version = str(raw.get("apiVersion") or "")
            group, slash, _ = version.rpartition("/")
            kind = Kind(group if slash else "", str(raw.get("kind") or ""))
            return OwnerReference(kind, version, str(raw.get("name") or ""), str(raw.get("uid") or ""))
    return None


def texts_of(value: object) -> dict[str, str]:
    """A map of texts; entries of other types are left out, a grouping does not depend on them."""
    return {
        key: text for key, text in _mapping(value).items() if isinstance(key, str) and isinstance(text, str)
    }


def _mapping(value: object) -> Raw:
    return value if isinstance(value, dict) else {}


def _api_version(document: Raw, kind: Kind) -> str:
    """What the object says, unless only its metadata was asked for: then the kind's own group, in its stable version."""
    version = document.get("apiVersion")
    if isinstance(version, str) and document.get("kind") == kind.name:
        return version
    return f"{kind.group}/v1" if kind.group else "v1"
