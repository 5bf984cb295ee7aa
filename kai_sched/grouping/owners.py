"""Owners: the objects above a pod, as far as they are known, nearest first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

from kai_sched.api.kinds import POD, Kind, Raw

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


class Controlled(Protocol):
    """A pod, as far as chains go through it."""

    @property
    def controller(self) -> OwnerReference | None: ...
    @property
    def as_owner(self) -> Owner: ...


P = TypeVar("P", bound=Controlled)


class Owners(Generic[P]):
    """The owners seen so far, pods among them, and who is below whom."""

    def __init__(self) -> None:
        self._known: dict[Place, Owner] = {}
        self._below: dict[Place, set[Place]] = defaultdict(set)
        self._pods: dict[str, P] = {}
        """By namespace and name; there are many, so that nothing is kept but what the grouper has of them anyway."""
        self._pods_below: dict[Place, set[str]] = defaultdict(set)

    def put(self, place: Place, owner: Owner) -> bool:
        """Remember an owner; returns whether anything that is read of it is new."""
        if self._known.get(place) == owner:
            return False
        self.remove(place)
        self._known[place] = owner
        if owner.controller is not None:
            self._below[_place_of(place[1], owner.controller)].add(place)
        return True

    def remove(self, place: Place) -> bool:
        """Forget an owner; what refers to it keeps the reference. Returns whether it was known."""
        owner = self._known.pop(place, None)
        if owner is not None and owner.controller is not None:
            _discard(self._below, _place_of(place[1], owner.controller), place)
        return owner is not None

    def put_pod(self, key: str, pod: P) -> bool:
        """Remember a pod; returns whether anything that is read of it is new."""
        if self._pods.get(key) == pod:
            return False
        self.remove_pod(key)
        self._pods[key] = pod
        if pod.controller is not None:
            self._pods_below[_place_of(key.partition("/")[0], pod.controller)].add(key)
        return True

    def known_pod(self, key: str, pod: P) -> P:
        """The pod as it is remembered, from now on if it was not."""
        self.put_pod(key, pod)
        return self._pods[key]

    def remove_pod(self, key: str) -> bool:
        """Forget a pod. Returns whether it was known."""
        pod = self._pods.pop(key, None)
        if pod is not None and pod.controller is not None:
            _discard(self._pods_below, _place_of(key.partition("/")[0], pod.controller), key)
        return pod is not None

    def chain(self, namespace: str, reference: OwnerReference | None) -> tuple[Owner, ...]:
        """The owner that a pod refers to, then the owners above it."""
        found: list[Owner] = []
        while reference is not None and len(found) < _MAX_HEIGHT:
            owner = self._at(_place_of(namespace, reference))
            if owner is None or (reference.uid and owner.reference.uid != reference.uid):
                # Not seen, or another object of the same name: the reference is all there is.
                owner = Owner(reference)
            found.append(replace(owner, reference=reference))
            reference = owner.controller
        return tuple(found)

    def pods_below(self, place: Place) -> Iterator[str]:
        """The pods whose chain may lead to this place, each once."""
        waiting, seen = [place], {place}
        while waiting:
            current = waiting.pop()
            pods = sorted(self._pods_below.get(current, ()))
            yield from pods
            places = (*self._below.get(current, ()), *((POD, *_parts(key)) for key in pods))
            fresh = sorted(set(places) - seen)
            seen.update(fresh)
            waiting.extend(fresh)

    def _at(self, place: Place) -> Owner | None:
        kind, namespace, name = place
        if kind != POD:
            return self._known.get(place)
        pod = self._pods.get(f"{namespace}/{name}")
        return None if pod is None else pod.as_owner


T = TypeVar("T")


def _discard(below: dict[Place, set[T]], above: Place, one: T) -> None:
    below[above].discard(one)
    if not below[above]:
        del below[above]


def _place_of(namespace: str, reference: OwnerReference) -> Place:
    return reference.kind, namespace, reference.name


def _parts(key: str) -> tuple[str, str]:
    namespace, _, name = key.partition("/")
    return namespace, name


def owner_of(place: Place, document: Raw) -> Owner:
    """What matters of an owner."""
    kind, _, name = place
    metadata = _mapping(document.get("metadata"))
    return Owner(
        OwnerReference(kind, _api_version(document, kind), name, str(metadata.get("uid") or "")),
        texts_of(metadata.get("labels")),
        texts_of(metadata.get("annotations")),
        str(metadata.get("creationTimestamp") or ""),
        controller_of(document),
        is_seen=True,
    )


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
