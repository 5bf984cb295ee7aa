"""Devices that are the same piece of hardware under two names.

A driver that publishes a GPU both as itself and for passthrough withdraws the other form only after it was prepared;
until then both could be given out. So devices of one pool with the same bus address (or uuid) and different type
exclude each other. Where both consume of one counter set (a GPU and its partitions), the counters tell already what
may be had together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kai_sched.devices.pools import PooledDevice
from kai_sched.model.devices import Device

_BUS_ID: Final = "resource.kubernetes.io/pciBusID"
_UUID: Final = "uuid"


def alias_names(devices: Iterable[PooledDevice]) -> dict[int, tuple[str, ...]]:
    """Ordinal of a device -> names in the same pool that exclude it."""
    by_hardware: dict[tuple[str | None, str, object], list[_Form]] = {}
    kinds: set[object] = set()
    for entry in devices:
        kind = _attribute(entry.device, entry.driver, "type")
        if kind is None:
            continue
        kinds.add(kind)
        for name in (_BUS_ID, _UUID):
            value = _attribute(entry.device, entry.driver, name)
            if value is not None:
                # Nodes that publish under one pool name have the same bus addresses, and hardware of their own.
                by_hardware.setdefault((entry.home, name, value), []).append(_Form(entry, kind))
    if len(kinds) < 2:
        return {}
    found: dict[int, set[str]] = {}
    for group in by_hardware.values():
        if group[0].sets.intersection(*(form.sets for form in group)):
            continue  # The partitions of one GPU: many, and none excludes another.
        for form in group:
            others = {other.entry.name for other in group if form.excludes(other)}
            if others:
                found.setdefault(form.entry.ordinal, set()).update(others)
    return {ordinal: tuple(sorted(names)) for ordinal, names in found.items()}


class _Form:
    """One of the forms in which a piece of hardware is published."""

    __slots__ = ("entry", "kind", "sets")

    def __init__(self, entry: PooledDevice, kind: object) -> None:
        self.entry = entry
        self.kind = kind
        self.sets = frozenset(use.counter_set for use in entry.device.consumes_counters)

    def excludes(self, other: _Form) -> bool:
        return self.kind != other.kind and self.sets.isdisjoint(other.sets)


def _attribute(device: Device, driver: str, name: str) -> object:
    """A string attribute; an unqualified name belongs to the driver."""
    for key, (kind, value) in device.attributes:
        if key in {name, f"{driver}/{name}"} and kind == "string":
            return value
    return None
