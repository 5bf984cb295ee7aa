"""DRA in the core: devices as drivers publish them, claims, and what an allocation is, without the wire form.

Field semantics: resource.k8s.io/v1. Quantities are exact ``Fraction`` values; the wire's strings are parsed in
``api`` and written back from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Final

from kai_sched.model.ids import ClaimKey, NodeName, Uid
from kai_sched.model.selectors import NodeSelector, Taint, Toleration

AttributeValue = tuple[str, bool | int | str | tuple[bool | int | str, ...]]
"""(kind, value); kind is bool, int, string, version or their plural list forms. Typed, so that 1 is never true."""

MAX_CONSUMERS: Final = 256
"""Entries of a claim's ``status.reservedFor`` that the API server accepts."""


@dataclass(frozen=True, slots=True)
class RequestPolicy:
    """How a request for consumable capacity is rounded (KEP-5075)."""

    default: Fraction | None = None
    valid_values: tuple[Fraction, ...] = ()
    has_range: bool = False
    range_min: Fraction | None = None
    range_max: Fraction | None = None
    range_step: Fraction | None = None


@dataclass(frozen=True, slots=True)
class DeviceCapacity:
    """One capacity of a device; ``text`` is the quantity as published."""

    value: Fraction
    policy: RequestPolicy | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class CounterConsumption:
    """What a device takes from one counter set of its pool (KEP-4815)."""

    counter_set: str
    counters: tuple[tuple[str, Fraction], ...]
    compatibility_groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CounterSet:
    """Shared counters of a pool."""

    name: str
    counters: tuple[tuple[str, Fraction], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One allocatable device as published."""

    name: str
    attributes: tuple[tuple[str, AttributeValue], ...] = ()
    capacity: tuple[tuple[str, DeviceCapacity], ...] = ()
    consumes_counters: tuple[CounterConsumption, ...] = ()
    taints: tuple[Taint, ...] = ()
    node_name: NodeName | None = None
    node_selector: NodeSelector | None = None
    all_nodes: bool = False
    binds_to_node: bool = False
    binding_conditions: tuple[str, ...] = ()
    binding_failure_conditions: tuple[str, ...] = ()
    allow_multiple_allocations: bool = False
    unsupported: tuple[str, ...] = ()
    """1.37 alpha fields present that we refuse by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceSlice:
    """One published part of a pool. At most one of node_name, node_selector, all_nodes, per_device is set."""

    name: str
    driver: str
    pool: str
    generation: int
    slice_count: int
    devices: tuple[Device, ...] = ()
    shared_counters: tuple[CounterSet, ...] = ()
    node_name: NodeName | None = None
    node_selector: NodeSelector | None = None
    all_nodes: bool = False
    per_device_node_selection: bool = False


NO_DRIVER: Final = ""
"""What no device has as its driver."""


@dataclass(frozen=True, slots=True)
class DeviceTaintRule:
    """An admin's taint on devices (KEP-5055); None matches any. A rule about no device has driver ``NO_DRIVER``."""

    name: str
    driver: str | None
    pool: str | None
    device: str | None
    taint: Taint


@dataclass(frozen=True, slots=True)
class OpaqueConfig:
    """Driver parameters, carried verbatim: ``parameters`` is canonical JSON text."""

    driver: str
    parameters: str
    requests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceClass:
    """The kind of device a request asks for. ``selectors`` are CEL expressions."""

    name: str
    selectors: tuple[str, ...] = ()
    configs: tuple[OpaqueConfig, ...] = ()
    extended_resource_name: str = ""
    created_at: float = 0.0
    problem: str = ""
    """A selector of unknown type and the like: every claim of this class is refused with it."""


class AllocationMode(StrEnum):
    """How many devices a request takes."""

    EXACT_COUNT = "ExactCount"
    ALL = "All"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRequest:
    """One request or one subrequest of ``first_available``. ``mode`` is kept as text so that unknown ones are refused."""

    name: str
    device_class: str = ""
    selectors: tuple[str, ...] = ()
    mode: str = AllocationMode.EXACT_COUNT
    count: int = 1
    admin_access: bool | None = None
    tolerations: tuple[Toleration, ...] = ()
    toleration_documents: tuple[str, ...] = ()
    """Canonical JSON of each toleration as written."""
    capacity: tuple[tuple[str, Fraction], ...] = ()
    decimal_capacity: tuple[str, ...] = ()
    """Names of ``capacity`` that are asked for in thousands, not in powers of 1024: they are given so."""
    has_capacity_requests: bool = False
    """Whether field ``capacity`` is there at all, even with nothing in it."""
    first_available: tuple[DeviceRequest, ...] = ()
    problem: str = ""
    """Why the reference refuses this request as it stands (neither exactly nor firstAvailable ...)."""
    unsupported: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceConstraint:
    """matchAttribute or distinctAttribute over requests (empty: all of the claim)."""

    requests: tuple[str, ...] = ()
    match_attribute: str = ""
    distinct_attribute: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimSpec:
    """What a claim asks for; interned, so that claims of one template share it."""

    requests: tuple[DeviceRequest, ...] = ()
    constraints: tuple[DeviceConstraint, ...] = ()
    configs: tuple[OpaqueConfig, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceResult:
    """One allocated device of a claim."""

    request: str
    driver: str
    pool: str
    device: str
    admin_access: bool | None = None
    tolerations: tuple[Toleration, ...] = ()
    binding_conditions: tuple[str, ...] = ()
    binding_failure_conditions: tuple[str, ...] = ()
    share_id: str = ""
    consumed_capacity: tuple[tuple[str, Fraction], ...] = ()
    decimal_capacity: tuple[str, ...] = ()
    """Names of ``consumed_capacity`` that are written in thousands."""
    toleration_documents: tuple[str, ...] = ()
    """Canonical JSON of each toleration as the request wrote it (tolerationSeconds survives)."""

    @property
    def device_id(self) -> str:
        """``driver/pool/device``."""
        return f"{self.driver}/{self.pool}/{self.device}"


@dataclass(frozen=True, slots=True)
class AllocatedConfig:
    """A config entry of an allocation; source FromClass or FromClaim."""

    source: str
    config: OpaqueConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimAllocation:
    """What is written to status.allocation. ``node_selector`` None: usable on every node."""

    results: tuple[DeviceResult, ...] = ()
    configs: tuple[AllocatedConfig, ...] = ()
    node_selector: NodeSelector | None = None
    allocated_at: float | None = None
    """Set only where a result has binding conditions."""


@dataclass(frozen=True, slots=True)
class Consumer:
    """An entry of status.reservedFor."""

    resource: str
    name: str
    uid: str
    api_group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A ResourceClaim."""

    key: ClaimKey
    uid: Uid
    spec: ClaimSpec
    namespace_allows_admin: bool = False
    allocation: ClaimAllocation | None = None
    reserved_for: tuple[Consumer, ...] = ()
    owner_uid: str = ""
    """uid of the controller owner (the pod, for template-made claims)."""
    queue_label: str = ""
    created_at: float = 0.0
    is_deleting: bool = False
    has_finalizer: bool = False
    is_extended_resource: bool = False
    resource_version: str = ""
    device_conditions: tuple[tuple[str, str, bool], ...] = field(default=())
    """(device id[/share], condition type, is true) of status.devices, for binding conditions."""
    parts_millis: tuple[tuple[str, int], ...] = ()
    """(ticket, thousandths) of a claim that pods share by parts: each counts its own in quotas."""
