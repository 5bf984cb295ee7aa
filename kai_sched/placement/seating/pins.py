"""Pins: where the users of a shared claim, or of a fabric, might be kept together, tried for a gang that found no place.

Greedy's first pod decides for all others where its shared claim is allocated. Where that went wrong, the places from
which such devices can be reached are tried one after another, each with the whole gang.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kai_sched.devices.allocator import DeviceIndex
from kai_sched.devices.closures import OPEN
from kai_sched.model.devices import Claim, DeviceRequest
from kai_sched.model.ids import ClaimKey
from kai_sched.placement.gangs import Gang
from kai_sched.placement.site.base import WorldBase
from kai_sched.placement.site.fabrics import mixed_fabrics
from kai_sched.placement.world.ground import Ground
from kai_sched.placement.world.spans import domain_room, shapes_of
from kai_sched.placement.world.world import World

Mask = NDArray[np.bool_]
MAX_PINS: Final = 64
_DEVICES_A_UNIT: Final = 20


def pin_choices(ground: Ground, gang: Gang) -> Iterator[dict[object, Mask]]:
    """What to pin, one choice after another, tightest first."""
    base, homes = ground.world.base, ground.world.homes
    pods = gang.core_pods()
    codes = homes.codes
    for fabric, members in mixed_fabrics(base.pods, set(pods), base.fabric_of).items():
        if not homes.cliques(fabric):
            room = domain_room(ground, codes, members, codes >= 0)
            for code in room[:MAX_PINS]:
                yield {fabric: codes == code}
    for key, members in _shared_claims(ground.world, pods).items():
        masks = [mask for mask in _reaches(base, base.claims[key]) if mask.any()]
        fitting = [
            (spare, number)
            for number, mask in enumerate(masks)
            if (spare := _spare(ground, members, mask)) >= 0
        ]
        for _, number in sorted(fitting)[:MAX_PINS]:
            yield {key: masks[number]}


def _shared_claims(world: World, pods: Sequence[int]) -> dict[ClaimKey, list[int]]:
    """Claims without an allocation that several of the pods use."""
    users: dict[ClaimKey, list[int]] = {}
    for pod in pods:
        for key in world.base.shape_of(pod).named:
            if world.allocation_of(key) is None:
                users.setdefault(key, []).append(pod)
    return {key: members for key, members in users.items() if len(members) > 1}


def _reaches(base: WorldBase, claim: Claim) -> list[Mask]:
    """Sets of nodes that can reach devices of the claim which are no part of a node, each set once."""
    index = base.device_index
    wanted = [one for request in claim.spec.requests for one in (request.first_available or (request,))]
    base.meter.charge(len(index.devices) * len(wanted) // _DEVICES_A_UNIT)
    found: dict[bytes, Mask] = {}
    for entry in index.current_devices:
        place = entry.device if entry.published_in.per_device_node_selection else entry.published_in
        if place.node_selector is None or not any(_serves(index, entry.ordinal, one) for one in wanted):
            continue
        mask = base.table.match(place.node_selector)
        found.setdefault(mask.tobytes(), mask)
    return list(found.values())


def _serves(index: DeviceIndex, ordinal: int, request: DeviceRequest) -> bool:
    if request.device_class not in index.classes:
        return False
    verdict = index.verdict_on((request.device_class, request.selectors, OPEN), index.devices[ordinal])
    return not isinstance(verdict, str) and verdict.is_match


def _spare(ground: Ground, pods: Sequence[int], mask: Mask) -> int:
    """Nodes' free rows beyond what the pods need inside the mask; negative where they cannot fit."""
    spare = 0
    for shape, count in shapes_of(ground.world, pods).items():
        free = ground.free()[mask]
        room = np.full(len(free), np.int64(1) << 30)
        for column in np.flatnonzero(shape.request):
            np.minimum(room, free[:, column] // shape.request[column], out=room)
        left = int(np.maximum(room, 0).sum()) - count
        if left < 0:
            return left
        spare += left
    return spare
