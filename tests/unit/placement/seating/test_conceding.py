"""Alternatives of requests: the node that gives the best one is taken, however full another is."""

from __future__ import annotations

from kai_sched.placement.seating.conceding import concessions, seat_preferring
from tests.unit.placement.memory_worlds import FIRST_BIG, Scene, a_pool, asks
from tests.unit.placement.stage import Stage


def a_stage(*pools, count: int = 1) -> Stage:
    return Stage(Scene().gang("g", count, FIRST_BIG).on(*pools))


def test_the_node_of_the_first_alternative_is_taken():
    stage = a_stage(a_pool("x", "small"), a_pool("y", "big"))

    assert seat_preferring(stage.ground, stage.shape("g-0"), [0]) == 1
    assert stage.seated() == {"g-0": "y"}


def test_who_comes_later_concedes_what_is_left():
    stage = a_stage(a_pool("x", "small"), a_pool("y", "big"), count=2)

    assert seat_preferring(stage.ground, stage.shape("g-0"), [0, 1]) == 2
    assert stage.seated() == {"g-0": "y", "g-1": "x"}


def test_who_finds_no_alternative_is_not_seated_and_ends_the_run():
    stage = a_stage(a_pool("x", "other"), a_pool("y", "small"), count=2)

    assert seat_preferring(stage.ground, stage.shape("g-0"), [0, 1]) == 1
    assert stage.seated() == {"g-0": "y"}


def test_what_would_be_conceded_on_each_node_is_asked_without_seating():
    stage = a_stage(a_pool("x", "small"), a_pool("y", "big"))

    found = concessions(stage.ground, stage.shape("g-0"), 0, [stage.node("x"), stage.node("y")])

    assert found == {stage.node("x"): 1, stage.node("y"): 0}
    assert stage.seated() == {}


def test_a_pod_without_alternatives_concedes_nothing():
    stage = Stage(Scene().gang("g", 1, asks("big")).on(a_pool("y", "big")))

    assert concessions(stage.ground, stage.shape("g-0"), 0, [0]) == {}
