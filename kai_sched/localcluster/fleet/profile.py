"""Profiles: how a driver describes one kind of device. Data files, so that no vendor's name is in the code.

Texts are templates. Their variables: {node}, {pool}, {i} number of the device on its node, {uuid} of the device, and
each key of ``spread`` (a list, indexed by the device's number); for partitions also {profile}, {flat} (the profile
as part of a name), {id}, {start} and {partitionUuid}.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from kai_sched.localcluster.fleet.spec import Strict

AttributeTemplate = dict[str, str | bool | int]
"""``{string: text}`` and so on, with one key: string, int, bool or version."""


class DeviceTemplate(Strict):
    """One kind of device in a driver's pool."""

    name: str
    count: int = Field(default=1, ge=1)
    attributes: dict[str, AttributeTemplate] = Field(default_factory=dict)
    capacity: dict[str, str] = Field(default_factory=dict)
    spread: dict[str, tuple[str | int, ...]] = Field(default_factory=dict)
    per_unit: int = Field(default=1, ge=1)
    """So many devices come from one physical unit; ``spread`` is indexed by the unit."""


class PartitionProfile(Strict):
    """A size of partition: where it may start and what it takes of the whole device."""

    profile: str
    id: int
    starts: tuple[int, ...]
    slots: int = Field(ge=1)
    """Consecutive slots that it occupies from its start."""
    capacity: dict[str, str] = Field(default_factory=dict)


class Partitioning(Strict):
    """How a whole device can be cut."""

    name: str
    slots: int = Field(ge=1)
    slot_counter: str
    """Template of the counter of one slot ({slot})."""
    slot_capacity: str
    """Template of a static partition's capacity for each slot that it has."""
    counter_set: str
    capacity: dict[str, str]
    """The whole device's capacities, which the counters mirror in kebab-case."""
    attributes: dict[str, AttributeTemplate]
    inherits: tuple[str, ...] = ()
    """Attributes taken over from the whole device."""
    static_attributes: dict[str, AttributeTemplate] = Field(default_factory=dict)
    profiles: tuple[PartitionProfile, ...]
    resource: str = ""
    """Template of the extended resource of a static partition by device plugin ({profile})."""


class Profile(Strict):
    """One kind of device as its driver publishes it."""

    driver: str
    resource: str = ""
    """The extended resource a device plugin offers it as."""
    node_labels: dict[str, str] = Field(default_factory=dict)
    devices: tuple[DeviceTemplate, ...]
    partitioning: Partitioning | None = None
    device_classes: tuple[dict[str, Any], ...] = ()
