"""The cluster at one revision, as the API server told it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Document = Mapping[str, Any]

WATCHED = ("Node", "ResourceSlice", "ResourceClaim", "Pod")
_ENDED = frozenset({"Succeeded", "Failed"})

DeviceKey = tuple[str, str, str]
"""Driver, pool, device."""


@dataclass
class State:
    """Objects by kind and key. Filled by ``apply``; read by the rules."""

    objects: dict[str, dict[str, Document]] = field(default_factory=lambda: {kind: {} for kind in WATCHED})
    pods_on: dict[str, dict[str, Document]] = field(default_factory=dict)
    """Node -> the pods that hold room there, by key."""
    published: dict[DeviceKey, tuple[Document, Document]] = field(default_factory=dict)
    """Every device ever published, with its slice, as it was last: drivers republish while claims are written."""
    offers: dict[DeviceKey, dict[str, tuple[Document, Document]]] = field(default_factory=dict)
    """The same by slice, as long as the slice is there: nodes may publish devices of one name under one pool name."""
    counters: dict[tuple[str, str, str], Document] = field(default_factory=dict)
    """(driver, pool, counter set) -> counters, as last published."""

    def apply(self, kind: str, document: Document, *, is_gone: bool) -> None:
        """Takes over one event."""
        key = key_of(document)
        before = self.objects[kind].get(key)
        if is_gone:
            self.objects[kind].pop(key, None)
        else:
            self.objects[kind][key] = document
        if kind == "Pod":
            self._seat(before, key, None if is_gone else document)
        elif kind == "ResourceSlice":
            self._withdraw(before)
            if not is_gone:
                self._publish(document)

    def allocated_claims(self) -> Iterator[Document]:
        """Claims that hold devices."""
        for claim in self.objects["ResourceClaim"].values():
            if allocation_of(claim) is not None:
                yield claim

    def _seat(self, before: Document | None, key: str, after: Document | None) -> None:
        if before is not None and node_of(before):
            self.pods_on.get(node_of(before), {}).pop(key, None)
        if after is not None and holds_room(after):
            self.pods_on.setdefault(node_of(after), {})[key] = after

    def offers_of(self, device: DeviceKey) -> list[tuple[Document, Document]]:
        """The slices that have a device, or the last one that had it."""
        last = self.published.get(device)
        return [*self.offers.get(device, {}).values()] or ([last] if last is not None else [])

    def _withdraw(self, before: Document | None) -> None:
        if before is None:
            return
        for device in before["spec"].get("devices", ()):
            key = (before["spec"]["driver"], before["spec"]["pool"]["name"], device["name"])
            self.offers.get(key, {}).pop(before["metadata"]["name"], None)

    def _publish(self, document: Document) -> None:
        spec = document["spec"]
        driver, pool = spec["driver"], spec["pool"]["name"]
        for device in spec.get("devices", ()):
            key = (driver, pool, device["name"])
            self.published[key] = (document, device)
            self.offers.setdefault(key, {})[document["metadata"]["name"]] = (document, device)
        for counter_set in spec.get("sharedCounters", ()):
            self.counters[driver, pool, counter_set["name"]] = counter_set["counters"]


def key_of(document: Document) -> str:
    """``namespace/name``, or the name alone."""
    metadata = document["metadata"]
    namespace = metadata.get("namespace", "")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def node_of(pod: Document) -> str:
    """The node a pod is bound to, empty if none."""
    return str(pod["spec"].get("nodeName") or "")


def holds_room(pod: Document) -> bool:
    """Whether a pod is on a node and has not ended."""
    return bool(node_of(pod)) and pod.get("status", {}).get("phase") not in _ENDED


def allocation_of(claim: Document) -> Document | None:
    """What a claim got, None while nothing."""
    allocation: Document | None = claim.get("status", {}).get("allocation")
    return allocation
