"""``grant``: allocations made of devices that were chosen elsewhere, with every check that the search makes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from kai_sched.devices.allocation import DEFAULT_OPTIONS, Options
from kai_sched.devices.attempt import Attempt
from kai_sched.devices.index import DeviceIndex
from kai_sched.devices.partitions import PieceKey
from kai_sched.devices.pools import PooledDevice
from kai_sched.devices.refusal import Refused
from kai_sched.devices.requests import Selection, prepare_claim
from kai_sched.devices.results import allocation_of
from kai_sched.devices.state import DeviceState
from kai_sched.model.devices import Claim, ClaimAllocation
from kai_sched.model.nodes import Node


def grant(
    index: DeviceIndex,
    state: DeviceState,
    node: Node,
    claims: Sequence[Claim],
    chosen: dict[PieceKey, list[PooledDevice]],
    options: Options = DEFAULT_OPTIONS,
) -> tuple[ClaimAllocation, ...] | None:
    """One allocation for each claim out of the chosen devices, by kind; None where a check refuses them."""
    pools = index.pools_of(node)
    if index.closures.bundle(options.closure, node.name):
        # Which devices go together is the search's work.
        return None
    selection = Selection(index, pools, state.meter, options.closure)
    waiting = {key: iter(sorted(devices, key=lambda one: one.ordinal)) for key, devices in chosen.items()}
    try:
        prepared = [prepare_claim(claim, pools, selection) for claim in claims]
        attempt = Attempt(index, state, pools, tuple(prepared), bug_compatible=options.bug_compatible)
        for number, claim in enumerate(prepared):
            for (request,) in claim.requests:
                kind = (request.selector_key, request.request.tolerations)
                for entry in islice(waiting[kind], request.count):
                    matches = selection.matches(claim.claim, request.selector_key, entry, request.name)
                    if not matches or not attempt.take(number, claim, request, entry):
                        return None
            if len(attempt.results[number]) != sum(request.count for (request,) in claim.requests):
                return None
    except Refused:
        return None
    return tuple(
        allocation_of(
            claim,
            [alternatives[0] for alternatives in claim.requests],
            attempt.results[number],
            node,
            index.features,
            options.now,
        )
        for number, claim in enumerate(prepared)
    )
