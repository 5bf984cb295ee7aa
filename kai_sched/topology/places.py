"""DevicePlace: where a device sits inside its node, read from the attributes that its driver publishes.

Attribute names are written with or without their domain, and older drivers have their own spellings; a list value
(NUMA nodes of one socket) counts by its first entry, the physical place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kai_sched.model.devices import Device

NUMA_ATTRIBUTES: Final = ("resource.kubernetes.io/numaNode", "numaNode", "numa")
PCIE_ATTRIBUTES: Final = ("resource.kubernetes.io/pcieRoot", "pcieRoot", "pciRoot")
PARENT_ATTRIBUTES: Final = ("parentUUID", "parentPciAddr")
OWN_ID_ATTRIBUTES: Final = ("uuid", "pciAddr")


@dataclass(frozen=True, slots=True)
class DevicePlace:
    """Names of the groups a device belongs to; "" where the driver does not say.

    ``island``: devices joined by a fast link. ``board``: the physical device, shared by its partitions.
    """

    island: str
    numa: str
    pcie_root: str
    board: str
    is_partition: bool = False


def place_of(driver: str, device: Device, island_attributes: Sequence[str]) -> DevicePlace:
    """The place of one device; its island is the first of ``island_attributes`` that it has."""
    values = {_bare(driver, name): value for name, (_, value) in device.attributes}
    parent = _first(values, PARENT_ATTRIBUTES)
    own = _first(values, OWN_ID_ATTRIBUTES)
    return DevicePlace(
        island=_named(values, [_bare(driver, name) for name in island_attributes]),
        numa=_first(values, NUMA_ATTRIBUTES),
        pcie_root=_first(values, PCIE_ATTRIBUTES),
        board=f"{driver}/{parent or own or device.name}",
        is_partition=bool(parent),
    )


Value = bool | int | str | tuple[bool | int | str, ...]


def _bare(driver: str, name: str) -> str:
    """Attributes without a domain belong to the driver's; both spellings are one name."""
    return name.removeprefix(f"{driver}/")


def _first(values: dict[str, Value], names: Sequence[str]) -> str:
    for name in names:
        if name in values:
            return _text(values[name])
    return ""


def _named(values: dict[str, Value], names: Sequence[str]) -> str:
    """Attribute and value, because equal values of different attributes are different islands."""
    for name in names:
        if name in values:
            return f"{name}={_text(values[name])}"
    return ""


def _text(value: Value) -> str:
    if isinstance(value, tuple):
        return _text(value[0]) if value else ""
    return str(value)
