"""resource.k8s.io/v1 documents to the model and back.

Tolerant on purpose: what an object says that we cannot act on becomes a ``problem`` of that class or request, which the
allocator turns into a verdict. Nothing here guesses.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

import orjson

from kai_sched.api.dra_allocation import parse_allocation
from kai_sched.api.dra_shape import (
    CLAIM_DEVICES,
    CLAIM_METADATA,
    CLAIM_STATUS,
    DEVICE_CLASS,
    SLICE,
    TAINT_RULE,
    check_shape,
)
from kai_sched.api.dra_wire import (
    amounts_of,
    config_of,
    created_at,
    decimal_names,
    mapping,
    node_selector_of,
    sequence,
    text,
    toleration_of,
    whole,
)
from kai_sched.api.share_book import read_book
from kai_sched.api.translate.fields import FieldError
from kai_sched.model.devices import (
    NO_DRIVER,
    AttributeValue,
    Claim,
    ClaimSpec,
    Consumer,
    CounterConsumption,
    CounterSet,
    Device,
    DeviceCapacity,
    DeviceClass,
    DeviceConstraint,
    DeviceRequest,
    DeviceTaintRule,
    RequestPolicy,
    ResourceSlice,
)
from kai_sched.model.ids import ClaimKey, NodeName, Uid, key_of
from kai_sched.model.quantity import parse_quantity
from kai_sched.model.selectors import Taint

Document = Mapping[str, Any]

FINALIZER: Final = "resource.kubernetes.io/delete-protection"
MOST_DEVICES: Final = 1_000_000
EXTENDED_RESOURCE_ANNOTATION: Final = "resource.kubernetes.io/extended-resource-claim"
QUEUE_LABEL: Final = "kai.scheduler/queue"
_ATTRIBUTE_KINDS: Final = ("ints", "bools", "strings", "versions", "int", "bool", "string", "version")
_REFUSED_DEVICE_FIELDS: Final = ("nodeAllocatableResources",)


def translate_slice(document: Document) -> ResourceSlice:
    """A ResourceSlice."""
    check_shape(document, SLICE)
    spec = mapping(document.get("spec"))
    pool = mapping(spec.get("pool"))
    refused = ("skipNodeOperations",) if spec.get("skipNodeOperations") else ()
    return ResourceSlice(
        name=text(mapping(document.get("metadata")).get("name")),
        driver=text(spec.get("driver")),
        pool=text(pool.get("name")),
        generation=whole(pool.get("generation")),
        slice_count=whole(pool.get("resourceSliceCount")),
        devices=tuple(_device(entry, refused) for entry in sequence(spec.get("devices"))),
        shared_counters=tuple(
            CounterSet(text(entry.get("name")), _counters(entry))
            for entry in sequence(spec.get("sharedCounters"))
        ),
        node_name=NodeName(text(spec.get("nodeName"))) or None,
        node_selector=node_selector_of(spec.get("nodeSelector")),
        all_nodes=bool(spec.get("allNodes")),
        per_device_node_selection=bool(spec.get("perDeviceNodeSelection")),
    )


def _device(document: Document, refused_by_slice: tuple[str, ...]) -> Device:
    return Device(
        name=text(document.get("name")),
        attributes=tuple(
            (name, _attribute(mapping(value)))
            for name, value in sorted(mapping(document.get("attributes")).items())
        ),
        capacity=tuple(
            (name, _capacity(mapping(value)))
            for name, value in sorted(mapping(document.get("capacity")).items())
        ),
        consumes_counters=tuple(
            CounterConsumption(
                text(entry.get("counterSet")), _counters(entry), tuple(entry.get("compatibilityGroups") or ())
            )
            for entry in sequence(document.get("consumesCounters"))
        ),
        taints=tuple(_taint(entry) for entry in sequence(document.get("taints"))),
        node_name=NodeName(text(document.get("nodeName"))) or None,
        node_selector=node_selector_of(document.get("nodeSelector")),
        all_nodes=bool(document.get("allNodes")),
        binds_to_node=bool(document.get("bindsToNode")),
        binding_conditions=tuple(document.get("bindingConditions") or ()),
        binding_failure_conditions=tuple(document.get("bindingFailureConditions") or ()),
        allow_multiple_allocations=bool(document.get("allowMultipleAllocations")),
        unsupported=refused_by_slice + tuple(name for name in _REFUSED_DEVICE_FIELDS if document.get(name)),
    )


def _attribute(document: Document) -> AttributeValue:
    """Lists win over scalars where both are there, as the reference reads them; ("", "") is an unknown kind."""
    for kind in _ATTRIBUTE_KINDS:
        value = document.get(kind)
        if value is not None:
            return (kind, tuple(value) if isinstance(value, list) else value)
    return ("", "")


def _capacity(document: Document) -> DeviceCapacity:
    published = text(document.get("value")) or "0"
    policy = document.get("requestPolicy")
    return DeviceCapacity(parse_quantity(published), _policy(mapping(policy)) if policy else None, published)


def _policy(document: Document) -> RequestPolicy:
    limits = document.get("validRange")
    bounds = mapping(limits)
    return RequestPolicy(
        default=_quantity(document.get("default")),
        valid_values=tuple(parse_quantity(str(value)) for value in document.get("validValues") or ()),
        has_range=limits is not None,
        range_min=_quantity(bounds.get("min")),
        range_max=_quantity(bounds.get("max")),
        range_step=_quantity(bounds.get("step")),
    )


def _quantity(value: object) -> Fraction | None:
    return None if value is None else parse_quantity(str(value))


def _counters(document: Document) -> tuple[tuple[str, Fraction], ...]:
    counters = mapping(document.get("counters"))
    return tuple(
        (name, parse_quantity(str(mapping(entry).get("value", "0"))))
        for name, entry in sorted(counters.items())
    )


def _taint(document: Document) -> Taint:
    return Taint(text(document.get("key")), text(document.get("value")), text(document.get("effect")))


def translate_taint_rule(document: Document) -> DeviceTaintRule:
    """A DeviceTaintRule. An empty selector means every device; without one the rule is about none."""
    check_shape(document, TAINT_RULE)
    spec = mapping(document.get("spec"))
    has_selector = spec.get("deviceSelector") is not None
    selector = mapping(spec.get("deviceSelector"))
    return DeviceTaintRule(
        name=text(mapping(document.get("metadata")).get("name")),
        driver=text(selector.get("driver")) or (None if has_selector else NO_DRIVER),
        pool=text(selector.get("pool")) or None,
        device=text(selector.get("device")) or None,
        taint=_taint(mapping(spec.get("taint"))),
    )


def translate_class(document: Document) -> DeviceClass:
    """A DeviceClass."""
    check_shape(document, DEVICE_CLASS)
    spec = mapping(document.get("spec"))
    selectors, problem = _selectors(spec)
    return DeviceClass(
        name=text(mapping(document.get("metadata")).get("name")),
        selectors=selectors,
        configs=tuple(config_of(entry) for entry in sequence(spec.get("config"))),
        extended_resource_name=text(spec.get("extendedResourceName")),
        created_at=created_at(document),
        problem=problem.removeprefix(", "),
    )


def _selectors(document: Document) -> tuple[tuple[str, ...], str]:
    expressions: list[str] = []
    for number, entry in enumerate(sequence(document.get("selectors"))):
        cel = entry.get("cel")
        if not isinstance(cel, Mapping):
            return (), f", selector #{number}: CEL expression empty (unsupported selector type?)"
        expressions.append(text(cel.get("expression")))
    return tuple(expressions), ""


def translate_claim(document: Document, *, namespace_allows_admin: bool = False) -> Claim:
    """A ResourceClaim with its status."""
    check_shape(document.get("metadata"), CLAIM_METADATA, "metadata")
    check_shape(document.get("spec"), {"devices": {}}, "spec")
    check_shape(document.get("status"), CLAIM_STATUS, "status")
    metadata = mapping(document.get("metadata"))
    status = mapping(document.get("status"))
    allocation = status.get("allocation")
    owner = next(
        (entry for entry in sequence(metadata.get("ownerReferences")) if entry.get("controller")), {}
    )
    return Claim(
        key=ClaimKey(key_of(text(metadata.get("namespace")), text(metadata.get("name")))),
        uid=Uid(text(metadata.get("uid"))),
        spec=claim_spec(mapping(document.get("spec"))),
        namespace_allows_admin=namespace_allows_admin,
        allocation=parse_allocation(allocation) if isinstance(allocation, Mapping) else None,
        reserved_for=tuple(_consumer(entry) for entry in sequence(status.get("reservedFor"))),
        owner_uid=text(owner.get("uid")),
        queue_label=text(mapping(metadata.get("labels")).get(QUEUE_LABEL)),
        created_at=created_at(document),
        is_deleting=bool(metadata.get("deletionTimestamp")),
        has_finalizer=FINALIZER in (metadata.get("finalizers") or ()),
        is_extended_resource=mapping(metadata.get("annotations")).get(EXTENDED_RESOURCE_ANNOTATION) == "true",
        resource_version=text(metadata.get("resourceVersion")),
        device_conditions=_device_conditions(status),
        parts_millis=_parts_of(mapping(metadata.get("annotations"))),
    )


def _parts_of(annotations: Document) -> tuple[tuple[str, int], ...]:
    book = read_book(annotations)
    return tuple(sorted((ticket, booking.part_millis) for ticket, booking in book.items()))


def _consumer(document: Document) -> Consumer:
    return Consumer(
        text(document.get("resource")),
        text(document.get("name")),
        text(document.get("uid")),
        text(document.get("apiGroup")),
    )


def _device_conditions(status: Document) -> tuple[tuple[str, str, bool], ...]:
    found: list[tuple[str, str, bool]] = []
    for entry in sequence(status.get("devices")):
        device = "/".join(text(entry.get(part)) for part in ("driver", "pool", "device"))
        if entry.get("shareID"):
            device = f"{device}/{entry['shareID']}"
        found += [
            (device, text(condition.get("type")), condition.get("status") == "True")
            for condition in sequence(entry.get("conditions"))
        ]
    return tuple(found)


def claim_spec(spec: Document) -> ClaimSpec:
    """The spec of a claim or of a ResourceClaimTemplate's inner spec; equal specs are one object."""
    return _interned_spec(orjson.dumps(spec.get("devices") or {}, option=orjson.OPT_SORT_KEYS))


