"""Constraints of a claim over its devices: equal or distinct values of an attribute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kai_sched.model.devices import AttributeValue, Claim, ClaimAllocation, Device, DeviceResult
from kai_sched.placement.checker.violation import Violation, ViolationKind


def check_constraints(
    claim: Claim, allocation: ClaimAllocation, devices: Mapping[str, Device]
) -> Iterator[Violation]:
    """Check matchAttribute and distinctAttribute of one freshly allocated claim."""
    for constraint in claim.spec.constraints:
        covered = [
            result for result in allocation.results if _is_covered(result.request, constraint.requests)
        ]
        known = [result for result in covered if result.device_id in devices]
        if constraint.match_attribute:
            values = [_value(devices[one.device_id], one, constraint.match_attribute) for one in known]
            if not _all_equal(values):
                yield Violation(
                    ViolationKind.CLAIM, claim.key, f"its devices differ in {constraint.match_attribute}"
                )
        if constraint.distinct_attribute:
            values = [_value(devices[one.device_id], one, constraint.distinct_attribute) for one in known]
            if None in values or len(set(values)) != len(values):
                yield Violation(
                    ViolationKind.CLAIM,
                    claim.key,
                    f"its devices share a value of {constraint.distinct_attribute}",
                )


def _is_covered(request: str, requests: tuple[str, ...]) -> bool:
    return not requests or request in requests or request.partition("/")[0] in requests


def _value(device: Device, result: DeviceResult, name: str) -> AttributeValue | None:
    """An attribute by its full name; the driver's own domain may be left out where it was published."""
    attributes = dict(device.attributes)
    domain, _, short = name.partition("/")
    found = attributes.get(name)
    if found is None and domain == result.driver:
        found = attributes.get(short)
    return found


def _all_equal(values: list[AttributeValue | None]) -> bool:
    """Scalars must be equal; list values must have something in common."""
    if not values:
        return True
    if any(value is None for value in values):
        return False
    present = [value for value in values if value is not None]
    if all(isinstance(value[1], tuple) for value in present):
        shared = set.intersection(
            *({*value[1]} if isinstance(value[1], tuple) else set() for value in present)
        )
        return bool(shared)
    return len(set(present)) == 1
