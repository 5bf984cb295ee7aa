"""Decode: seats of a world become placements of a plan, with GPU ordinals, claims and what they wait for."""

from __future__ import annotations

from collections.abc import Sequence

from kai_sched.model.ids import PodKey, Uid
from kai_sched.model.plan import ClaimPlacement, Placement, VolumePlacement
from kai_sched.model.policy import DeviceChoice
from kai_sched.model.workloads import HOLDS_ROOM, Pod
from kai_sched.placement.world.horizon import Horizon
from kai_sched.placement.world.room import Seat
from kai_sched.placement.world.world import World
from kai_sched.topology.devices import preferred_ordinals


def decode(world: World) -> tuple[tuple[Placement, ...], tuple[Placement, ...]]:
    """(binds, pipelined) of a world's seats, each in seat order."""
    ordinals = _Ordinals(world)
    releasing = _releasing_by_node(world)
    # Who is bound now needs GPUs that are free now; the others take what is left, or comes free.
    now, later = (
        tuple(
            _placement(world, seat, ordinals.take(seat), releasing)
            for seat in world.seats
            if seat.horizon is horizon
        )
        for horizon in (Horizon.NOW, Horizon.LATER)
    )
    return now, later


def _placement(
    world: World, seat: Seat, indices: tuple[int, ...], releasing: dict[int, tuple[PodKey, ...]]
) -> Placement:
    base = world.base
    pod = base.pods[seat.pod]
    if pod.group is None:
        raise AssertionError(f"{pod.key} belongs to another scheduler")
    waits = releasing.get(seat.node, ()) if seat.horizon is Horizon.LATER and _lacks_room(world, seat) else ()
    return Placement(
        pod=pod.key,
        uid=pod.uid,
        pod_group=pod.group,
        node=base.table.nodes[seat.node].name,
        gpu_indices=indices,
        gpu_groups=seat.share.groups if seat.share is not None else (),
        claims=_claims(world, seat, pod),
        volumes=_volumes(world, seat),
        waits_for=waits,
    )


def _claims(world: World, seat: Seat, pod: Pod) -> tuple[ClaimPlacement, ...]:
    granted = dict(seat.allocations)
    found: list[ClaimPlacement] = []
    for key in pod.claim_keys:
        allocation = world.allocation_of(key)
        found.append(
            ClaimPlacement(
                claim=key,
                uid=world.base.claims[key].uid,
                devices=tuple(result.device_id for result in allocation.results) if allocation else (),
                allocation=granted.get(key),
            )
        )
    if seat.special is not None:
        claim = seat.special.claim
        allocation = granted[claim.key]
        found.append(
            ClaimPlacement(
                claim=claim.key,
                uid=claim.uid,
                devices=tuple(result.device_id for result in allocation.results),
                allocation=allocation,
                creation=seat.special.creation,
            )
        )
    return tuple(found)


def _volumes(world: World, seat: Seat) -> tuple[VolumePlacement, ...]:
    """The seats of a world decide together; what a seat in the future will get is decided when it is bound."""
    if seat.horizon is Horizon.LATER or not seat.shape.spec.volume_claims:
        return ()
    dynamic = world.now.dynamic
    return tuple(
        VolumePlacement(claim=claim.key, uid=Uid(claim.uid), volume=decision.volume)
        for claim in dynamic.unbound_claims(seat.shape.spec)
        if (decision := dynamic.volume_decision(claim.key)) is not None
    )


def _lacks_room(world: World, seat: Seat) -> bool:
    """Whether the node cannot take the pod before something is released there."""
    if seat.allocations or seat.share is not None:
        return True
    return bool((world.now.free[seat.node] < seat.shape.request).any())


def _releasing_by_node(world: World) -> dict[int, tuple[PodKey, ...]]:
    found: dict[int, list[PodKey]] = {}
    for stay in world.leaving.values():
        found.setdefault(stay.node, []).append(world.base.pods[stay.pod].key)
    return {node: tuple(sorted(keys)) for node, keys in found.items()}