@lru_cache(maxsize=8192)
def _interned_spec(canonical: bytes) -> ClaimSpec:
    devices: Document = orjson.loads(canonical)
    check_shape(devices, CLAIM_DEVICES, "spec.devices")
    return ClaimSpec(
        requests=tuple(_request(entry) for entry in sequence(devices.get("requests"))),
        constraints=tuple(
            DeviceConstraint(
                tuple(entry.get("requests") or ()),
                text(entry.get("matchAttribute")),
                text(entry.get("distinctAttribute")),
            )
            for entry in sequence(devices.get("constraints"))
        ),
        configs=tuple(config_of(entry) for entry in sequence(devices.get("config"))),
    )


def _request(document: Document) -> DeviceRequest:
    name = text(document.get("name"))
    alternatives = sequence(document.get("firstAvailable"))
    if alternatives:
        return DeviceRequest(
            name=name,
            first_available=tuple(_one_request(text(entry.get("name")), entry) for entry in alternatives),
        )
    exactly = document.get("exactly")
    if not isinstance(exactly, Mapping):
        return DeviceRequest(
            name=name, problem=": neither exactly nor firstAvailable is set (unsupported request type?)"
        )
    return _one_request(name, exactly)


def _one_request(name: str, document: Document) -> DeviceRequest:
    selectors, problem = _selectors(document)
    capacity = document.get("capacity")
    tolerations = sequence(document.get("tolerations"))
    mode = text(document.get("allocationMode")) or "ExactCount"
    count = whole(document.get("count"))
    if count > MOST_DEVICES:
        raise FieldError(
            f"spec.devices.requests[{name}].count",
            f"is more than {MOST_DEVICES}, no cluster has so many devices",
        )
    admin = document.get("adminAccess")
    return DeviceRequest(
        name=name,
        device_class=text(document.get("deviceClassName")),
        selectors=selectors,
        mode=mode,
        count=count if count or mode == "All" else 1,
        admin_access=None if admin is None else bool(admin),
        tolerations=tuple(toleration_of(entry) for entry in tolerations),
        toleration_documents=tuple(
            orjson.dumps(entry, option=orjson.OPT_SORT_KEYS).decode() for entry in tolerations
        ),
        capacity=amounts_of(mapping(mapping(capacity).get("requests"))),
        decimal_capacity=decimal_names(mapping(mapping(capacity).get("requests"))),
        has_capacity_requests=capacity is not None,
        problem=problem,
        unsupported=("derivedAttributes",) if document.get("derivedAttributes") else (),
    )
