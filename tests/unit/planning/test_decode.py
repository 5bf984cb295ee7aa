"""Seats of a world as placements of a plan: who is bound now, who waits for whom, and which GPUs of a node they get."""

from __future__ import annotations

from kai_sched.model.plan import Placement
from kai_sched.model.workloads import GpuShare, PodState
from kai_sched.placement.world.horizon import Horizon
from kai_sched.planning.decode import decode
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec
from tests.unit.placement.memory_worlds import Scene, a_pool, asks
from tests.unit.placement.stage import Stage


def a_stage(*pods) -> Stage:
    groups = [a_group(pod.key.split("/")[1]) for pod in pods]
    return Stage(a_snapshot(nodes=[a_node("a"), a_node("b")], pods=pods, groups=groups))


def placements(stage: Stage) -> tuple[dict[str, Placement], dict[str, Placement]]:
    binds, pipelined = decode(stage.world)
    return tuple({one.pod.split("/")[1]: one for one in part} for part in (binds, pipelined))  # type: ignore[return-value]


def test_each_gpu_of_a_node_is_given_once():
    stage = a_stage(*(a_pod(f"p{number}", a_spec(gpus=4)) for number in range(3)))
    for pod, node in (("p0", "a"), ("p1", "a"), ("p2", "b")):
        stage.seat(pod, node)

    binds, _ = placements(stage)

    assert sorted((*binds["p0"].gpu_indices, *binds["p1"].gpu_indices)) == list(range(8))
    assert binds["p2"].node == "b"
    assert len(binds["p2"].gpu_indices) == 4


def test_gpus_that_running_pods_are_known_to_have_are_left_to_them():
    runs = a_pod("runs", a_spec(gpus=2), node="a", gpu_indices=(0, 5))
    stage = a_stage(runs, a_pod("p", a_spec(gpus=6)))
    stage.seat("p", "a")

    assert placements(stage)[0]["p"].gpu_indices == (1, 2, 3, 4, 6, 7)


def test_who_waits_for_room_names_those_who_leave_and_is_not_bound():
    old = a_pod("old", a_spec(gpus=8), node="a", state=PodState.RELEASING)
    stage = a_stage(old, a_pod("p", a_spec(gpus=8)))
    stage.seat("p", "a", Horizon.LATER)

    binds, pipelined = placements(stage)

    assert binds == {}
    assert pipelined["p"].waits_for == ("team/old",)


def test_who_is_pipelined_beside_its_gang_but_has_room_waits_for_nobody():
    old = a_pod("old", a_spec(gpus=1), node="a", state=PodState.RELEASING)
    stage = a_stage(old, a_pod("p", a_spec(gpus=1)))
    stage.seat("p", "a", Horizon.LATER)

    assert placements(stage)[1]["p"].waits_for == ()


def test_claims_come_with_their_devices_and_what_is_to_be_written():
    stage = Stage(Scene().gang("g", 1, asks()).on(a_pool("x", "one")))
    stage.seat("g-0", "x")

    (claim,) = placements(stage)[0]["g-0"].claims

    assert claim.claim == "team/c-g-0"
    assert claim.devices == ("gpu.example.com/x/d0",)
    assert claim.allocation is not None


def test_pods_that_share_a_gpu_name_one_group():
    half = a_spec(gpus=0, gpu_share=GpuShare(portion_micros=500_000))
    stage = a_stage(a_pod("p", half), a_pod("q", half))
    for name in "pq":
        stage.seat(name, "a")

    binds, _ = placements(stage)

    assert binds["p"].gpu_groups == binds["q"].gpu_groups
    assert len(binds["p"].gpu_groups) == 1


def test_an_empty_world_places_nobody():
    assert decode(a_stage(a_pod("p")).world) == ((), ())
