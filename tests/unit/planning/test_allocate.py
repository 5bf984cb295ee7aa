"""Allocate: gangs all or nothing, elastic pods one by one, limits and quota, releasing room, true reasons."""

from dataclasses import replace

from kai_sched.model.plan import Blocker, Outcome, Plan, Verdict
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import Unreadable
from kai_sched.model.workloads import GpuShare, GroupOrigin, PodState, SubGroup, TopologyConstraint
from kai_sched.planning.cycle import plan_cycle
from tests.builders import a_group, a_node, a_pod, a_queue, a_snapshot, a_spec, racks

POLICY = Policy(use_solver=False)


def verdict_of(plan: Plan, group: str) -> Verdict:
    return next(verdict for verdict in plan.verdicts if verdict.pod_group == f"team/{group}")


def nodes_of(plan: Plan, group: str) -> list[str]:
    return sorted(placement.node for placement in plan.binds if placement.pod_group == f"team/{group}")


def gang(name: str, count: int, *, gpus: int = 8, **more: object):
    spec = a_spec(gpus=gpus)
    return [a_pod(f"{name}-{i}", spec, group=name) for i in range(count)], a_group(
        name, min_member=count, **more
    )


def test_a_single_pod_takes_the_fullest_node_that_fits():
    nodes = [a_node("a"), a_node("b")]
    running = a_pod("busy", a_spec(gpus=3), node="b", group="busy")
    snapshot = a_snapshot(
        nodes=nodes, pods=[running, a_pod("new", group="new")], groups=[a_group("new"), a_group("busy")]
    )

    plan = plan_cycle(snapshot, POLICY)

    assert nodes_of(plan, "new") == ["b"]
    assert plan.binds[0].gpu_indices == (3,)
    assert verdict_of(plan, "new").outcome is Outcome.PLACED


def test_a_gang_that_does_not_fit_gets_nothing_and_says_how_much_is_missing():
    pods, group = gang("big", 3)
    plan = plan_cycle(a_snapshot(nodes=[a_node("a"), a_node("b")], pods=pods, groups=[group]), POLICY)

    verdict = verdict_of(plan, "big")
    assert plan.binds == ()
    assert verdict.blocker is Blocker.CAPACITY
    assert "8 more nvidia.com/gpu" in verdict.message
    assert verdict.is_proof


def test_a_pod_larger_than_any_node_is_told_in_the_units_that_it_was_written_in():
    pod = a_pod("wide", a_spec(gpus=0, memory=1 << 40), group="wide")
    plan = plan_cycle(a_snapshot(nodes=[a_node("a")], pods=[pod], groups=[a_group("wide")]), POLICY)

    verdict = verdict_of(plan, "wide")
    assert verdict.message.startswith(
        "a pod asks for 1Ti memory, the largest node has 512Gi. It can never run so"
    )
    assert verdict.next_step == "ask for at most 512Gi memory in each pod"


def test_pods_above_the_minimum_follow_one_by_one_as_far_as_room_goes():
    spec = a_spec(gpus=4)
    pods = [a_pod(f"e-{i}", spec, group="e") for i in range(5)]
    plan = plan_cycle(
        a_snapshot(nodes=[a_node("a"), a_node("b")], pods=pods, groups=[a_group("e", min_member=2)]), POLICY
    )

    assert len(plan.binds) == 4
    assert verdict_of(plan, "e").outcome is Outcome.PLACED
    assert "1 pod above the minimum still waiting" in verdict_of(plan, "e").message


def test_a_required_level_keeps_the_gang_in_one_domain():
    pods, group = gang("g", 2, required="rack")
    filler = a_pod("filler", a_spec(gpus=8), node="r0-n00", group="filler")
    snapshot = a_snapshot(nodes=racks(2, 2), pods=[*pods, filler], groups=[group, a_group("filler")])

    plan = plan_cycle(snapshot, POLICY)

    assert nodes_of(plan, "g") == ["r1-n00", "r1-n01"]


def test_a_gang_too_big_for_any_rack_stays_pending_and_names_topology():
    pods, group = gang("g", 3, required="rack")
    plan = plan_cycle(a_snapshot(nodes=racks(2, 2), pods=pods, groups=[group]), POLICY)

    verdict = verdict_of(plan, "g")
    assert plan.binds == ()
    assert verdict.blocker is Blocker.TOPOLOGY
    assert "rack=r0" in verdict.message
    assert "2 of them" in verdict.message


def test_a_preferred_level_is_taken_where_it_fits_and_left_where_it_does_not():
    small, small_group = gang("small", 2, preferred="rack")
    large, large_group = gang("large", 3, preferred="rack")
    nodes = racks(2, 2)

    one = plan_cycle(a_snapshot(nodes=nodes, pods=small, groups=[small_group]), POLICY)
    other = plan_cycle(a_snapshot(nodes=nodes, pods=large, groups=[large_group]), POLICY)

    assert len({node[:2] for node in nodes_of(one, "small")}) == 1
    assert len(nodes_of(other, "large")) == 3