class _Ordinals:
    """Ordinals of device-plugin GPUs inside a node: which are taken; neighbours are given together.

    Pods that were bound without us have no recorded ordinals; they are given the lowest free ones, in key order.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._taken: dict[tuple[int, bool], set[int]] = {}
        self._group_at: dict[tuple[int, str], int] = {}
        self._holders = _gpu_holders(world)
        self._leaving = {world.base.pods[position].uid for position in world.leaving}

    def take(self, seat: Seat) -> tuple[int, ...]:
        """The ordinals of one seat, () where the pod takes no device-plugin GPU."""
        world = self._world
        whole = sum(int(seat.shape.request[column]) for column in world.base.gpu_columns)
        groups = seat.share.groups if seat.share is not None else ()
        if whole and world.base.gpu_column_of[seat.node] < 0:
            whole = 0  # The node serves them by DRA: the claim says which.
        if not whole and not groups:
            return ()
        taken = self._taken_on(seat.node, include_releasing=seat.horizon is Horizon.NOW)
        found = (*self._places_of(seat.node, groups, taken), *self._chosen(seat.node, taken, whole))
        self._taken_on(seat.node, include_releasing=False).update(found)
        return found

    def _chosen(self, node: int, taken: set[int], count: int) -> tuple[int, ...]:
        base = self._world.base
        column = base.gpu_column_of[node]
        if column < 0 or base.policy.device_choice is not DeviceChoice.TOPOLOGY:
            return _lowest(taken, count)
        free = [ordinal for ordinal in range(base.table.allocatable[node, column]) if ordinal not in taken]
        if len(free) < count:
            return _lowest(taken, count)
        chosen = preferred_ordinals(free, count)
        taken.update(chosen)
        return chosen

    def _taken_on(self, node: int, *, include_releasing: bool) -> set[int]:
        key = (node, include_releasing)
        if key not in self._taken:
            self._taken[key] = set()
            for pod in self._holders.get(node, ()):
                if include_releasing or pod.uid not in self._leaving:
                    self._seat_holder(node, pod, self._taken[key])
        return self._taken[key]

    def _seat_holder(self, node: int, pod: Pod, taken: set[int]) -> None:
        recorded = tuple(pod.gpu_indices)
        if pod.gpu_groups:
            for position, name in enumerate(pod.gpu_groups):
                if position < len(recorded):
                    self._group_at.setdefault((node, name), recorded[position])
            taken.update(self._places_of(node, pod.gpu_groups, taken))
            return
        whole = sum(
            amount for name, amount in pod.spec.requests if name in self._world.base.policy.gpu_resources
        )
        taken.update(recorded)
        _lowest(taken, whole - len(recorded))

    def _places_of(self, node: int, groups: Sequence[str], taken: set[int]) -> tuple[int, ...]:
        places: list[int] = []
        for name in groups:
            if (node, name) not in self._group_at:
                self._group_at[node, name] = _lowest(taken, 1)[0]
            places.append(self._group_at[node, name])
        return tuple(places)


def _gpu_holders(world: World) -> dict[int, list[Pod]]:
    """Pods with device-plugin GPUs by node, on nodes that have seats.

    Those whose ordinals are recorded come first, so that none is given away.
    """
    names = set(world.base.policy.gpu_resources)
    table = world.base.table
    seated_on = {table.nodes[seat.node].name for seat in world.seats}
    there = [pod for pod in world.base.pods if pod.node in seated_on and pod.state in HOLDS_ROOM]
    holders: dict[int, list[Pod]] = {}
    for pod in sorted(there, key=lambda pod: not pod.gpu_indices):
        if pod.node is not None and (pod.gpu_groups or any(name in names for name, _ in pod.spec.requests)):
            holders.setdefault(table.index_of[pod.node], []).append(pod)
    return holders


def _lowest(taken: set[int], count: int) -> tuple[int, ...]:
    """Take the lowest free ordinals."""
    found: list[int] = []
    ordinal = 0
    while len(found) < count:
        if ordinal not in taken:
            found.append(ordinal)
        ordinal += 1
    taken.update(found)
    return tuple(found)
