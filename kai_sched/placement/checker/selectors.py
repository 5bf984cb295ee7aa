"""What a request asks of each device that it is given: its class, its selectors, its taints, a part of its capacity.

Expressions are evaluated by ``devices.cel``, which is shared on purpose: a second reading of that language would be
another product. Which expressions count for which device is decided here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from kai_sched.devices.cel.device_view import DeviceFacts
from kai_sched.devices.cel.selector import compiled_selector
from kai_sched.model.devices import (
    ClaimSpec,
    Device,
    DeviceClass,
    DeviceRequest,
    DeviceResult,
    DeviceTaintRule,
    RequestPolicy,
)
from kai_sched.model.selectors import Taint
from kai_sched.model.snapshot import Fleet
from kai_sched.placement.checker.labels import repelling_taint


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The classes of a fleet, and its admins' taints by the (driver, pool, device) that they name."""

    classes: Mapping[str, DeviceClass]
    taint_rules: Mapping[tuple[str | None, str | None, str | None], tuple[DeviceTaintRule, ...]]

    @classmethod
    def of(cls, fleet: Fleet) -> Catalogue:
        """The catalogue of a fleet."""
        rules: dict[tuple[str | None, str | None, str | None], tuple[DeviceTaintRule, ...]] = {}
        for rule in fleet.taint_rules:
            key = (rule.driver, rule.pool, rule.device)
            rules[key] = (*rules.get(key, ()), rule)
        return cls({one.name: one for one in fleet.device_classes}, rules)

    def taints_of(self, device: Device, driver: str, pool: str) -> tuple[Taint, ...]:
        """The taints of a device: as published, and by rules that speak of it."""
        by_rules = (
            rule.taint
            for one in (driver, None)
            for two in (pool, None)
            for three in (device.name, None)
            for rule in self.taint_rules.get((one, two, three), ())
        )
        return (*device.taints, *by_rules) if self.taint_rules else device.taints


def request_of(spec: ClaimSpec, name: str) -> DeviceRequest | None:
    """The request, or the alternative of one, that a result names: ``main`` or ``main/alternative``."""
    main, _, alternative = name.partition("/")
    for request in spec.requests:
        if request.name == main:
            among = request.first_available or (request,)
            wanted = alternative if request.first_available else main
            return next((one for one in among if one.name == wanted), None)
    return None


def wrong_with_device(
    catalogue: Catalogue, request: DeviceRequest, result: DeviceResult, device: Device
) -> Iterator[str]:
    """What a device is not that the request asks for."""
    facts = DeviceFacts(result.driver, device)
    yield from _unselected(catalogue, request, facts)
    taint = repelling_taint(catalogue.taints_of(device, result.driver, result.pool), request.tolerations)
    if taint is not None:
        yield f"has taint {taint.key}:{taint.effect}, which request {result.request} does not tolerate"
    if device.unsupported:
        yield f"has {device.unsupported[0]}, which nobody here can honour"
    if bool(result.admin_access) != bool(request.admin_access):
        yield f"is given with other access than request {result.request} asks for"
    if result.tolerations != request.tolerations or (
        result.toleration_documents != request.toleration_documents
    ):
        yield f"is given with other tolerations than request {result.request} has"
    if (result.binding_conditions, result.binding_failure_conditions) != (
        device.binding_conditions,
        device.binding_failure_conditions,
    ):
        yield "is given with other binding conditions than it has"
    yield from _wrong_part(request, result, device)


def matches(catalogue: Catalogue, request: DeviceRequest, driver: str, device: Device) -> bool:
    """Whether class and request select a device."""
    return next(_unselected(catalogue, request, DeviceFacts(driver, device)), "") == ""


def _unselected(catalogue: Catalogue, request: DeviceRequest, facts: DeviceFacts) -> Iterator[str]:
    """The first selector that does not hold."""
    device_class = catalogue.classes.get(request.device_class)
    if device_class is None:
        yield f"is given by class {request.device_class}, which does not exist"
        return
    if device_class.problem:
        yield f"is given by class {device_class.name}: {device_class.problem}"
        return
    for owner, expressions in (
        (f"class {device_class.name}", device_class.selectors),
        (f"request {request.name}", request.selectors),
    ):
        for number, expression in enumerate(expressions):
            verdict = compiled_selector(expression).verdict(facts)
            if verdict.error or not verdict.is_match:
                yield f"does not pass selector #{number} of {owner}"
                return


def _wrong_part(request: DeviceRequest, result: DeviceResult, device: Device) -> Iterator[str]:
    """Parts are given of devices that serve many, and of no others; each part is as large as asked, and allowed."""
    wanted, given = dict(request.capacity), dict(result.consumed_capacity)
    has = dict(device.capacity)
    for name, amount in sorted(wanted.items()):
        if name not in has or has[name].value < amount:
            yield f"has less {name} than the {amount} that request {result.request} asks for"
    if bool(result.share_id) != device.allow_multiple_allocations:
        yield (
            "is given as a part although it is not shared"
            if result.share_id
            else "is shared, given as a whole"
        )
    if not device.allow_multiple_allocations:
        return
    for name, capacity in device.capacity:
        default = capacity.policy.default if capacity.policy is not None else None
        asked = wanted.get(name, capacity.value if default is None else default)
        amount = given.get(name, Fraction(0))
        if amount < asked:
            yield f"gives {amount} of {name}, request {result.request} asks for {asked}"
        elif capacity.policy is not None and not _is_allowed(amount, capacity.policy):
            yield f"gives {amount} of {name}, which its policy does not allow"


def _is_allowed(amount: Fraction, policy: RequestPolicy) -> bool:
    if policy.default is not None and amount == policy.default:
        return True
    if not policy.has_range:
        return not policy.valid_values or amount in policy.valid_values
    return policy.range_max is None or amount <= policy.range_max
