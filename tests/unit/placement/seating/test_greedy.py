"""Greedy: a gang's core is seated whole and tightest, or not at all with the reason of the worst part."""

from __future__ import annotations

from dataclasses import replace

from kai_sched.model.plan import Blocker
from kai_sched.model.workloads import SubGroup, TopologyConstraint
from kai_sched.placement.refusal import Refusal
from kai_sched.placement.seating.greedy import place_core, place_extra
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec, racks
from tests.unit.placement.stage import Stage


def gang(name: str, count: int, *, gpus: int = 8, **more: object):
    pods = [a_pod(f"{name}-{number}", a_spec(gpus=gpus), group=name) for number in range(count)]
    return pods, a_group(name, **{"min_member": count, **more})  # type: ignore[arg-type]


def a_stage(nodes, *gangs, pods=()) -> Stage:
    every = [pod for members, _ in gangs for pod in members]
    return Stage(a_snapshot(nodes=nodes, pods=[*every, *pods], groups=[group for _, group in gangs]))


def test_a_gang_that_does_not_fit_leaves_nothing_seated():
    stage = a_stage([a_node("a"), a_node("b")], gang("g", 3))

    refusal = place_core(stage.ground, stage.gang("g"))

    assert refusal is not None
    assert (refusal.blocker, refusal.fitted, refusal.wanted) == (Blocker.CAPACITY, 2, 3)
    assert stage.seated() == {}
    assert stage.slots("g-0") == {"a": 1, "b": 1}


def test_only_the_core_is_seated_and_the_rest_follows_pod_by_pod():
    stage = a_stage([a_node("a")], gang("g", 3, gpus=2, min_member=1))

    assert place_core(stage.ground, stage.gang("g")) is None
    assert stage.seated() == {"g-0": "a"}
    after = stage.gang("g").after({stage.pod("g-0"): "a"})  # type: ignore[dict-item]
    assert place_extra(stage.ground, after, may=lambda _: None) is None
    assert stage.seated() == {"g-0": "a", "g-1": "a"}


def test_of_racks_that_hold_a_gang_the_tightest_is_taken():
    nodes = [*racks(1, 3), a_node("r1-n00", labels={"rack": "r1"}), a_node("r1-n01", labels={"rack": "r1"})]
    stage = a_stage(nodes, gang("g", 2, required="rack"))

    assert place_core(stage.ground, stage.gang("g")) is None
    assert set(stage.seated().values()) == {"r1-n00", "r1-n01"}


def test_a_required_level_that_no_domain_holds_is_told_as_topology():
    stage = a_stage(racks(2, 2), gang("g", 3, required="rack"))

    refusal = place_core(stage.ground, stage.gang("g"))

    assert refusal is not None
    assert refusal.blocker is Blocker.TOPOLOGY
    assert stage.seated() == {}


def test_a_preferred_level_is_given_up_for_a_place():
    stage = a_stage(racks(2, 2), gang("g", 3, preferred="rack"))

    assert place_core(stage.ground, stage.gang("g")) is None
    assert len(stage.seated()) == 3


def test_nodes_that_are_not_allowed_are_not_used():
    stage = a_stage([a_node("a"), a_node("b")], gang("g", 1))

    assert place_core(stage.ground.within(stage.nodes("b")), stage.gang("g")) is None
    assert stage.seated() == {"g-0": "b"}
    stage = a_stage([a_node("a"), a_node("b")], gang("g", 2))
    assert place_core(stage.ground.within(stage.nodes("b")), stage.gang("g")) is not None


def test_each_subgroup_is_kept_in_a_domain_of_its_own():
    constraint = TopologyConstraint("racks", "rack")  # type: ignore[arg-type]
    subs = tuple(SubGroup(name=name, min_member=2, constraint=constraint) for name in ("left", "right"))
    pods = [
        replace(a_pod(f"{sub.name}-{number}", a_spec(gpus=8), group="g"), subgroup=sub.name)
        for sub in subs
        for number in range(2)
    ]
    group = replace(a_group("g", min_member=0), sub_groups=subs)
    stage = Stage(a_snapshot(nodes=racks(2, 2), pods=pods, groups=[group]))

    assert place_core(stage.ground, stage.gang("g")) is None
    seated = stage.seated()
    assert {seated["left-0"][:2], seated["left-1"][:2]} != {seated["right-0"][:2], seated["right-1"][:2]}


def test_a_subgroup_that_fails_takes_back_what_the_others_got_and_is_named():
    subs = (SubGroup(name="fits", min_member=1), SubGroup(name="huge", min_member=1))
    pods = [
        replace(a_pod("fits-0", a_spec(gpus=1), group="g"), subgroup="fits"),
        replace(a_pod("huge-0", a_spec(gpus=9), group="g"), subgroup="huge"),
    ]
    stage = Stage(
        a_snapshot(
            nodes=[a_node("a")], pods=pods, groups=[replace(a_group("g", min_member=0), sub_groups=subs)]
        )
    )

    refusal = place_core(stage.ground, stage.gang("g"))

    assert refusal is not None
    assert refusal.sub_group == "huge"
    assert stage.seated() == {}


def test_a_gang_with_nothing_to_seat_is_content():
    stage = a_stage([a_node("a")], gang("g", 1, min_member=1), pods=[a_pod("other", node="a")])
    content = stage.gang("g").after({stage.pod("g-0"): "a"})  # type: ignore[dict-item]

    assert place_core(stage.ground, content) is None
    assert stage.seated() == {}


def test_pods_above_the_minimum_that_may_not_run_are_told_why():
    stage = a_stage([a_node("a")], gang("g", 2, gpus=1, min_member=1))
    after = stage.gang("g").after({stage.pod("g-0"): "a"})  # type: ignore[dict-item]
    told = Refusal(blocker=Blocker.QUEUE_LIMIT, message="not these")

    assert place_extra(stage.ground, after, may=lambda _: told) is told
    assert stage.seated() == {}
