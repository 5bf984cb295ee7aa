"""Reasons: one that decides, with figures, and a step that leads somewhere."""

from __future__ import annotations

from kai_sched.model.plan import Blocker
from kai_sched.model.selectors import Taint
from kai_sched.placement.refusal import Refusal
from kai_sched.placement.seating.greedy import place_core
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec, racks
from tests.unit.placement.memory_worlds import Scene, a_pool, asks
from tests.unit.placement.stage import Stage


def refusal_of(stage: Stage, gang: str = "g") -> Refusal:
    found = place_core(stage.ground, stage.gang(gang))
    assert found is not None
    return found


def a_stage(nodes, count: int = 1, *, running=(), required: str = "", **spec) -> Stage:
    pods = [a_pod(f"g-{number}", a_spec(**spec), group="g") for number in range(count)]
    groups = [a_group("g", min_member=count, required=required)]
    groups += [a_group(pod.key.split("/")[1]) for pod in running]
    return Stage(a_snapshot(nodes=nodes, pods=[*pods, *running], groups=groups))


def test_the_resource_that_is_short_is_named_and_not_the_one_that_is_there():
    refusal = refusal_of(a_stage([a_node("a", memory=1 << 30)], gpus=1, memory=2 << 30))

    assert refusal.blocker is Blocker.CAPACITY
    assert "memory" in refusal.message
    assert "nvidia.com/gpu" not in refusal.message


def test_a_pod_larger_than_every_node_is_told_by_the_biggest_node():
    refusal = refusal_of(a_stage([a_node("a"), a_node("b", gpus=4)], gpus=9))

    assert refusal.bound is not None
    assert (refusal.bound.resource, refusal.bound.asked, refusal.bound.there) == ("nvidia.com/gpu", 9, 8)
    assert refusal.is_proof


def test_nodes_that_may_not_be_used_are_told_by_what_keeps_the_pod_off():
    tainted = a_node("a", taints=(Taint("dedicated", "x", "NoSchedule"),))
    refusal = refusal_of(a_stage([tainted, a_node("b", is_cordoned=True)], gpus=1))

    assert refusal.blocker is Blocker.NODE_CONSTRAINTS
    assert "taint" in refusal.message
    assert "cordon" in refusal.message or "unschedulable" in refusal.message


def test_a_gang_is_told_how_many_of_its_pods_found_room():
    refusal = refusal_of(a_stage([a_node("a"), a_node("b")], 3, gpus=8))

    assert (refusal.fitted, refusal.wanted) == (2, 3)


def test_a_domain_that_is_too_small_is_told_with_the_roomiest():
    refusal = refusal_of(a_stage(racks(2, 2), 3, required="rack", gpus=8))

    assert refusal.blocker is Blocker.TOPOLOGY
    assert "3 pods" in refusal.message
    assert "holds 2" in refusal.message


def test_devices_that_are_missing_are_told_as_devices():
    stage = Stage(Scene().gang("g", 2, asks("big")).on(a_pool("x", "big"), a_pool("y", "small")))
    refusal = refusal_of(stage)

    assert refusal.blocker is Blocker.DEVICES
    assert refusal.fitted == 1


def test_room_that_others_hold_is_told_as_capacity():
    running = [a_pod("runs", a_spec(gpus=8), node="a")]
    refusal = refusal_of(a_stage([a_node("a")], gpus=1, running=running))

    assert refusal.blocker is Blocker.CAPACITY
    assert "nvidia.com/gpu" in refusal.message
