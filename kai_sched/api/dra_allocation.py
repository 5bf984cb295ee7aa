"""status.allocation of a ResourceClaim, to the model and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from kai_sched.api.dra_wire import (
    amounts_of,
    config_of,
    decimal_names,
    mapping,
    node_selector_document,
    node_selector_of,
    sequence,
    text,
    timestamp_text,
    timestamp_value,
    toleration_of,
)
from kai_sched.model.devices import AllocatedConfig, ClaimAllocation, DeviceResult
from kai_sched.model.quantity import format_quantity

Document = Mapping[str, Any]


def parse_allocation(document: Document) -> ClaimAllocation:
    """status.allocation as somebody wrote it."""
    devices = mapping(document.get("devices"))
    stamp = document.get("allocationTimestamp")
    return ClaimAllocation(
        results=tuple(_result(entry) for entry in sequence(devices.get("results"))),
        configs=tuple(
            AllocatedConfig(text(entry.get("source")), config_of(entry))
            for entry in sequence(devices.get("config"))
        ),
        node_selector=node_selector_of(document.get("nodeSelector")),
        allocated_at=timestamp_value(text(stamp)) if stamp else None,
    )


def _result(document: Document) -> DeviceResult:
    tolerations = sequence(document.get("tolerations"))
    admin = document.get("adminAccess")
    return DeviceResult(
        request=text(document.get("request")),
        driver=text(document.get("driver")),
        pool=text(document.get("pool")),
        device=text(document.get("device")),
        admin_access=None if admin is None else bool(admin),
        tolerations=tuple(toleration_of(entry) for entry in tolerations),
        toleration_documents=tuple(
            orjson.dumps(entry, option=orjson.OPT_SORT_KEYS).decode() for entry in tolerations
        ),
        binding_conditions=tuple(document.get("bindingConditions") or ()),
        binding_failure_conditions=tuple(document.get("bindingFailureConditions") or ()),
        share_id=text(document.get("shareID")),
        consumed_capacity=amounts_of(mapping(document.get("consumedCapacity"))),
        decimal_capacity=decimal_names(mapping(document.get("consumedCapacity"))),
    )


def allocation_document(allocation: ClaimAllocation) -> dict[str, Any]:
    """status.allocation as it is written."""
    devices: dict[str, Any] = {}
    if allocation.results:
        devices["results"] = [_result_document(result) for result in allocation.results]
    if allocation.configs:
        devices["config"] = [_config_document(entry) for entry in allocation.configs]
    document: dict[str, Any] = {"devices": devices}
    if allocation.node_selector is not None:
        document["nodeSelector"] = node_selector_document(allocation.node_selector)
    if allocation.allocated_at is not None:
        document["allocationTimestamp"] = timestamp_text(allocation.allocated_at)
    return document


def _result_document(result: DeviceResult) -> dict[str, Any]:
    document: dict[str, Any] = {
        "request": result.request,
        "driver": result.driver,
        "pool": result.pool,
        "device": result.device,
    }
    if result.admin_access is not None:
        document["adminAccess"] = result.admin_access
    if result.toleration_documents:
        document["tolerations"] = [orjson.loads(entry) for entry in result.toleration_documents]
    if result.binding_conditions:
        document["bindingConditions"] = list(result.binding_conditions)
    if result.binding_failure_conditions:
        document["bindingFailureConditions"] = list(result.binding_failure_conditions)
    if result.share_id:
        document["shareID"] = result.share_id
    if result.consumed_capacity:
        document["consumedCapacity"] = {
            name: format_quantity(value, as_decimal=name in result.decimal_capacity)
            for name, value in result.consumed_capacity
        }
    return document


def _config_document(entry: AllocatedConfig) -> dict[str, Any]:
    document: dict[str, Any] = {"source": entry.source}
    if entry.config.requests:
        document["requests"] = list(entry.config.requests)
    if entry.config.driver:
        opaque: dict[str, Any] = {"driver": entry.config.driver}
        if entry.config.parameters:
            opaque["parameters"] = orjson.loads(entry.config.parameters)
        document["opaque"] = opaque
    return document
