"""The independent checker: a good plan passes; promises about pods, groups and verdicts are caught broken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kai_sched.model.ids import PodGroupKey, PodKey, Uid
from kai_sched.model.plan import Eviction
from kai_sched.model.policy import StageName
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import (
    Pod,
    PodClaimRef,
    SubGroup,
)
from kai_sched.placement.checker import check_plan
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec
from tests.unit.placement.plans import POLICY, Kind, a_placement, a_plan, kinds


@pytest.fixture
def pair() -> tuple[Pod, Pod]:
    return a_pod("p0", a_spec(gpus=4), group="g"), a_pod("p1", a_spec(gpus=4), group="g")


def test_a_good_plan_has_no_violations(pair: tuple[Pod, Pod]) -> None:
    snapshot = a_snapshot(nodes=[a_node("n1")], pods=pair, groups=[a_group("g", min_member=2)])
    binds = [
        a_placement(pair[0], "n1", gpu_indices=(0, 1, 2, 3)),
        a_placement(pair[1], "n1", gpu_indices=(4, 5, 6, 7)),
    ]

    assert check_plan(snapshot, POLICY, a_plan(binds)) == ()


def test_an_empty_plan_for_an_empty_cluster_is_good() -> None:
    assert check_plan(a_snapshot(), POLICY, a_plan()) == ()


class TestPods:
    def snapshot(self, pod: Pod, **group: object) -> ClusterSnapshot:
        return a_snapshot(nodes=[a_node("n1")], pods=[pod], groups=[a_group("g", **group)])  # type: ignore[arg-type]

    def test_a_pod_that_is_not_in_the_snapshot(self) -> None:
        pod = a_pod("p", group="g")
        stranger = a_pod("stranger", group="g")

        assert Kind.POD in kinds(self.snapshot(pod), a_plan([a_placement(stranger, "n1")]))

    def test_a_pod_placed_twice(self) -> None:
        pod = a_pod("p", group="g")

        assert Kind.POD in kinds(self.snapshot(pod), a_plan([a_placement(pod, "n1")] * 2))

    def test_a_pod_that_runs_already(self) -> None:
        pod = a_pod("p", group="g", node="n1")

        assert Kind.POD in kinds(self.snapshot(pod), a_plan([a_placement(pod, "n1")]))

    def test_a_pod_recreated_under_another_uid(self) -> None:
        pod = a_pod("p", group="g")
        stale = replace(a_placement(pod, "n1"), uid=Uid("older"))

        assert Kind.POD in kinds(self.snapshot(pod), a_plan([stale]))

    def test_a_node_that_does_not_exist(self) -> None:
        pod = a_pod("p", group="g")

        assert Kind.POD in kinds(self.snapshot(pod), a_plan([a_placement(pod, "gone")]))

    def test_a_pod_counted_to_another_group(self) -> None:
        pod = a_pod("p", group="g")
        other = replace(a_placement(pod, "n1"), pod_group=PodGroupKey("team/other"))

        assert Kind.POD in kinds(self.snapshot(pod), a_plan([other]))

    def test_a_pod_of_an_invalid_group(self) -> None:
        pod = a_pod("p", group="g")
        snapshot = self.snapshot(pod, problem="spec.subGroups: cycle")

        assert Kind.POD in kinds(snapshot, a_plan([a_placement(pod, "n1")]))

    def test_a_pod_with_a_field_that_nobody_can_honour(self) -> None:
        pod = a_pod("p", a_spec(unsupported=("spec.x: not yet",)), group="g")

        assert Kind.POD in kinds(self.snapshot(pod), a_plan([a_placement(pod, "n1")]))

    def test_a_pod_whose_claim_does_not_exist_yet(self) -> None:
        pod = a_pod("p", group="g", claims=(PodClaimRef("c", None, is_own=True),))

        assert Kind.POD in kinds(self.snapshot(pod), a_plan([a_placement(pod, "n1")]))


class TestGangs:
    def gang(self, count: int, **group: object) -> tuple[ClusterSnapshot, list[Pod]]:
        pods = [a_pod(f"p{index}", group="g") for index in range(count)]
        groups = [a_group("g", **group)]  # type: ignore[arg-type]
        return a_snapshot(nodes=[a_node("n1")], pods=pods, groups=groups), pods

    def test_less_than_the_minimum(self) -> None:
        snapshot, pods = self.gang(3, min_member=3)

        assert kinds(snapshot, a_plan([a_placement(pod, "n1") for pod in pods[:2]])) == {Kind.GANG}

    def test_active_pods_count_towards_the_minimum_and_evicted_ones_do_not(self) -> None:
        running = a_pod("r", group="g", node="n1")
        pod = a_pod("p", group="g")
        snapshot = a_snapshot(nodes=[a_node("n1")], pods=[running, pod], groups=[a_group("g", min_member=2)])
        eviction = Eviction(
            pod=running.key,
            uid=running.uid,
            pod_group=PodGroupKey("team/g"),
            stage=StageName.RECLAIM,
            beneficiary=None,
        )

        assert kinds(snapshot, a_plan([a_placement(pod, "n1")])) == set()
        assert kinds(snapshot, a_plan([a_placement(pod, "n1")], evictions=[eviction])) == {Kind.GANG}

    def test_binds_alone_must_reach_the_minimum_when_some_pods_wait(self) -> None:
        snapshot, pods = self.gang(2, min_member=2)

        plan = a_plan([a_placement(pods[0], "n1")], [a_placement(pods[1], "n1")])

        assert kinds(snapshot, plan) == {Kind.GANG}

    def test_a_subgroup_below_its_minimum(self) -> None:
        leader = a_pod("l", group="g", subgroup="leader")
        workers = [a_pod(f"w{index}", group="g", subgroup="workers") for index in range(2)]
        tree = (SubGroup(name="leader", min_member=1), SubGroup(name="workers", min_member=2))
        group = a_group("g", sub_groups=tree)
        snapshot = a_snapshot(nodes=[a_node("n1")], pods=[leader, *workers], groups=[group])

        whole = a_plan([a_placement(pod, "n1") for pod in (leader, *workers)])
        part = a_plan([a_placement(pod, "n1") for pod in (leader, workers[0])])

        assert kinds(snapshot, whole) == set()
        assert kinds(snapshot, part) == {Kind.GANG}

    def test_k_of_n_subgroups_are_enough_but_none_is_half_started(self) -> None:
        pods = [a_pod(f"{name}{index}", group="g", subgroup=name) for name in "abc" for index in range(2)]
        tree = tuple(SubGroup(name=name, min_member=2) for name in "abc")
        group = a_group("g", sub_groups=tree, min_sub_group=2)
        snapshot = a_snapshot(nodes=[a_node("n1")], pods=pods, groups=[group])

        assert kinds(snapshot, a_plan([a_placement(pod, "n1") for pod in pods[:4]])) == set()
        assert kinds(snapshot, a_plan([a_placement(pod, "n1") for pod in pods[:2]])) == {Kind.GANG}
        assert kinds(snapshot, a_plan([a_placement(pod, "n1") for pod in pods[:5]])) == {Kind.GANG}

    def test_a_nested_subtree_below_its_minimum(self) -> None:
        pods = [a_pod(f"{name}", group="g", subgroup=name) for name in "ab"]
        tree = (SubGroup(name="top"), *(SubGroup(name=name, parent="top", min_member=1) for name in "ab"))
        snapshot = a_snapshot(nodes=[a_node("n1")], pods=pods, groups=[a_group("g", sub_groups=tree)])

        assert kinds(snapshot, a_plan([a_placement(pods[0], "n1")])) == {Kind.GANG}

    def test_a_pod_of_no_leaf(self) -> None:
        pod = a_pod("p", group="g", subgroup="nowhere")
        group = a_group("g", sub_groups=(SubGroup(name="a", min_member=0),))
        snapshot = a_snapshot(nodes=[a_node("n1")], pods=[pod], groups=[group])

        assert kinds(snapshot, a_plan([a_placement(pod, "n1")])) == {Kind.GANG}


class TestVerdictsAndEvictions:
    def test_a_pending_group_without_a_verdict(self) -> None:
        snapshot = a_snapshot(nodes=[a_node("n1")], pods=[a_pod("p", group="g")], groups=[a_group("g")])

        assert kinds(snapshot, a_plan()) == {Kind.VERDICT}
        assert kinds(snapshot, a_plan(unplaced=["g"])) == set()

    def test_a_verdict_that_does_not_say_what_was_done(self) -> None:
        pod = a_pod("p", group="g")
        snapshot = a_snapshot(nodes=[a_node("n1")], pods=[pod], groups=[a_group("g")])
        placed = a_plan([a_placement(pod, "n1")])
        unplaced = a_plan(unplaced=["g"])

        for binds, verdicts in ((placed.binds, unplaced.verdicts), ((), placed.verdicts)):
            assert kinds(snapshot, replace(placed, binds=binds, verdicts=verdicts)) == {Kind.VERDICT}

    def test_a_refusal_without_a_reason(self) -> None:
        snapshot = a_snapshot(nodes=[a_node("n1")], pods=[a_pod("p", group="g")], groups=[a_group("g")])
        plan = a_plan(unplaced=["g"])
        silent = replace(plan, verdicts=(replace(plan.verdicts[0], blocker=None),))

        assert kinds(snapshot, silent) == {Kind.VERDICT}

    def test_an_eviction_of_a_pod_that_is_not_ours(self) -> None:
        foreign = a_pod("x", group=None, node="n1")
        snapshot = a_snapshot(nodes=[a_node("n1")], pods=[foreign])
        eviction = Eviction(
            pod=foreign.key,
            uid=foreign.uid,
            pod_group=PodGroupKey("team/x"),
            stage=StageName.PREEMPT,
            beneficiary=None,
        )

        assert Kind.EVICTION in kinds(snapshot, a_plan(evictions=[eviction]))

    def test_waiting_for_a_pod_that_does_not_leave(self) -> None:
        running = a_pod("r", group=None, node="n1")
        pod = a_pod("p", group="g")
        snapshot = a_snapshot(nodes=[a_node("n1")], pods=[running, pod], groups=[a_group("g")])

        plan = a_plan(pipelined=[a_placement(pod, "n1", waits_for=(PodKey("team/r"),))])

        assert kinds(snapshot, plan) == {Kind.EVICTION}
