"""Expands devices into the ResourceSlices that their driver would publish."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from kai_sched.localcluster.fleet.nodes import taint_document
from kai_sched.localcluster.fleet.partition import (
    Cut,
    all_cuts,
    consumption,
    counter_set,
    partitioning_of,
    static_cuts,
)
from kai_sched.localcluster.fleet.profile import AttributeTemplate, DeviceTemplate, Partitioning, Profile
from kai_sched.localcluster.fleet.read import profile_named
from kai_sched.localcluster.fleet.spec import Attached, Devices, Partitions

Document = dict[str, Any]
_DEVICES_A_SLICE = 128
_SHARED_STEP = "1Mi"


def node_slices(node: str, devices: Devices) -> Iterator[Document]:
    """The slices of one driver on one node; its pool is named after the node."""
    profile = profile_named(devices.profile)
    parts = list(_parts(node, node, profile, devices))
    for number, part in enumerate(parts):
        yield _slice(profile.driver, node, number, len(parts), {"nodeName": node, **part})


def attached_slices(attached: Attached) -> Iterator[Document]:
    """The slices of a pool of network-attached devices."""
    profile = profile_named(attached.profile)
    where: Document = {"allNodes": True}
    if attached.node_labels:
        expressions = [
            {"key": key, "operator": "In", "values": [value]} for key, value in attached.node_labels.items()
        ]
        where = {"nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": expressions}]}}
    wanted = Devices(profile=attached.profile, count=attached.count)
    parts = list(_parts("", attached.name, profile, wanted))
    for number, part in enumerate(parts):
        yield _slice(profile.driver, attached.name, number, len(parts), {**where, **part})


def _slice(driver: str, pool: str, number: int, count: int, rest: Document) -> Document:
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": f"{pool}-{driver}-{number}"},
        "spec": {
            "driver": driver,
            "pool": {"name": pool, "generation": 1, "resourceSliceCount": count},
            **rest,
        },
    }


def _parts(node: str, pool: str, profile: Profile, devices: Devices) -> Iterator[Document]:
    """What each slice of the pool holds: with shared counters the first holds these, then one a device."""
    if devices.partitions is Partitions.DYNAMIC:
        yield from _dynamic_parts(node, pool, profile, devices)
        return
    documents = [
        document
        for template, variables in _instances(node, pool, profile, devices)
        for document in _documents(profile, template, variables, devices)
    ]
    # First fit goes through a slice in its own order, so that order is the driver's: by name.
    documents.sort(key=lambda document: document["name"])
    for first in range(0, len(documents), _DEVICES_A_SLICE):
        yield {"devices": documents[first : first + _DEVICES_A_SLICE]}


def _dynamic_parts(node: str, pool: str, profile: Profile, devices: Devices) -> Iterator[Document]:
    partitioning = partitioning_of(profile, devices)
    instances = list(_instances(node, pool, profile, devices))
    yield {"sharedCounters": [counter_set(partitioning, variables) for _, variables in instances]}
    for template, variables in instances:
        whole = {
            **_whole(template, variables, devices),
            "capacity": _capacity(partitioning.capacity, devices),
            "consumesCounters": consumption(partitioning, variables, None),
        }
        cuts = [
            {
                **_partition(template, partitioning, variables, cut, devices, is_static=False),
                "consumesCounters": consumption(partitioning, variables, cut),
            }
            for cut in all_cuts(partitioning)
        ]
        yield {"devices": sorted([whole, *cuts], key=lambda document: document["name"])}


def _documents(
    profile: Profile, template: DeviceTemplate, variables: Mapping[str, str], devices: Devices
) -> list[Document]:
    """The device itself, or its static partitions in its place."""
    if devices.partitions is Partitions.NONE:
        return [_whole(template, variables, devices)]
    partitioning = partitioning_of(profile, devices)
    return [
        _partition(template, partitioning, variables, cut, devices, is_static=True)
        for cut in static_cuts(partitioning, devices.partition_layout)
    ]


def _instances(
    node: str, pool: str, profile: Profile, devices: Devices
) -> Iterator[tuple[DeviceTemplate, dict[str, str]]]:
    """Each device of a pool with the variables of its templates. A count given is that of the first kind."""
    for position, template in enumerate(profile.devices):
        count = (devices.count if position == 0 else None) or template.count
        for number in range(count):
            unit = number // template.per_unit
            spread = {key: str(values[unit % len(values)]) for key, values in template.spread.items()}
            identity = uuid5(NAMESPACE_DNS, f"{profile.driver}/{pool}/{position}/{number}")
            yield (
                template,
                {
                    **spread,
                    "node": node,
                    "pool": pool,
                    "i": str(number),
                    "u": str(unit),
                    "uuid": str(identity),
                },
            )


def _whole(template: DeviceTemplate, variables: Mapping[str, str], devices: Devices) -> Document:
    capacity = {name: value.format_map(variables) for name, value in template.capacity.items()}
    return {
        "name": template.name.format_map(variables),
        "attributes": _attributes(template.attributes, variables),
        **({"capacity": _capacity(capacity, devices)} if capacity else {}),
        **_common(devices),
    }


def _partition(
    template: DeviceTemplate,
    partitioning: Partitioning,
    variables: Mapping[str, str],
    cut: Cut,
    devices: Devices,
    *,
    is_static: bool,
) -> Document:
    name = partitioning.name.format_map({**variables, **cut.variables})
    identity = str(uuid5(NAMESPACE_DNS, f"{variables['uuid']}/{name}"))
    every = {**variables, **cut.variables, "partitionUuid": identity}
    inherited = {key: template.attributes[key] for key in partitioning.inherits}
    own = {**partitioning.attributes, **(partitioning.static_attributes if is_static else {})}
    capacity = dict(cut.profile.capacity)
    if is_static:
        capacity |= {partitioning.slot_capacity.format(slot=slot): "1" for slot in cut.slots}
    return {
        "name": name,
        "attributes": _attributes({**own, **inherited}, every),
        "capacity": _capacity(capacity, devices),
        **_common(devices),
    }


def _common(devices: Devices) -> Document:
    common: Document = {}
    if devices.taints:
        common["taints"] = [taint_document(taint) for taint in devices.taints]
    if devices.sharing != "none":
        common["allowMultipleAllocations"] = True
    return common


def _attributes(templates: Mapping[str, AttributeTemplate], variables: Mapping[str, str]) -> Document:
    return {key: _attribute(template, variables) for key, template in templates.items()}


def _attribute(template: AttributeTemplate, variables: Mapping[str, str]) -> Document:
    ((kind, value),) = template.items()
    if not isinstance(value, str):
        return {kind: value}
    text = value.format_map(variables)
    return {kind: int(text) if kind == "int" else text}


def _capacity(values: Mapping[str, str], devices: Devices) -> Document:
    """Capacities, with the request policies of shared devices: memory is asked for in steps."""
    capacity: Document = {name: {"value": value} for name, value in values.items()}
    if devices.sharing == "none" or "memory" not in values:
        return capacity
    whole = values["memory"]
    at_least, default = (_SHARED_STEP, whole) if devices.sharing == "memory" else ("0", "0")
    capacity["memory"]["requestPolicy"] = _policy(default, at_least, whole, _SHARED_STEP)
    if isinstance(devices.sharing, int):
        shares = str(devices.sharing)
        capacity["shares"] = {"value": shares, "requestPolicy": _policy("1", "1", shares, "1")}
    return capacity


def _policy(default: str, low: str, high: str, step: str) -> Document:
    return {"default": default, "validRange": {"min": low, "max": high, "step": step}}
