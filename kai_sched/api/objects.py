"""ObjectSet: raw objects by kind, from a file or a cluster, before anything is translated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from kai_sched.api.kinds import Kind, Raw, kind_of


class ObjectSet:
    """Objects by kind in the order they came; a later object of the same kind and name replaces an earlier one."""

    __slots__ = ("_by_kind", "annotations", "remarks")

    def __init__(self, objects: Iterable[Raw] = (), annotations: Mapping[str, str] | None = None) -> None:
        self._by_kind: dict[Kind, dict[tuple[str, str], Raw]] = {}
        self.annotations: dict[str, str] = dict(annotations or {})
        """Annotations of the List that held the objects."""
        self.remarks: list[str] = []
        """What a reader of files should hear: nothing is wrong enough to stop, but may not be what was meant."""
        for raw in objects:
            self.add(raw)

    def add(self, raw: Raw) -> None:
        """Add or replace one object.

        Raises:
            ValueError: it has no kind or no name.
        """
        metadata = raw.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if not isinstance(metadata, dict) or not isinstance(name, str) or not name:
            raise ValueError("metadata.name is missing")
        namespace = metadata.get("namespace")
        self._by_kind.setdefault(kind_of(raw), {})[str(namespace or ""), name] = raw

    def of(self, kind: Kind) -> tuple[Raw, ...]:
        """All objects of a kind."""
        return tuple(self._by_kind.get(kind, {}).values())

    def find(self, kind: Kind, name: str, namespace: str = "") -> Raw | None:
        """One object by name; None if it is not there."""
        return self._by_kind.get(kind, {}).get((namespace, name))

    def knows(self, kind: Kind) -> bool:
        """Whether any object of the kind is there."""
        return bool(self._by_kind.get(kind))

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds that are there, sorted."""
        return tuple(sorted(kind for kind, objects in self._by_kind.items() if objects))

    def __iter__(self) -> Iterator[Raw]:
        for kind in self.kinds:
            yield from self._by_kind[kind].values()

    def __len__(self) -> int:
        return sum(len(objects) for objects in self._by_kind.values())
