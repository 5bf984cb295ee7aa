"""Who leaves a world frees what they held, whoever comes back holds it again, and undoing leaves no trace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kai_sched.model.pods import PodTable
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import HOLDS_ROOM, PodState
from kai_sched.placement.site.fleet_index import FleetCache
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.build import build_world
from kai_sched.placement.world.ground import Ground
from kai_sched.placement.world.horizon import Horizon
from kai_sched.placement.world.room import Room
from kai_sched.placement.world.stays import Stay, stay_of
from kai_sched.placement.world.world import World
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec
from tests.strategies import snapshots

POLICY = Policy(use_solver=False, advice_units=0)


def world_of(snapshot: ClusterSnapshot) -> World:
    return build_world(snapshot, POLICY, FleetCache())


def stays_in(world: World) -> list[Stay]:
    """Everybody who could leave."""
    pods = enumerate(world.base.pods)
    held = [at for at, pod in pods if pod.state in HOLDS_ROOM and pod.state is not PodState.RELEASING]
    return [stay_of(world.base, at) for at in held]


def room_print(room: Room, snapshot: ClusterSnapshot) -> dict[str, Any]:
    """All that a room says, in values that can be compared."""
    specs = {id(pod.spec): pod.spec for pod in snapshot.pods}.values()
    masks = [room.dynamic.mask(spec) for spec in specs]
    return {
        "free": room.free.tolist(),
        "devices": {key: use for key, use in room.devices.items() if use.dedicated or use.shared},
        "shares": {node: dict(groups) for node, groups in room.shares.used.items() if groups},
        "masks": [mask if mask is None else mask.tolist() for mask in masks],
    }


def fingerprint(world: World, snapshot: ClusterSnapshot) -> dict[str, Any]:
    homes = {fabric: {code: n for code, n in of.items() if n} for fabric, of in world.homes.pods.items()}
    later = world.once_left
    return {
        "now": room_print(world.now, snapshot),
        "later": None if later is None else room_print(later, snapshot),
        "homes": homes,
        "leaving": sorted(world.leaving),
        "allocated": dict(world.allocated),
    }


def without(snapshot: ClusterSnapshot, gone: set[str]) -> ClusterSnapshot:
    """The snapshot once these pods are gone: read anew, with nothing of what worlds do when somebody leaves."""
    uids = {pod.uid for pod in snapshot.pods if pod.key in gone}
    claims = []
    for claim in snapshot.claims:
        rest = tuple(one for one in claim.reserved_for if one.uid not in uids)
        is_freed = bool(claim.reserved_for) and not rest
        claims.append(replace(claim, reserved_for=rest, allocation=None if is_freed else claim.allocation))
    pods = [pod for pod in snapshot.pods if pod.key not in gone]
    return replace(snapshot, pods=PodTable.sorted_by_key(pods), claims=tuple(claims))


@given(snapshots(), st.data())
def test_what_is_free_once_some_have_left_is_what_is_free_where_they_never_were(
    snapshot: ClusterSnapshot, data: st.DataObject
):
    world = world_of(snapshot)
    chosen = [stay for stay in stays_in(world) if data.draw(st.booleans())]
    for stay in chosen:
        world.leave(stay)

    gone = {world.base.pods[at].key for at in world.leaving}
    apart = without(snapshot, gone)
    if gone:
        assert room_print(world.later, apart) == room_print(world_of(apart).now, apart)
    free_now = world_of(snapshot).now.free
    assert (world.now.free == free_now).all()


@given(snapshots(), st.data())
def test_every_rollback_leads_back_to_the_world_that_was(snapshot: ClusterSnapshot, data: st.DataObject):
    world = world_of(snapshot)
    boards = Boards(world)
    marks = [(world.checkpoint(), fingerprint(world, snapshot))]
    for _ in range(data.draw(st.integers(1, 8))):
        act(world, boards, data)
        if len(marks) > 1 and data.draw(st.integers(0, 2)) == 0:
            at = data.draw(st.integers(0, len(marks) - 1))
            mark, before = marks[at]
            del marks[at + 1 :]
            world.rollback(mark)
            assert fingerprint(world, snapshot) == before
        marks.append((world.checkpoint(), fingerprint(world, snapshot)))
    world.rollback(marks[0][0])
    assert fingerprint(world, snapshot) == marks[0][1]
    assert fingerprint(world.fork(), snapshot) == marks[0][1]


def act(world: World, boards: Boards, data: st.DataObject) -> None:
    """One pod leaves, comes back or is seated."""
    may_leave = [stay for stay in stays_in(world) if stay.pod not in world.leaving]
    seated = {seat.pod for seat in world.seats}
    waiting = [
        at
        for at, pod in enumerate(world.base.pods)
        if pod.state is PodState.PENDING and pod.group is not None and at not in seated
    ]
    kind = data.draw(st.sampled_from(["leave", "seat", "seat", "come back"]))
    if kind == "leave" and may_leave:
        world.leave(data.draw(st.sampled_from(may_leave)))
    elif kind == "come back" and world.leaving and not world.seats:
        world.come_back(data.draw(st.sampled_from(list(world.leaving.values()))))
    elif waiting:
        pod = data.draw(st.sampled_from(waiting))
        shape = world.base.shape_of(pod)
        ground = Ground(boards, data.draw(st.sampled_from(Horizon)))
        for node in ground.ordered(shape, ground.slots(shape))[:1]:
            ground.seat(pod, shape, node)


def undone_once() -> tuple[dict[str, Any], dict[str, Any]]:
    """The world when one of two pods leaves, and again after the other had left and came back."""
    pods = [a_pod(name, a_spec(gpus=2), node="a") for name in ("p", "q")]
    snapshot = a_snapshot(nodes=[a_node("a")], pods=pods, groups=[a_group("p"), a_group("q")])
    world = world_of(snapshot)
    first, second = stays_in(world)
    world.leave(first)
    mark, before = world.checkpoint(), fingerprint(world, snapshot)
    world.leave(second)
    world.rollback(mark)
    return before, fingerprint(world, snapshot)


def test_a_rollback_that_leaves_room_behind_is_found_out(monkeypatch: pytest.MonkeyPatch):
    before, after = undone_once()
    assert before == after

    monkeypatch.setattr("kai_sched.placement.world.world.hold", lambda *_arguments: None)

    before, after = undone_once()
    assert before != after
