"""Constraints of a claim over its devices: a value of an attribute that all share, or that no two share.

A scalar is a list of one (KEP-5491): shared is a value that stands in every device's list, distinct are lists without
a common value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Final

from kai_sched.model.devices import ClaimAllocation, ClaimSpec, Device, DeviceResult
from kai_sched.model.ids import ClaimKey
from kai_sched.placement.checker.violation import Violation, ViolationKind

_KIND_OF_ITEMS: Final = {"bools": "bool", "ints": "int", "strings": "string", "versions": "version"}


def check_constraints(
    key: ClaimKey, spec: ClaimSpec, allocation: ClaimAllocation, devices: Mapping[str, Device]
) -> Iterator[Violation]:
    """Check matchAttribute and distinctAttribute of one freshly allocated claim."""
    for constraint in spec.constraints:
        covered = [one for one in allocation.results if _is_covered(one.request, constraint.requests)]
        known = [one for one in covered if one.device_id in devices]
        if constraint.match_attribute:
            values = [_values(devices[one.device_id], one, constraint.match_attribute) for one in known]
            if values and not frozenset.intersection(*values):
                message = f"its devices differ in {constraint.match_attribute}"
                yield Violation(ViolationKind.CLAIM, key, message)
        if constraint.distinct_attribute:
            values = [_values(devices[one.device_id], one, constraint.distinct_attribute) for one in known]
            if not all(values) or any(one & other for one, other in combinations(values, 2)):
                message = f"its devices share a value of {constraint.distinct_attribute}"
                yield Violation(ViolationKind.CLAIM, key, message)


def _is_covered(request: str, requests: tuple[str, ...]) -> bool:
    return not requests or request in requests or request.partition("/")[0] in requests


def _values(device: Device, result: DeviceResult, name: str) -> frozenset[tuple[str, object]]:
    """Values of an attribute by its full name; the driver's own domain may be left out where it was published."""
    attributes = dict(device.attributes)
    domain, _, short = name.partition("/")
    found = attributes.get(name)
    if found is None and domain == result.driver:
        found = attributes.get(short)
    if found is None:
        return frozenset()
    kind, value = found
    if isinstance(value, tuple):
        return frozenset((_KIND_OF_ITEMS.get(kind, kind), item) for item in value)
    return frozenset({(kind, value)})
