"""Boards: how many pods of a shape each node takes, true after every seat and every way back."""

from __future__ import annotations

from dataclasses import replace

from kai_sched.model.selectors import Taint
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.horizon import Horizon
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec
from tests.unit.placement.memory_worlds import Scene, a_pool, asks
from tests.unit.placement.stage import Stage


def a_stage(*nodes, pods=(), **sizes: int) -> Stage:
    waiting = [a_pod(name, a_spec(gpus=count)) for name, count in sizes.items()]
    every = [*waiting, *pods]
    groups = [a_group(pod.key.split("/")[1]) for pod in every]
    return Stage(a_snapshot(nodes=nodes, pods=every, groups=groups))


def test_slots_are_counted_by_the_scarcest_resource():
    stage = a_stage(a_node("gpus", cpu=3000), a_node("cpus", gpus=4), a_node("pods", pods=1), p=2)

    assert stage.slots("p") == {"gpus": 3, "cpus": 2, "pods": 1}


def test_nodes_that_the_pod_may_not_use_have_no_slots():
    cordoned = a_node("cordoned", is_cordoned=True)
    tainted = a_node("tainted", taints=(Taint("k", "v", "NoSchedule"),))
    stage = a_stage(a_node("open"), cordoned, tainted, a_node("sick", is_ready=False), p=8)

    assert stage.slots("p") == {"cordoned": 0, "open": 1, "sick": 0, "tainted": 0}


def test_slots_follow_seats_and_their_undoing():
    stage = a_stage(a_node("a"), a_node("b"), p=2, q=8)
    assert stage.slots("p") == {"a": 4, "b": 4}

    stage.seat("q", "a")
    assert stage.slots("p") == {"a": 0, "b": 4}
    stage.world.rollback(0)
    assert stage.slots("p") == {"a": 4, "b": 4}


def test_a_refused_node_is_not_asked_again_until_room_grows():
    stage = Stage(Scene().gang("g", 2, asks()).on(a_pool("x", "one"), a_pool("y", "one")))
    stage.seat("g-0", "x")
    stage.boards.refuse(stage.shape("g-1"), stage.node("x"), Horizon.NOW)
    assert stage.slots("g-1") == {"x": 0, "y": 1}

    stage.world.rollback(0)

    assert stage.slots("g-1") == {"x": 1, "y": 1}


def test_what_was_conceded_is_known_while_nobody_left():
    stage = a_stage(a_node("a"), p=2, q=2)
    shape = stage.shape("p")
    mark = stage.world.checkpoint()
    stage.seat("q", "a")
    stage.boards.concede(shape, Horizon.NOW, stage.world.moment(), 3)
    assert stage.boards.conceded(shape, Horizon.NOW) == 3

    stage.world.rollback(mark)

    assert stage.boards.conceded(shape, Horizon.NOW) == 0


def test_boards_at_hand_say_what_boards_made_anew_say():
    stage = a_stage(a_node("a"), a_node("b"), p=2, q=3)
    stage.slots("p")
    stage.seat("q", "b")
    stage.slots("p")
    stage.seat("p", "a")
    anew = Boards(stage.world).board(stage.shape("p"), Horizon.NOW)
    board = stage.boards.board(stage.shape("p"), Horizon.NOW)

    assert board.slots.tolist() == anew.slots.tolist()
    assert board.cost.tolist() == anew.cost.tolist()


def test_pods_without_gpus_cost_least_on_nodes_without_gpus():
    stage = a_stage(a_node("a", gpus=8), a_node("b", gpus=0), p=0)
    cost = stage.boards.board(stage.shape("p"), Horizon.NOW).cost

    assert cost[stage.node("b")] < cost[stage.node("a")]


def test_pods_alike_have_one_shape_and_others_their_own():
    stage = a_stage(a_node("a"), p=2, q=2, r=3)

    assert stage.shape("p") is stage.shape("q")
    assert stage.shape("p") is not stage.shape("r")


def test_a_node_that_is_gone_takes_nothing_and_gives_nothing():
    held = replace(a_pod("lost", a_spec(gpus=8), node="gone"))
    stage = a_stage(a_node("a"), pods=[held], p=8)

    assert stage.slots("p") == {"a": 1}
