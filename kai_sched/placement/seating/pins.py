"""Pins: where the users of a shared claim, or of a fabric, might be kept together, tried for a gang that found no place.

Greedy's first pod decides for all others where its shared claim is allocated. Where that went wrong, the places from
which such devices can be reached are tried one after another, each with the whole gang.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kai_sched.devices.closures import OPEN
from kai_sched.model.devices import Claim, DeviceRequest
from kai_sched.model.ids import ClaimKey
from kai_sched.placement.gangs import Gang
from kai_sched.placement.site.fabrics import mixed_fabrics
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.spans import domain_room, shapes_of

Mask = NDArray[np.bool_]
MAX_PINS: Final = 64


def pin_choices(boards: Boards, gang: Gang, *, in_future: bool) -> Iterator[dict[object, Mask]]:
    """What to pin, one choice after another, tightest first."""
    base = boards.world.base
    pods = gang.core_pods()
    codes = boards.world.homes.codes
    for fabric, members in mixed_fabrics(base.pods, set(pods), base.fabric_of).items():
        if not boards.world.homes.cliques(fabric):
            room = domain_room(boards, codes, members, codes >= 0, in_future=in_future)
            for code in room[:MAX_PINS]:
                yield {fabric: codes == code}
    for key, members in _shared_claims(boards, pods).items():
        masks = [mask for mask in _reaches(boards, base.claims[key]) if mask.any()]
        fitting = [
            (spare, number)
            for number, mask in enumerate(masks)
            if (spare := _spare(boards, members, mask, in_future=in_future)) >= 0
        ]
        for _, number in sorted(fitting)[:MAX_PINS]:
            yield {key: masks[number]}


def _shared_claims(boards: Boards, pods: Sequence[int]) -> dict[ClaimKey, list[int]]:
    """Claims without an allocation that several of the pods use."""
    users: dict[ClaimKey, list[int]] = {}
    for pod in pods:
        for key in boards.world.base.shape_of(pod).named:
            if boards.world.allocation_of(key) is None:
                users.setdefault(key, []).append(pod)
    return {key: members for key, members in users.items() if len(members) > 1}


def _reaches(boards: Boards, claim: Claim) -> list[Mask]:
    """Sets of nodes that can reach devices of the claim which are no part of a node, each set once."""
    base = boards.world.base
    index = base.device_index
    wanted = [one for request in claim.spec.requests for one in (request.first_available or (request,))]
    found: dict[bytes, Mask] = {}
    for entry in index.current_devices:
        place = entry.device if entry.published_in.per_device_node_selection else entry.published_in
        if place.node_selector is None or not any(_serves(boards, entry.ordinal, one) for one in wanted):
            continue
        mask = base.table.match(place.node_selector)
        found.setdefault(mask.tobytes(), mask)
    return list(found.values())


def _serves(boards: Boards, ordinal: int, request: DeviceRequest) -> bool:
    index = boards.world.base.device_index
    if request.device_class not in index.classes:
        return False
    verdict = index.verdict_on((request.device_class, request.selectors, OPEN), index.devices[ordinal])
    return not isinstance(verdict, str) and verdict.is_match


def _spare(boards: Boards, pods: Sequence[int], mask: Mask, *, in_future: bool) -> int:
    """Nodes' free rows beyond what the pods need inside the mask; negative where they cannot fit."""
    spare = 0
    for shape, count in shapes_of(boards, pods).items():
        free = boards.world.free_for(in_future=in_future)[mask]
        room = np.full(len(free), np.int64(1) << 30)
        for column in np.flatnonzero(shape.request):
            np.minimum(room, free[:, column] // shape.request[column], out=room)
        left = int(np.maximum(room, 0).sum()) - count
        if left < 0:
            return left
        spare += left
    return spare
