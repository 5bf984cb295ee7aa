"""The shape of resource.k8s.io objects as far as they are read: a field of another kind is refused by its path.

The API server has checked this for objects that it stored; those of a snapshot file come from anywhere.
Source: resource.k8s.io/v1 and v1beta2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kai_sched.api.translate.fields import FieldError
from kai_sched.model.quantity import parse_quantity


@dataclass(frozen=True, slots=True)
class MapOf:
    """A mapping of free keys."""

    value: Any


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list."""

    value: Any


class Quantity:
    """A Kubernetes quantity."""


_TEXTS: Final = ListOf(str)
_COUNTERS: Final = MapOf({"value": Quantity})
_REQUIREMENTS: Final = ListOf({"key": str, "operator": str, "values": _TEXTS})
_NODE_SELECTOR: Final = {
    "nodeSelectorTerms": ListOf({"matchExpressions": _REQUIREMENTS, "matchFields": _REQUIREMENTS})
}
_TAINT: Final = {"key": str, "value": str, "effect": str, "timeAdded": str}
_TOLERATIONS: Final = ListOf(
    {"key": str, "operator": str, "value": str, "effect": str, "tolerationSeconds": int}
)
_CONFIG: Final = ListOf({"requests": _TEXTS, "source": str, "opaque": {"driver": str, "parameters": {}}})
_SELECTORS: Final = ListOf({"cel": {"expression": str}})
_METADATA: Final = {
    "name": str,
    "namespace": str,
    "uid": str,
    "labels": MapOf(str),
    "annotations": MapOf(str),
    "creationTimestamp": str,
    "deletionTimestamp": str,
    "finalizers": _TEXTS,
    "resourceVersion": str,
    "ownerReferences": ListOf({"uid": str, "controller": bool}),
}
_ATTRIBUTE: Final = {
    "int": int,
    "bool": bool,
    "string": str,
    "version": str,
    "ints": ListOf(int),
    "bools": ListOf(bool),
    "strings": _TEXTS,
    "versions": _TEXTS,
}
_REQUEST_POLICY: Final = {
    "default": Quantity,
    "validValues": ListOf(Quantity),
    "validRange": {"min": Quantity, "max": Quantity, "step": Quantity},
}
_DEVICE: Final = {
    "name": str,
    "attributes": MapOf(_ATTRIBUTE),
    "capacity": MapOf({"value": Quantity, "requestPolicy": _REQUEST_POLICY}),
    "consumesCounters": ListOf({"counterSet": str, "counters": _COUNTERS, "compatibilityGroups": _TEXTS}),
    "taints": ListOf(_TAINT),
    "nodeName": str,
    "nodeSelector": _NODE_SELECTOR,
    "allNodes": bool,
    "bindsToNode": bool,
    "bindingConditions": _TEXTS,
    "bindingFailureConditions": _TEXTS,
    "allowMultipleAllocations": bool,
}
SLICE: Final = {
    "metadata": _METADATA,
    "spec": {
        "driver": str,
        "pool": {"name": str, "generation": int, "resourceSliceCount": int},
        "nodeName": str,
        "nodeSelector": _NODE_SELECTOR,
        "allNodes": bool,
        "perDeviceNodeSelection": bool,
        "devices": ListOf(_DEVICE),
        "sharedCounters": ListOf({"name": str, "counters": _COUNTERS}),
    },
}
DEVICE_CLASS: Final = {
    "metadata": _METADATA,
    "spec": {"selectors": _SELECTORS, "config": _CONFIG, "extendedResourceName": str},
}
TAINT_RULE: Final = {
    "metadata": _METADATA,
    "spec": {"deviceSelector": {"driver": str, "pool": str, "device": str}, "taint": _TAINT},
}
_EXACT: Final = {
    "name": str,
    "deviceClassName": str,
    "selectors": _SELECTORS,
    "allocationMode": str,
    "count": int,
    "adminAccess": bool,
    "tolerations": _TOLERATIONS,
    "capacity": {"requests": MapOf(Quantity)},
}
CLAIM_DEVICES: Final = {
    "requests": ListOf({"name": str, "exactly": _EXACT, "firstAvailable": ListOf(_EXACT)}),
    "constraints": ListOf({"requests": _TEXTS, "matchAttribute": str, "distinctAttribute": str}),
    "config": _CONFIG,
}
_RESULT: Final = {
    "request": str,
    "driver": str,
    "pool": str,
    "device": str,
    "adminAccess": bool,
    "tolerations": _TOLERATIONS,
    "bindingConditions": _TEXTS,
    "bindingFailureConditions": _TEXTS,
    "shareID": str,
    "consumedCapacity": MapOf(Quantity),
}
CLAIM_STATUS: Final = {
    "allocation": {
        "devices": {"results": ListOf(_RESULT), "config": _CONFIG},
        "nodeSelector": _NODE_SELECTOR,
        "allocationTimestamp": str,
    },
    "reservedFor": ListOf({"apiGroup": str, "resource": str, "name": str, "uid": str}),
    "devices": ListOf(
        {
            "driver": str,
            "pool": str,
            "device": str,
            "shareID": str,
            "conditions": ListOf({"type": str, "status": str}),
        }
    ),
}
CLAIM_METADATA: Final = _METADATA
_WORDS: Final = {str: "a string", int: "an integer", bool: "true or false", Quantity: "a quantity"}


def check_shape(value: Any, shape: Any, path: str = "") -> None:
    """Compare what is there with the shape; null and absent fields, and fields not named in it, are fine.

    Raises:
        FieldError: names the first field, in the order of the shape, that is of another kind.
    """
    if value is None:
        return
    match shape:
        case MapOf():
            for key, entry in _mapping(value, path).items():
                check_shape(entry, shape.value, f"{path}[{key}]")
        case ListOf():
            for number, entry in enumerate(_list(value, path)):
                if entry is None:
                    raise FieldError(f"{path}[{number}]", "must not be null")
                check_shape(entry, shape.value, f"{path}[{number}]")
        case dict():
            owner = _mapping(value, path)
            for key, entry in shape.items():
                if key in owner:
                    check_shape(owner[key], entry, f"{path}.{key}" if path else key)
        case _:
            _check_leaf(value, shape, path)


def _check_leaf(value: Any, kind: type, path: str) -> None:
    if kind is Quantity:
        try:
            parse_quantity(str(value) if isinstance(value, int | float) else value)
        except (ValueError, TypeError, AttributeError, OverflowError):
            raise FieldError(path, f"{value!r} is no quantity") from None
    elif not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise FieldError(path, f"must be {_WORDS[kind]}")


def _mapping(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise FieldError(path, "must be an object")
    return value


def _list(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise FieldError(path, "must be a list")
    return value
