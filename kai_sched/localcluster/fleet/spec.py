"""What a fleet file may say: pools of alike nodes, devices by the name of a profile, topologies, further objects."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel


class Strict(BaseModel):
    """camelCase keys as Kubernetes writes them; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class Via(StrEnum):
    """How a node offers its devices."""

    DRA = "dra"
    DEVICE_PLUGIN = "devicePlugin"


class Partitions(StrEnum):
    """Whether devices are cut into hardware partitions, and when."""

    NONE = "none"
    DYNAMIC = "dynamic"
    """Every possible partition is published beside the whole device; shared counters keep them apart."""
    STATIC = "static"
    """Cut by the admin as ``partitionLayout`` says; only the partitions are published."""


class Domain(Strict):
    """A label whose value changes every ``nodes`` nodes: a zone, block, rack or NVLink clique."""

    label: str
    nodes: int = Field(ge=1)
    name: str = "{n}"
    """Template of the value: {n} number of the domain, {pool}, {uuid} (one for each pool and label)."""
    first: int = Field(default=0, ge=0)
    """Number of the first domain, where several pools count on."""


class Taint(Strict):
    key: str
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute", "None"] = "NoSchedule"


class Devices(Strict):
    """Devices of one kind on each node of a pool."""

    profile: str
    via: Via = Via.DRA
    count: int | None = Field(default=None, ge=1)
    """Whole devices; None: as many as the profile says."""
    partitions: Partitions = Partitions.NONE
    partition_layout: tuple[str, ...] = ()
    """Partition profiles of each device (static only)."""
    sharing: Literal["none", "memory", "unlimited"] | int = "none"
    """Consumable capacity: a claim's share is its memory, nothing, or one of so many shares. By device plugin a number
    is that of replicas, each counted as a device (time slicing, MPS)."""
    taints: tuple[Taint, ...] = ()
    """Taints that the driver publishes on every device."""

    @model_validator(mode="after")
    def _layout_goes_with_static(self) -> Self:
        if bool(self.partition_layout) != (self.partitions is Partitions.STATIC):
            raise ValueError("partitionLayout goes with `partitions: static`, one needs the other")
        return self

    @model_validator(mode="after")
    def _a_device_plugin_only_counts(self) -> Self:
        if self.via is Via.DEVICE_PLUGIN and self.sharing in {"memory", "unlimited"}:
            raise ValueError("by device plugin `sharing` is a number of replicas")
        return self


class NodePool(Strict):
    """Alike nodes."""

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    count: int = Field(ge=1)
    node_name: str = "{pool}-{n}"
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    domains: tuple[Domain, ...] = ()
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    cpu: str = "96"
    memory: str = "1Ti"
    pods: int = Field(default=110, ge=0)
    ephemeral_storage: str = "2Ti"
    extended_resources: dict[str, str] = {}
    devices: tuple[Devices, ...] = ()


class Attached(Strict):
    """Devices on a network, reachable from the nodes with these labels (none: from all)."""

    name: str
    profile: str
    count: int | None = Field(default=None, ge=1)
    node_labels: dict[str, str] = {}


class Level(Strict):
    node_label: str
    alias: str = ""


class TopologySpec(Strict):
    """A Topology object; levels coarse to fine."""

    name: str
    levels: tuple[Level, ...]


class Fleet(Strict):
    """One fleet file."""

    api_version: Literal["kai-sched.dev/v1alpha1"]
    kind: Literal["Fleet"]
    pools: tuple[NodePool, ...] = ()
    attached: tuple[Attached, ...] = ()
    topologies: tuple[TopologySpec, ...] = ()
    objects: tuple[dict[str, Any], ...] = ()
    """Further Kubernetes objects, as they are: queues, priority classes, runtime classes ..."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [pool.name for pool in self.pools]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two pools are called {name}")
        return self
