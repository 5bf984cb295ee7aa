"""The world: seats and leaves in one journal, and the way back through it."""

from __future__ import annotations

import numpy as np

from kai_sched.devices.allocator import DeviceRefusal
from kai_sched.model.workloads import PodState
from kai_sched.placement.world.horizon import Horizon
from kai_sched.placement.world.stays import stay_of
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec
from tests.unit.placement.memory_worlds import Scene, a_pool, asks
from tests.unit.placement.stage import Stage


def a_stage(*more, **fields) -> Stage:
    pods = [a_pod("p", a_spec(gpus=2)), a_pod("q", a_spec(gpus=6)), *more]
    names = {pod.key.split("/")[1] for pod in pods}
    return Stage(
        a_snapshot(
            nodes=[a_node("a"), a_node("b")], pods=pods, groups=[a_group(name) for name in names], **fields
        )
    )


def gpus(stage: Stage, node: str, horizon: Horizon = Horizon.NOW) -> int:
    column = stage.world.base.gpu_columns[0]
    return int(stage.world.free_for(horizon)[stage.node(node), column])


def test_a_seat_takes_what_its_pod_asks_for_and_a_rollback_gives_it_back():
    stage = a_stage()
    mark = stage.world.checkpoint()
    stage.seat("p", "a")
    stage.seat("q", "a")
    assert (gpus(stage, "a"), gpus(stage, "b")) == (0, 8)

    stage.world.rollback(mark)

    assert gpus(stage, "a") == 8
    assert stage.seated() == {}


def test_a_rollback_ends_at_its_mark():
    stage = a_stage()
    stage.seat("p", "a")
    mark = stage.world.checkpoint()
    stage.seat("q", "b")

    assert [seat.pod for seat in stage.world.seats_since(mark)] == [stage.pod("q")]
    stage.world.rollback(mark)
    assert stage.seated() == {"p": "a"}


def test_what_leaves_is_free_later_and_held_now():
    stage = a_stage(a_pod("runs", a_spec(gpus=8), node="a"))
    stay = stay_of(stage.world.base, stage.pod("runs"))
    assert (gpus(stage, "a"), gpus(stage, "a", Horizon.LATER)) == (0, 0)
    assert not stage.world.is_releasing

    mark = stage.world.checkpoint()
    stage.world.leave(stay)
    assert (gpus(stage, "a"), gpus(stage, "a", Horizon.LATER)) == (0, 8)
    stage.world.come_back(stay)
    assert gpus(stage, "a", Horizon.LATER) == 0
    stage.world.rollback(mark)
    assert not stage.world.is_releasing
    assert gpus(stage, "a", Horizon.LATER) == 0


def test_who_is_being_deleted_leaves_from_the_beginning():
    stage = a_stage(a_pod("old", a_spec(gpus=8), node="a", state=PodState.RELEASING))

    assert stage.world.is_releasing
    assert (gpus(stage, "a"), gpus(stage, "a", Horizon.LATER)) == (0, 8)


def test_a_seat_of_later_is_no_room_now_for_others():
    stage = a_stage(a_pod("old", a_spec(gpus=4), node="a", state=PodState.RELEASING))
    stage.seat("q", "a", Horizon.LATER)

    assert gpus(stage, "a", Horizon.LATER) == 2
    assert gpus(stage, "a") == 2, "who comes now must leave room for who waits"


def test_a_withdrawn_seat_is_gone_wherever_it_was_in_the_order():
    stage = a_stage()
    stage.seat("p", "a")
    moment = stage.world.moment()
    stage.seat("q", "b")

    stage.world.withdraw({stage.pod("p")})

    assert stage.seated() == {"q": "b"}
    assert gpus(stage, "a") == 8
    assert not stage.world.stands(moment), "what was concluded before may be otherwise now"


def test_a_fork_goes_its_own_way():
    stage = a_stage()
    stage.seat("p", "a")
    fork = stage.world.fork()
    before = fork.now.free.copy()
    stage.seat("q", "b")

    assert np.array_equal(fork.now.free, before)
    assert [seat.pod for seat in fork.seats] == [stage.pod("p")]
    fork.rollback(0)
    assert stage.seated() == {"p": "a", "q": "b"}


def test_a_moment_stands_until_room_may_have_grown():
    stage = a_stage()
    stage.seat("p", "a")
    moment = stage.world.moment()
    stage.seat("q", "b")
    assert stage.world.stands(moment)
    assert not stage.world.is_as_at(moment)

    stage.world.rollback(1)
    assert stage.world.is_as_at(moment)
    stage.world.rollback(0)
    assert not stage.world.stands(moment)


def test_devices_are_given_with_the_seat_and_come_back_with_it():
    stage = Stage(Scene().gang("g", 2, asks()).on(a_pool("x", "one")))
    seat = stage.seat("g-0", "x")
    assert [key for key, _ in seat.allocations] == ["team/c-g-0"]
    refused = stage.world.take(1, stage.shape("g-1"), stage.node("x"), Horizon.NOW)
    assert isinstance(refused, DeviceRefusal)

    stage.world.rollback(0)

    assert stage.world.allocation_of(seat.allocations[0][0]) is None
    assert stage.seat("g-1", "x").allocations
