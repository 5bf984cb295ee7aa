"""Why no node has devices for a set of claims: which request, and what left how many of how many devices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from kai_sched.devices.allocation import DEFAULT_OPTIONS, Options, allocate
from kai_sched.devices.closures import OPEN
from kai_sched.devices.constraints import attribute_values, values_of
from kai_sched.devices.index import DeviceIndex
from kai_sched.devices.pools import Pool, PooledDevice
from kai_sched.devices.refusal import DeviceRefusal, RefusalKind, claim_text
from kai_sched.devices.requests import remedy_of
from kai_sched.devices.state import DeviceState
from kai_sched.devices.tally import DeviceCounts, count_devices
from kai_sched.model.devices import AllocationMode, Claim, DeviceConstraint, DeviceRequest
from kai_sched.model.nodes import Node
from kai_sched.model.words import counted

_MAX_SEARCHED_NODES = 200
_DEVICES_A_UNIT = 10
"""Of all nodes, counted for one request."""


@dataclass(frozen=True, slots=True)
class _Shortage:
    """One request with its devices. ``alternatives``: of how many it is the one that lacks least."""

    claim: Claim
    name: str
    request: DeviceRequest
    counts: DeviceCounts
    alternatives: int = 1

    @property
    def missing(self) -> int:
        """Devices that the best node lacks; 0 where counting alone finds them."""
        counts = self.counts
        if self.request.mode != AllocationMode.ALL:
            return self.request.count - counts.best
        lacks = [
            matching - len(free)
            for matching, free in zip(counts.matching_on, counts.free_on, strict=True)
            if matching
        ]
        return min(lacks, default=1)


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
    shortages = _shortages(index, state, nodes, claims, options.closure)
    if not shortages:
        return refusal
    worst = max(shortages, key=lambda shortage: shortage.missing)
    if worst.missing > 0:
        return _refused(worst, _lacking(worst), _remedy(worst))
    return _tied(shortages) or _together(shortages) or _entangled(worst)


def explain_supply(
    index: DeviceIndex,
    state: DeviceState,
    nodes: Sequence[Node],
    claims: Sequence[Claim],
    pods: int,
    closure: int = OPEN,
) -> str:
    """The scarcest request of claims that one pod can have and ``pods`` pods cannot, with what all of them need."""
    shortages = _shortages(index, state, nodes, claims, closure)
    if not shortages:
        return ""

    def places(shortage: _Shortage) -> int:
        return sum(len(free) // max(1, shortage.request.count) for free in shortage.counts.free_on)

    scarcest = min(shortages, key=places)
    each = scarcest.request.count
    holding = sum(len(free) >= each for free in scarcest.counts.free_on)
    return (
        f"{_subject(scarcest)}: {_counts_text(scarcest.counts)}, {each * pods} {_are(each * pods)} needed, {each} on one"
        f" node for each of {pods} pods ({holding} of {len(nodes)} nodes have {each} or more)"
    )


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


def _shortages(
    index: DeviceIndex, state: DeviceState, nodes: Sequence[Node], claims: Sequence[Claim], closure: int
) -> list[_Shortage]:
    """Every request with its counts; of alternatives the one that lacks least, because one is enough."""
    found: list[_Shortage] = []
    devices = sum(len(pool.devices) for node in nodes for pool in index.pools_of(node))
    for claim in claims:
        for request in claim.spec.requests:
            entries = request.first_available or (request,)
            state.meter.charge(len(entries) * (1 + devices // _DEVICES_A_UNIT))
            tried = [
                _Shortage(
                    claim,
                    f"{request.name}/{entry.name}" if request.first_available else request.name,
                    entry,
                    count_devices(index, state, nodes, entry, closure),
                    len(entries),
                )
                for entry in entries
            ]
            found.append(min(tried, key=lambda shortage: shortage.missing))
    return found


def _refused(shortage: _Shortage, reason: str, next_step: str) -> DeviceRefusal:
    return DeviceRefusal(
        kind=RefusalKind.NO_FIT,
        claim=shortage.claim.key,
        request=shortage.name,
        message=f"{_subject(shortage)}: {_counts_text(shortage.counts)}, {reason}",
        next_step=next_step,
        asked=0 if shortage.request.mode == AllocationMode.ALL else shortage.request.count,
        most=max(shortage.counts.matching_on, default=0),
    )


def _subject(shortage: _Shortage) -> str:
    subject = f"claim {claim_text(shortage.claim)}, request {shortage.name}"
    return subject + (f" (the nearest of {shortage.alternatives})" if shortage.alternatives > 1 else "")


def _lacking(shortage: _Shortage) -> str:
    counts = shortage.counts
    nodes = len(counts.free_on)
    if shortage.request.mode == AllocationMode.ALL:
        where = f"on none of {nodes} nodes" if nodes > 1 else "on the only node not"
        return f"all that match on one node are needed, and {where} all of them are free"
    count = shortage.request.count
    best = f"the best of {nodes} nodes has {counts.best}" if nodes > 1 else f"the only node has {counts.best}"
    return f"{_needed(count)} ({best})"


def _remedy(shortage: _Shortage) -> str:
    counts = shortage.counts
    # A pool that is being written may bring what is missing; one that is wrong only where there is nothing else.
    unusable = sorted(counts.unusable.values(), key=lambda pool: (not pool.is_incomplete, pool.key))
    if unusable and (unusable[0].is_incomplete or not counts.of_class):
        return remedy_of(unusable[0])
    if not counts.of_class:
        return f"add nodes with devices of class {shortage.request.device_class}, or ask for another class"
    if not counts.matching:
        return "correct the request's selectors, or add nodes with such devices"
    if counts.closed and counts.free + counts.closed.total() >= shortage.request.count:
        return "ask for devices that are open to such a pod, or prepare nodes for it"
    if max(counts.matching_on) < shortage.request.count and shortage.request.mode != AllocationMode.ALL:
        return f"ask for fewer devices: no node has more than {max(counts.matching_on)} of them"
    if counts.tainted and counts.free + counts.tainted >= shortage.request.count:
        return "tolerate the devices' taints or have them lifted, or free other devices"
    if counts.short and counts.free + counts.short >= shortage.request.count:
        return "ask for less capacity, or free some of the devices that serve many"
    return f"free {counted(shortage.missing, 'more such device')} on one node"


def _tied(shortages: Sequence[_Shortage]) -> DeviceRefusal | None:
    """The constraint that leaves too few devices together, if there is one."""
    for shortage in shortages:
        for constraint in shortage.claim.spec.constraints:
            members = [
                each
                for each in shortages
                if each.claim is shortage.claim and _is_covered(each, constraint) and each.alternatives == 1
            ]
            needed = sum(each.request.count for each in members)
            if not members or needed <= 1:
                continue
            best = max(_largest_set(free, constraint) for free in _unions(members))
            if best < needed:
                name = constraint.match_attribute or constraint.distinct_attribute
                kind = "matchAttribute" if constraint.match_attribute else "distinctAttribute"
                reason = f"{_needed(needed)}, but constraint {kind} {name} leaves at most {best} together"
                return _refused(
                    members[0], reason, f"relax constraint {kind} {name}, or free devices alike in it"
                )
    return None


def _is_covered(shortage: _Shortage, constraint: DeviceConstraint) -> bool:
    return not constraint.requests or shortage.name in constraint.requests


def _unions(members: Sequence[_Shortage]) -> list[dict[int, PooledDevice]]:
    """By node: the free devices of any of these requests."""
    return [
        {entry.ordinal: entry for free in on_node for entry in free}
        for on_node in zip(*(each.counts.free_on for each in members), strict=True)
    ]


def _largest_set(free: dict[int, PooledDevice], constraint: DeviceConstraint) -> int:
    """The most devices that the constraint allows together."""
    name = constraint.match_attribute or constraint.distinct_attribute
    found: Counter[object] = Counter()
    for entry in free.values():
        value = attribute_values(entry, name)
        if value is not None:
            found.update(values_of(value))
    return max(found.values(), default=0) if constraint.match_attribute else len(found)


def _together(shortages: Sequence[_Shortage]) -> DeviceRefusal | None:
    """All requests of the pod against the devices that any of them could have, if these are too few."""
    needed = sum(
        shortage.request.count for shortage in shortages if shortage.request.mode != AllocationMode.ALL
    )
    best = max(map(len, _unions(shortages)))
    is_shared = any(
        entry.device.allow_multiple_allocations
        for each in shortages
        for free in each.counts.free_on
        for entry in free
    )
    if len(shortages) == 1 or is_shared or best >= needed:
        return None
    last = max(shortages, key=lambda shortage: shortage.request.count)
    reason = f"all requests of the pod need {needed} on one node (the best of {len(last.counts.free_on)} has {best})"
    return _refused(last, reason, f"free {needed - best} more such devices on one node")


def _entangled(shortage: _Shortage) -> DeviceRefusal:
    count = shortage.request.count
    reason = f"{_needed(count)}: constraints, counters, capacity or the other requests leave no set of {count} there"
    return _refused(shortage, reason, "free devices of that class, or relax the claim's constraints")


def _needed(count: int) -> str:
    return f"{count} {_are(count)} needed on one node"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _counts_text(counts: DeviceCounts) -> str:
    text = f"{counts.matching} of {counts.total} devices match the selector"
    if counts.total and not counts.of_class:
        text += " (none is of the class)"
    if counts.closed:
        text += f", {_closed_text(counts)}"
    if counts.tainted:
        text += f", {counts.tainted} of them {_are(counts.tainted)} tainted"
    if counts.short:
        text += f", {counts.short} of them {'has' if counts.short == 1 else 'have'} too little capacity left"
    text += f", {counts.free} {_are(counts.free)} free"
    if counts.unsupported:
        names = ", ".join(sorted(counts.unsupported))
        text += f" ({names} is not supported: devices that have it are left alone)"
    if counts.unusable:
        text += f", {_unusable_text(tuple(counts.unusable.values()))}"
    return text


def _unusable_text(pools: Sequence[Pool]) -> str:
    first = pools[0]
    told = f"pool {first.text} is {'being updated' if first.is_incomplete else 'invalid'}"
    return told if len(pools) == 1 else f"{told} as are {len(pools) - 1} more"


def _closed_text(counts: DeviceCounts) -> str:
    total = counts.closed.total()
    reasons = sorted(counts.closed.items(), key=lambda item: (-item[1], item[0]))
    told = "; ".join(
        reason if len(reasons) == 1 else f"{count}: {reason}" for reason, count in reasons if count
    )
    return f"{total} of them {_are(total)} closed to this pod ({told})"