def test_new_pods_of_a_running_gang_stay_in_its_domain():
    spec = a_spec(gpus=8)
    group = a_group("g", min_member=1, required="rack")
    pods = [a_pod("g-0", spec, group="g", node="r1-n00"), a_pod("g-1", spec, group="g")]
    plan = plan_cycle(a_snapshot(nodes=racks(2, 2), pods=pods, groups=[group]), POLICY)

    assert nodes_of(plan, "g") == ["r1-n01"]


def test_subgroups_may_each_need_a_rack_of_their_own():
    spec = a_spec(gpus=8)
    constraint = TopologyConstraint("racks", "rack")
    group = replace(
        a_group("g", min_member=0),
        sub_groups=tuple(
            SubGroup(name=name, min_member=2, constraint=constraint) for name in ("left", "right")
        ),
    )
    pods = [
        replace(a_pod(f"{name}-{i}", spec, group="g"), subgroup=name)
        for name in ("left", "right")
        for i in range(2)
    ]
    plan = plan_cycle(a_snapshot(nodes=racks(2, 2), pods=pods, groups=[group]), POLICY)

    rack_of = {p.pod.split("/")[1].split("-")[0]: p.node[:2] for p in plan.binds}
    assert len(plan.binds) == 4
    assert rack_of["left"] != rack_of["right"]


def test_of_optional_subgroups_the_ones_that_fit_are_taken():
    big, small = a_spec(gpus=8), a_spec(gpus=1)
    group = replace(
        a_group("g", min_member=0),
        min_sub_group=1,
        sub_groups=(SubGroup(name="a-big", min_member=2), SubGroup(name="b-small", min_member=2)),
    )
    pods = [replace(a_pod(f"big-{i}", big, group="g"), subgroup="a-big") for i in range(2)]
    pods += [replace(a_pod(f"small-{i}", small, group="g"), subgroup="b-small") for i in range(2)]
    plan = plan_cycle(a_snapshot(nodes=[a_node("only")], pods=pods, groups=[group]), POLICY)

    assert sorted(p.pod for p in plan.binds) == ["team/small-0", "team/small-1"]


def test_pods_of_a_subgroup_that_is_not_complete_are_told_so_though_the_minimum_runs():
    group = replace(
        a_group("g", min_member=0),
        min_sub_group=1,
        sub_groups=(SubGroup(name="one", min_member=1), SubGroup(name="two", min_member=2)),
    )
    runs = replace(a_pod("one-0", a_spec(gpus=1), group="g", node="only"), subgroup="one")
    waits = replace(a_pod("two-0", a_spec(gpus=1), group="g"), subgroup="two")
    plan = plan_cycle(a_snapshot(nodes=[a_node("only")], pods=[runs, waits], groups=[group]), POLICY)

    verdict = verdict_of(plan, "g")
    assert (verdict.outcome, verdict.blocker) == (Outcome.NOT_READY, Blocker.GANG_NOT_READY)
    assert verdict.message == "1 pod above the minimum cannot be started: subgroup two lacks 1 pod"


def test_room_that_is_being_released_makes_a_gang_wait_for_it_and_nobody_else_takes_it():
    pods, group = gang("g", 1)
    leaving = a_pod("old", a_spec(gpus=8), node="a", group="old", state=PodState.RELEASING)
    later = a_pod("later", a_spec(gpus=8), group="later")
    snapshot = a_snapshot(
        nodes=[a_node("a")],
        pods=[*pods, leaving, later],
        groups=[replace(group, priority=90), a_group("later"), a_group("old")],
    )
    plan = plan_cycle(snapshot, POLICY)

    assert plan.binds == ()
    assert [(p.pod, p.node, p.waits_for) for p in plan.pipelined] == [("team/g-0", "a", ("team/old",))]
    assert verdict_of(plan, "g").outcome is Outcome.PIPELINED
    assert verdict_of(plan, "later").outcome is Outcome.UNPLACED


def test_a_queue_limit_holds_and_is_named():
    queues = (a_queue("dept", parent=None), a_queue("team-a", limit=8))
    first, first_group = gang("first", 1)
    second, second_group = gang("second", 1)
    snapshot = a_snapshot(
        nodes=[a_node("a"), a_node("b")],
        pods=[*first, *second],
        groups=[first_group, second_group],
        queues=queues,
    )
    plan = plan_cycle(snapshot, POLICY)

    assert len(plan.binds) == 1
    assert verdict_of(plan, "second").blocker is Blocker.QUEUE_LIMIT
    assert "Limit is 8 GPUs, currently 8 GPUs allocated" in verdict_of(plan, "second").message


