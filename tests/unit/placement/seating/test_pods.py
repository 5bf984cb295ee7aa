"""Seating pods of one leaf: bigger ones first, many at once where counting decides, and how many there was room for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kai_sched.model.policy import Strategy
from kai_sched.placement.seating.pods import seat_pods
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec
from tests.unit.placement.stage import GREEDY, Stage


def a_stage(sizes: dict[str, int], *nodes, policy=GREEDY) -> Stage:
    pods = [a_pod(name, a_spec(gpus=gpus)) for name, gpus in sizes.items()]
    return Stage(a_snapshot(nodes=nodes, pods=pods, groups=[a_group(name) for name in sizes]), policy)


def test_as_many_as_there_is_room_for_are_seated_and_counted():
    stage = a_stage({f"p{number}": 3 for number in range(5)}, a_node("a"), a_node("b", gpus=4))

    assert seat_pods(stage.ground, range(5)) == 3
    assert sorted(stage.seated().values()) == ["a", "a", "b"]


def test_the_biggest_pods_come_first_whatever_their_order():
    stage = a_stage({"a-small": 1, "b-big": 8, "c-mid": 4}, a_node("n", gpus=12))

    assert seat_pods(stage.ground, range(3)) == 2
    assert stage.seated() == {"b-big": "n", "c-mid": "n"}


def test_after_the_first_that_does_not_fit_no_smaller_one_is_tried():
    stage = a_stage({"big": 9, "small": 1}, a_node("n"))

    assert seat_pods(stage.ground, range(2)) == 0
    assert stage.seated() == {}


def test_bins_are_packed_and_with_the_other_strategy_spread():
    nodes = (a_node("a"), a_node("b"))
    packed = a_stage({"p0": 2, "p1": 2}, *nodes)
    seat_pods(packed.ground, range(2))
    spread = a_stage({"p0": 2, "p1": 2}, *nodes, policy=replace(GREEDY, gpu_strategy=Strategy.SPREAD))
    seat_pods(spread.ground, range(2))

    assert len(set(packed.seated().values())) == 1
    assert len(set(spread.seated().values())) == 2


def test_the_fullest_node_is_taken_first_and_equal_ones_by_name():
    running = a_pod("runs", a_spec(gpus=6), node="c")
    pods = [running, a_pod("p", a_spec(gpus=2)), a_pod("q", a_spec(gpus=2))]
    stage = Stage(
        a_snapshot(
            nodes=[a_node(name) for name in "abc"],
            pods=pods,
            groups=[a_group(name) for name in ("runs", "p", "q")],
        )
    )

    seat_pods(stage.ground, [stage.pod("p"), stage.pod("q")])

    assert stage.seated() == {"p": "c", "q": "a"}


def test_domains_to_spread_over_are_filled_one_after_the_other():
    stage = a_stage({f"p{number}": 8 for number in range(3)}, *(a_node(name) for name in "abcde"))
    codes = np.array([0, 1, 1, 1, 0], dtype=np.int32)

    assert seat_pods(replace(stage.ground, spread_over=codes), range(3)) == 3
    assert set(stage.seated().values()) == {"b", "c", "d"}


def test_nothing_to_seat_is_nothing_seated():
    stage = a_stage({"p": 1}, a_node("a"))

    assert seat_pods(stage.ground, []) == 0
    assert seat_pods(stage.ground.within(stage.nodes()), [0]) == 0
