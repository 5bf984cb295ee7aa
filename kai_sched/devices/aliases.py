"""Devices that are the same piece of hardware under two names.

A driver that publishes a GPU both as itself and for passthrough withdraws the other form only after it was prepared;
until then both could be given out. So devices of one pool with the same bus address (or uuid) and different type
exclude each other. Those that consume counters are told apart by their counters already.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kai_sched.devices.pools import PooledDevice
from kai_sched.model.devices import Device

_BUS_ID: Final = "resource.kubernetes.io/pciBusID"


def alias_names(devices: Iterable[PooledDevice]) -> dict[int, tuple[str, ...]]:
    """Ordinal of a device -> names in the same pool that exclude it."""
    devices = [entry for entry in devices if not entry.device.consumes_counters]
    kinds = {_attribute(entry.device, entry.driver, "type") for entry in devices}
    if len(kinds) < 2:
        return {}
    by_hardware: dict[tuple[str, str, object], list[tuple[PooledDevice, object]]] = {}
    for entry in devices:
        kind = _attribute(entry.device, entry.driver, "type")
        for name in ("bus", "uuid"):
            value = (
                _attribute(entry.device, entry.driver, _BUS_ID)
                if name == "bus"
                else _attribute(entry.device, entry.driver, "uuid")
            )
            if kind is not None and value is not None:
                by_hardware.setdefault((entry.pool, name, value), []).append((entry, kind))
    found: dict[int, set[str]] = {}
    for group in by_hardware.values():
        for entry, kind in group:
            others = {other.name for other, other_kind in group if other_kind != kind}
            if others:
                found.setdefault(entry.ordinal, set()).update(others)
    return {ordinal: tuple(sorted(names)) for ordinal, names in found.items()}


def _attribute(device: Device, driver: str, name: str) -> object:
    """A string attribute; an unqualified name belongs to the driver."""
    for key, (kind, value) in device.attributes:
        if key in {name, f"{driver}/{name}"} and kind == "string":
            return value
    return None