def test_non_preemptible_work_stays_within_the_quota_of_every_ancestor():
    queues = (a_queue("dept", parent=None, gpu=4), a_queue("team-a", gpu=8))
    pods, group = gang("fixed", 1)
    snapshot = a_snapshot(
        nodes=[a_node("a")],
        pods=pods,
        groups=[replace(group, is_preemptible=False, priority=100)],
        queues=queues,
    )
    plan = plan_cycle(snapshot, POLICY)

    assert verdict_of(plan, "fixed").blocker is Blocker.NON_PREEMPTIBLE_OVER_QUOTA
    assert "dept quota is 4 GPUs" in verdict_of(plan, "fixed").message


def test_what_is_wrong_with_one_group_harms_no_other():
    good, good_group = gang("good", 1, gpus=1)
    groups = [
        good_group,
        a_group("lost", queue="nowhere"),
        replace(a_group("broken"), problem="spec.subGroups[1].parent: no such subgroup"),
        replace(a_group("odd"), origin=GroupOrigin.UNKNOWN_KIND, detail="example.com/Thing"),
        a_group("strange", required="row"),
    ]
    pods = [a_pod(name, group=name) for name in ("lost", "broken", "odd", "strange", "orphan")]
    snapshot = a_snapshot(nodes=[a_node("a")], pods=[*good, *pods], groups=groups)

    plan = plan_cycle(snapshot, POLICY)

    assert nodes_of(plan, "good") == ["a"]
    assert {v.pod_group.split("/")[1]: v.blocker for v in plan.verdicts} == {
        "good": None,
        "lost": Blocker.QUEUE_NOT_FOUND,
        "broken": Blocker.INVALID,
        "odd": Blocker.UNKNOWN_WORKLOAD_KIND,
        "strange": Blocker.INVALID,
        "orphan": Blocker.GANG_NOT_READY,
    }
    assert "spec.topologyConstraint" in verdict_of(plan, "strange").message


def test_an_object_that_cannot_be_read_is_called_wrong_and_not_missing():
    damage = (
        Unreadable("PodGroup", "team/torn", "spec.minMember", "must be an integer, is a string"),
        Unreadable("Queue", "torn-queue", "spec.preemptMinRuntime", "'soon' is not a duration"),
    )
    snapshot = a_snapshot(
        nodes=[a_node("a")],
        pods=[a_pod("torn", group="torn"), a_pod("whole", group="whole")],
        groups=[a_group("whole", queue="torn-queue")],
        unreadable=damage,
    )

    plan = plan_cycle(snapshot, POLICY)

    assert {v.blocker for v in plan.verdicts} == {Blocker.INVALID}
    assert verdict_of(plan, "torn").message == "spec.minMember: must be an integer, is a string"
    assert (
        verdict_of(plan, "whole").message
        == "queue torn-queue: spec.preemptMinRuntime: 'soon' is not a duration"
    )


def test_a_gang_with_gated_pods_is_not_ready():
    pods, group = gang("g", 2)
    pods[1] = replace(pods[1], state=PodState.GATED)
    plan = plan_cycle(a_snapshot(nodes=racks(1, 2), pods=pods, groups=[group]), POLICY)

    verdict = verdict_of(plan, "g")
    assert verdict.outcome is Outcome.NOT_READY
    assert "Waiting for 2 pods, currently 2 exist, 1 are gated" in verdict.message


def test_four_thousand_single_pods_fill_every_gpu():
    spec = a_spec(gpus=1, cpu=100)
    pods = [a_pod(f"p{i:04d}", spec, group=f"p{i:04d}") for i in range(820)]
    groups = [a_group(f"p{i:04d}") for i in range(820)]
    plan = plan_cycle(a_snapshot(nodes=racks(10, 10), pods=pods, groups=groups), POLICY)

    assert len(plan.binds) == 800
    assert len({(p.node, p.gpu_indices) for p in plan.binds}) == 800
    assert sum(v.outcome is Outcome.UNPLACED for v in plan.verdicts) == 20


def test_the_same_snapshot_gives_the_same_plan():
    pods, group = gang("g", 3, preferred="rack")
    snapshot = a_snapshot(nodes=racks(3, 2), pods=pods, groups=[group])

    assert plan_cycle(snapshot, POLICY) == plan_cycle(snapshot, POLICY)


def test_fractions_share_a_gpu_before_they_open_another():
    spec = replace(a_spec(gpus=0), gpu_share=GpuShare(portion_micros=500_000))
    pods = [a_pod(f"f{i}", spec, group=f"f{i}") for i in range(3)]
    plan = plan_cycle(
        a_snapshot(nodes=[a_node("a", gpus=2)], pods=pods, groups=[a_group(f"f{i}") for i in range(3)]),
        POLICY,
    )

    by_group: dict[str, int] = {}
    for placement in plan.binds:
        by_group[placement.gpu_groups[0]] = by_group.get(placement.gpu_groups[0], 0) + 1
    assert sorted(by_group.values()) == [1, 2]
    assert {p.gpu_indices for p in plan.binds} == {(0,), (1,)}
