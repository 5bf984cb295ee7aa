"""Claims checked and prepared for the search: every request and subrequest with its class, mode and device count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kai_sched.devices.capacity import NotRepresentable, consumed_amounts
from kai_sched.devices.cel.selector import SelectorVerdict
from kai_sched.devices.closures import OPEN
from kai_sched.devices.index import CHEAP_STEPS, EXPENSIVE, DeviceIndex, SelectorKey
from kai_sched.devices.pools import Pool, PooledDevice
from kai_sched.devices.refusal import RefusalKind, Refused, claim_text
from kai_sched.devices.work import WorkMeter
from kai_sched.model.devices import AllocationMode, Claim, DeviceClass, DeviceConstraint, DeviceRequest

MAX_RESULTS: Final = 32
"""Devices of one claim: AllocationResultsMaxSize."""
_COMPILING: Final = -1
"""In place of a device's ordinal."""
_EXPENSIVE_STEPS_A_CYCLE: Final = 60_000
_CHEAPER: Final = (
    f"make the selectors cheaper: what takes up to {CHEAP_STEPS} steps for a device is not counted,"
    " loops over lists take most"
)
"""What all evaluations above the cheap limit may cost together, so that many devices cannot multiply a slow selector."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparedRequest:
    """A request, or one subrequest, ready to be searched for."""

    name: str
    """``main`` or ``main/sub``."""
    request: DeviceRequest
    device_class: DeviceClass
    selector_key: SelectorKey
    positions: tuple[PooledDevice, ...]
    """Every device that may be tried, in search order."""
    all_devices: tuple[PooledDevice, ...] | None
    """For mode All: what All is."""
    count: int
    is_admin: bool


@dataclass(frozen=True, slots=True, eq=False)
class PreparedClaim:
    """A claim with, for each request, its alternatives in order; a plain request is its only one."""

    claim: Claim
    requests: tuple[tuple[PreparedRequest, ...], ...]
    constraints: tuple[DeviceConstraint, ...]

    def is_listed(self, index: int) -> bool:
        """Whether a request offers alternatives (firstAvailable)."""
        return bool(self.claim.spec.requests[index].first_available)


class Selection:
    """Answers whether a device matches a request on this node, in the order in which the search asks."""

    def __init__(
        self, index: DeviceIndex, pools: Sequence[Pool], meter: WorkMeter, closure: int = OPEN
    ) -> None:
        self.index = index
        self.meter = meter
        self.closure = closure
        self._unreachable = frozenset[int]().union(*(pool.unreachable for pool in pools))

    def matches(self, claim: Claim, prepared_key: SelectorKey, entry: PooledDevice, request: str) -> bool:
        """Whether the device passes all selectors.

        Raises:
            Refused: an expression does not compile, fails or costs too much.
        """
        if entry.device.binding_conditions and not self.index.features.binding_conditions:
            return False
        verdict = self.index.verdict_on(prepared_key, entry)
        if verdict is EXPENSIVE:
            verdict = self._paid(claim, prepared_key, entry, request)
        if isinstance(verdict, str):
            text = verdict.replace("{claim}", claim_text(claim), 1)
            raise Refused(text, request=request, device=entry.device_id)
        return verdict.is_match and entry.ordinal not in self._unreachable

    def _paid(
        self, claim: Claim, key: SelectorKey, entry: PooledDevice, request: str
    ) -> SelectorVerdict | str:
        """An expensive verdict, as long as the cycle can pay for one more."""
        if not self.meter.has_paid((key, entry.ordinal)):
            if self.meter.spent_on_selectors > _EXPENSIVE_STEPS_A_CYCLE:
                raise Refused(
                    f"claim {claim_text(claim)}, request {request}: its selectors take more evaluation steps than one"
                    f" cycle allows ({_EXPENSIVE_STEPS_A_CYCLE}; {self.meter.spent_on_selectors} are spent and not all devices"
                    " looked at)",
                    kind=RefusalKind.BUDGET,
                    request=request,
                    device=entry.device_id,
                    next_step=_CHEAPER,
                )
            if not self.meter.has_paid((key, _COMPILING)):
                self.meter.pay_for_selector((key, _COMPILING), self.index.compile_steps(key))
            steps = self.index.paid_verdict_on(key, entry)[1]
            self.meter.pay_for_selector((key, entry.ordinal), steps if steps > CHEAP_STEPS else 0)
        return self.index.paid_verdict_on(key, entry)[0]


def prepare_claim(claim: Claim, pools: Sequence[Pool], selection: Selection) -> PreparedClaim:
    """Check one claim as the reference does, in its order.

    Raises:
        Refused: the claim can never be allocated as it stands.
    """
    usable = tuple(
        entry
        for pool in pools
        if not pool.is_incomplete and not pool.invalid_reason
        for entry in pool.devices
    )
    requests: list[tuple[PreparedRequest, ...]] = []
    total = 0
    for request in claim.spec.requests:
        _check_features(claim, request, selection.index)
        alternatives = [(f"{request.name}/{sub.name}", sub) for sub in request.first_available]
        prepared = tuple(
            _prepared(claim, name, entry, (pools, usable), selection)
            for name, entry in (alternatives or [(request.name, request)])
        )
        least = min(entry.count for entry in prepared)
        if least > MAX_RESULTS - total:
            raise Refused(
                f"claim {claim_text(claim)}, request {request.name}: adding {least} devices exceeds the claim limit"
                f" of {MAX_RESULTS}, with {total} already accounted for",
                request=request.name,
            )
        total += least
        requests.append(prepared)
    for number, constraint in enumerate(claim.spec.constraints):
        if not constraint.match_attribute and not constraint.distinct_attribute:
            raise Refused(
                f"claim {claim_text(claim)}, constraint #{number}: empty constraint (unsupported constraint type?)"
            )
    return PreparedClaim(claim, tuple(requests), claim.spec.constraints)


def _check_features(claim: Claim, request: DeviceRequest, index: DeviceIndex) -> None:
    features = index.features
    if request.first_available and not features.prioritized_list:
        raise Refused(
            f"claim {claim_text(claim)}, request {request.name}: has subrequests, but the DRAPrioritizedList feature is disabled",
            request=request.name,
        )
    if features.consumable_capacity:
        return
    for entry in (request, *request.first_available):
        if entry.has_capacity_requests:
            kind = "request" if entry is request else "subrequest"
            raise Refused(
                f"claim {claim_text(claim)}, {kind} {entry.name}: has capacity requests,"
                " but the DRAConsumableCapacity feature is disabled",
                request=entry.name,
            )


def _prepared(
    claim: Claim,
    name: str,
    request: DeviceRequest,
    places: tuple[Sequence[Pool], tuple[PooledDevice, ...]],
    selection: Selection,
) -> PreparedRequest:
    pools, usable = places
    where = f"claim {claim_text(claim)}, request {request.name}"
    _check_request(claim, where, request, selection.index)
    device_class = selection.index.classes.get(request.device_class)
    if device_class is None:
        raise Refused(
            f'{where}: could not retrieve device class {request.device_class}: "{request.device_class}" not found',
            request=request.name,
            next_step=f"create device class {request.device_class}, or name one that exists",
        )
    if device_class.problem:
        raise Refused(f"{where}: class {device_class.name}: {device_class.problem}", request=request.name)
    key = (device_class.name, request.selectors, selection.closure)
    everything: tuple[PooledDevice, ...] | None = None
    count = request.count
    if request.mode == AllocationMode.ALL:
        everything = _all_devices(claim, where, request, pools, (key, selection))
        count = len(everything)
    elif request.mode != AllocationMode.EXACT_COUNT:
        raise Refused(f"{where}: unsupported count mode {request.mode}", request=request.name)
    return PreparedRequest(
        name, request, device_class, key, usable, everything, count, bool(request.admin_access)
    )


def _check_request(claim: Claim, where: str, request: DeviceRequest, index: DeviceIndex) -> None:
    if request.unsupported:
        raise Refused(f"{where}: {', '.join(request.unsupported)} is not supported", request=request.name)
    if request.problem:
        raise Refused(f"{where}{request.problem}", request=request.name)
    if request.admin_access is not None and not index.features.admin_access:
        raise Refused(
            f"{where}: admin access is requested, but the feature is disabled", request=request.name
        )
    if request.admin_access and not claim.namespace_allows_admin:
        raise Refused(
            f'{where}: admin access needs the label resource.kubernetes.io/admin-access: "true" on the namespace',
            request=request.name,
        )
    if not request.device_class:
        raise Refused(f"{where}: missing device class name (unsupported request type?)", request=request.name)


def _all_devices(
    claim: Claim,
    where: str,
    request: DeviceRequest,
    pools: Sequence[Pool],
    selecting: tuple[SelectorKey, Selection],
) -> tuple[PooledDevice, ...]:
    key, selection = selecting
    features = selection.index.features
    found: list[PooledDevice] = []
    for pool in pools:
        if pool.is_incomplete or pool.invalid_reason:
            state = "being updated" if pool.is_incomplete else f"invalid: {pool.invalid_reason}"
            raise Refused(
                f"{where}: asks for all devices, but resource pool {pool.text} is currently {state}",
                request=request.name,
                next_step=remedy_of(pool),
            )
        for entry in pool.devices:
            if not selection.matches(claim, key, entry, request.name):
                continue
            # What other claims hold is left out here: a device that is full makes All fail, it is not skipped.
            if features.consumable_capacity and not _has_at_least(where, request, entry, selection.index):
                continue
            found.append(entry)
    return tuple(found)


def remedy_of(pool: Pool) -> str:
    """What helps where a pool cannot be used."""
    if pool.is_incomplete:
        return f"wait until its driver has published all slices of pool {pool.text}"
    return f"have the driver of pool {pool.text} publish it correctly: {pool.invalid_reason}"


def _has_at_least(where: str, request: DeviceRequest, entry: PooledDevice, index: DeviceIndex) -> bool:
    try:
        amounts = consumed_amounts(
            request.capacity, entry.device.capacity, is_fractional=index.features.fractional_capacity_range
        )
    except NotRepresentable as error:
        raise Refused(
            f"{where}: checking capacity for device {entry.name}: {error}",
            request=request.name,
            device=entry.device_id,
        ) from None
    return amounts is not None and all(amounts[name] <= value for name, value in entry.capacity)
