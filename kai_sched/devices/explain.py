"""Why no node has devices for a set of claims: which request, and what left how many of how many devices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kai_sched.devices.allocation import DEFAULT_OPTIONS, Options, allocate
from kai_sched.devices.index import DeviceIndex
from kai_sched.devices.pools import PooledDevice
from kai_sched.devices.refusal import DeviceRefusal, RefusalKind, claim_text
from kai_sched.devices.state import DeviceState
from kai_sched.devices.taints import blocking_taint
from kai_sched.model.devices import AllocationMode, Claim, DeviceRequest
from kai_sched.model.nodes import Node

_MAX_SEARCHED_NODES = 200


@dataclass(frozen=True, slots=True)
class DeviceCounts:
    """Devices of some nodes, for one request."""

    total: int
    matching: int
    tainted: int
    """Matching ones that the request does not tolerate."""
    free: int
    """Matching ones that are neither tainted nor held."""
    best: int
    """The most of them on one node."""
    unusable_pools: int
    """Pools that are being updated or invalid."""
    unsupported: tuple[str, ...] = ()
    """Fields of matching devices that we cannot honour, which keeps us off them."""


def explain_claims(
    index: DeviceIndex,
    state: DeviceState,
    nodes: Sequence[Node],
    claims: Sequence[Claim],
    options: Options = DEFAULT_OPTIONS,
) -> DeviceRefusal | None:
    """The refusal that speaks for all nodes; None if some node has devices for these claims."""
    if not nodes or not claims:
        return None
    refusal = _first_refusal(index, state, nodes, claims, options)
    if refusal is None or refusal.kind is not RefusalKind.NO_FIT:
        return refusal
    return _shortage(index, state, nodes, claims) or refusal


def _first_refusal(
    index: DeviceIndex, state: DeviceState, nodes: Sequence[Node], claims: Sequence[Claim], options: Options
) -> DeviceRefusal | None:
    """A fatal one if there is any, else the first; None as soon as a node serves."""
    first: DeviceRefusal | None = None
    for node in nodes[:_MAX_SEARCHED_NODES]:
        outcome = allocate(index, state, node, claims, options)
        if not isinstance(outcome, DeviceRefusal):
            return None
        if outcome.kind is not RefusalKind.NO_FIT:
            return outcome
        first = first or outcome
    return first


def _shortage(
    index: DeviceIndex, state: DeviceState, nodes: Sequence[Node], claims: Sequence[Claim]
) -> DeviceRefusal | None:
    """The request that is shortest of devices on the best node; the first one where counts alone do not tell."""
    worst: tuple[int, Claim, DeviceRequest, DeviceCounts] | None = None
    for claim in claims:
        for request in claim.spec.requests:
            for entry in request.first_available or (request,):
                counts = count_devices(index, state, nodes, entry)
                missing = _needed(entry) - counts.best
                if worst is None or missing > worst[0]:
                    worst = (missing, claim, entry, counts)
    if worst is None:
        return None
    missing, claim, request, counts = worst
    message = f"claim {claim_text(claim)}, request {request.name}: {_counts_text(counts)}"
    needed = _needed(request)
    if missing > 0:
        message += f", {needed} are needed on one node (the best node has {counts.best})"
    else:
        message += (
            f", {needed} are needed on one node: constraints, counters, capacity or the other requests leave no"
            f" set of {needed} there"
        )
    return DeviceRefusal(kind=RefusalKind.NO_FIT, claim=claim.key, request=request.name, message=message)


def _needed(request: DeviceRequest) -> int:
    return 1 if request.mode == AllocationMode.ALL else request.count


def _counts_text(counts: DeviceCounts) -> str:
    text = f"{counts.matching} of {counts.total} devices match the selector"
    if counts.tainted:
        text += f", {counts.tainted} of them are tainted"
    text += f", {counts.free} are free"
    if counts.unsupported:
        text += f" ({', '.join(counts.unsupported)} is not supported: devices that have it are left alone)"
    if counts.unusable_pools:
        text += f", {counts.unusable_pools} pools are being updated or invalid"
    return text


def count_devices(
    index: DeviceIndex, state: DeviceState, nodes: Iterable[Node], request: DeviceRequest
) -> DeviceCounts:
    """Count the devices of these nodes for one request, each device once."""
    seen: set[int] = set()
    matching: set[int] = set()
    tainted: set[int] = set()
    free: set[int] = set()
    unusable: set[tuple[str, str]] = set()
    unsupported: set[str] = set()
    best = 0
    for node in nodes:
        here = 0
        for pool in index.pools_of(node):
            if pool.is_incomplete or pool.invalid_reason:
                unusable.add(pool.key)
            for entry in pool.devices:
                seen.add(entry.ordinal)
                if entry.ordinal in pool.unreachable or not _matches(index, request, entry):
                    continue
                matching.add(entry.ordinal)
                unsupported.update(entry.device.unsupported)
                if entry.device.unsupported:
                    continue
                if blocking_taint(entry.taints, request.tolerations) is not None:
                    tainted.add(entry.ordinal)
                elif entry.name not in state.use_of(pool.key).dedicated:
                    free.add(entry.ordinal)
                    here += 1
        best = max(best, here)
    return DeviceCounts(
        len(seen),
        len(matching),
        len(tainted),
        len(free),
        best,
        len(unusable),
        tuple(sorted(unsupported)),
    )


def _matches(index: DeviceIndex, request: DeviceRequest, entry: PooledDevice) -> bool:
    if request.device_class not in index.classes:
        return False
    verdict = index.verdict_on((request.device_class, request.selectors), entry)
    return not isinstance(verdict, str) and verdict.is_match
