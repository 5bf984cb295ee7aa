"""The independent checker: plans that overfill nodes or GPUs, or break a rule of topology or of a pod."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kai_sched.model.selectors import (
    LabelSelector,
    Operator,
    Requirement,
    Taint,
)
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import (
    GpuShare,
    HostPort,
    Pod,
    PodAffinityTerm,
    PodState,
    SubGroup,
    TopologyConstraint,
)
from kai_sched.placement.checker import ViolationKind
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec, racks
from tests.unit.placement.plans import Kind, a_placement, a_plan, kinds, violations


class TestNodeResources:
    def test_more_gpus_than_a_node_has(self) -> None:
        pods = [a_pod(f"p{index}", a_spec(gpus=8), group=f"g{index}") for index in range(2)]
        snapshot = a_snapshot(nodes=[a_node("n1")], pods=pods, groups=[a_group("g0"), a_group("g1")])

        found = violations(snapshot, a_plan([a_placement(pod, "n1") for pod in pods]), Kind.NODE_RESOURCES)

        assert [violation.subject for violation in found] == ["n1"]
        assert "16" in found[0].message

    @pytest.mark.parametrize("state", [PodState.RUNNING, PodState.BINDING, PodState.RELEASING])
    def test_room_that_somebody_still_holds(self, state: PodState) -> None:
        holder = a_pod("holder", a_spec(gpus=8), group=None, node="n1", state=state)
        pod = a_pod("p", group="g")
        snapshot = a_snapshot(nodes=[a_node("n1")], pods=[holder, pod], groups=[a_group("g")])

        assert Kind.NODE_RESOURCES in kinds(snapshot, a_plan([a_placement(pod, "n1")]))

    def test_a_finished_pod_holds_nothing(self) -> None:
        holder = a_pod("holder", a_spec(gpus=8), group=None, node="n1", state=PodState.SUCCEEDED)
        pod = a_pod("p", group="g")
        snapshot = a_snapshot(nodes=[a_node("n1")], pods=[holder, pod], groups=[a_group("g")])

        assert kinds(snapshot, a_plan([a_placement(pod, "n1")])) == set()

    def test_releasing_room_is_free_for_a_pipelined_pod_but_stuck_room_is_not(self) -> None:
        holder = a_pod("holder", a_spec(gpus=8), group=None, node="n1", state=PodState.RELEASING)
        pod = a_pod("p", group="g")
        snapshot = a_snapshot(nodes=[a_node("n1")], pods=[holder, pod], groups=[a_group("g")])
        stuck = replace(holder, state=PodState.STUCK_RELEASING)
        stuck_snapshot = a_snapshot(nodes=[a_node("n1")], pods=[stuck, pod], groups=[a_group("g")])
        plan = a_plan(pipelined=[a_placement(pod, "n1", waits_for=(holder.key,))])

        assert kinds(snapshot, plan) == set()
        assert Kind.NODE_RESOURCES in kinds(stuck_snapshot, plan)

    def test_a_bind_on_room_promised_to_a_pipelined_pod(self) -> None:
        holder = a_pod("holder", a_spec(gpus=4), group=None, node="n1", state=PodState.RELEASING)
        waiting, quick = a_pod("w", a_spec(gpus=8), group="w"), a_pod("q", a_spec(gpus=4), group="q")
        snapshot = a_snapshot(
            nodes=[a_node("n1")], pods=[holder, waiting, quick], groups=[a_group("w"), a_group("q")]
        )
        plan = a_plan([a_placement(quick, "n1")], [a_placement(waiting, "n1")])

        assert Kind.NODE_RESOURCES in kinds(snapshot, plan)

    @pytest.mark.parametrize(
        ("resource", "spec"),
        [
            ("cpu", a_spec(gpus=0, cpu=65_000)),
            ("memory", a_spec(gpus=0, memory=1 << 50)),
            ("example.com/nic", replace(a_spec(gpus=0), requests=(("example.com/nic", 1),))),
        ],
    )
    def test_every_resource_counts(self, resource: str, spec: object) -> None:
        pod = a_pod("p", spec, group="g")  # type: ignore[arg-type]
        snapshot = a_snapshot(nodes=[a_node("n1")], pods=[pod], groups=[a_group("g")])

        found = violations(snapshot, a_plan([a_placement(pod, "n1")]), Kind.NODE_RESOURCES)

        assert resource in found[0].message


class TestGpus:
    def two(self, spec: object = None) -> tuple[ClusterSnapshot, list[Pod]]:
        pods = [a_pod(f"p{index}", spec, group=f"g{index}") for index in range(2)]  # type: ignore[arg-type]
        node = a_node("n1", gpu_memory_mib=80_000)
        return a_snapshot(nodes=[node], pods=pods, groups=[a_group("g0"), a_group("g1")]), pods

    def test_one_index_for_two_pods(self) -> None:
        snapshot, pods = self.two()

        plan = a_plan([a_placement(pod, "n1", gpu_indices=(3,)) for pod in pods])

        assert kinds(snapshot, plan) == {Kind.GPU_INDEX}

    def test_an_index_that_a_running_pod_has(self) -> None:
        running = a_pod("r", group=None, node="n1", gpu_indices=(3,))
        pod = a_pod("p", group="g")
        snapshot = a_snapshot(nodes=[a_node("n1")], pods=[running, pod], groups=[a_group("g")])

        assert kinds(snapshot, a_plan([a_placement(pod, "n1", gpu_indices=(3,))])) == {Kind.GPU_INDEX}

    @pytest.mark.parametrize("indices", [(8,), (-1,), (0, 1)])
    def test_indices_that_the_pod_cannot_have(self, indices: tuple[int, ...]) -> None:
        snapshot, pods = self.two()

        plan = a_plan([a_placement(pods[0], "n1", gpu_indices=indices)], unplaced=["g1"])

        assert kinds(snapshot, plan) == {Kind.GPU_INDEX}

    def test_two_pods_may_share_one_gpu_by_group(self) -> None:
        snapshot, pods = self.two(a_spec(gpus=0, gpu_share=GpuShare(portion_micros=500_000)))

        plan = a_plan([a_placement(pod, "n1", gpu_indices=(3,), gpu_groups=("s",)) for pod in pods])

        assert kinds(snapshot, plan) == set()

    @pytest.mark.parametrize("share", [GpuShare(portion_micros=501_000), GpuShare(memory_mib=40_001)])
    def test_a_shared_gpu_filled_beyond_its_whole(self, share: GpuShare) -> None:
        snapshot, pods = self.two(a_spec(gpus=0, gpu_share=share))

        plan = a_plan([a_placement(pod, "n1", gpu_groups=("s",)) for pod in pods])

        assert kinds(snapshot, plan) == {Kind.GPU_SHARE}

    def test_a_share_without_a_group(self) -> None:
        snapshot, pods = self.two(a_spec(gpus=0, gpu_share=GpuShare(portion_micros=500_000)))

        assert Kind.GPU_SHARE in kinds(snapshot, a_plan([a_placement(pods[0], "n1")], unplaced=["g1"]))

    def test_gpu_memory_on_a_node_that_does_not_tell_its_own(self) -> None:
        pod = a_pod("p", a_spec(gpus=0, gpu_share=GpuShare(memory_mib=100)), group="g")
        snapshot = a_snapshot(nodes=[a_node("n1")], pods=[pod], groups=[a_group("g")])

        assert kinds(snapshot, a_plan([a_placement(pod, "n1", gpu_groups=("s",))])) == {Kind.GPU_SHARE}

    def test_a_part_of_a_partition(self) -> None:
        pod = a_pod("p", a_spec(gpus=0, gpu_share=GpuShare(portion_micros=100_000)), group="g")
        node = a_node("n1", labels={"nvidia.com/mig.strategy": "single"})
        snapshot = a_snapshot(nodes=[node], pods=[pod], groups=[a_group("g")])

        assert Kind.GPU_SHARE in kinds(snapshot, a_plan([a_placement(pod, "n1", gpu_groups=("s",))]))

    def test_each_group_holds_one_whole_gpu(self) -> None:
        sharer = a_pod("s", a_spec(gpus=0, gpu_share=GpuShare(portion_micros=100_000)), group="s")
        whole = a_pod("w", a_spec(gpus=8), group="w")
        snapshot = a_snapshot(nodes=[a_node("n1")], pods=[sharer, whole], groups=[a_group("s"), a_group("w")])

        plan = a_plan([a_placement(sharer, "n1", gpu_groups=("x",)), a_placement(whole, "n1")])

        assert kinds(snapshot, plan) == {Kind.NODE_RESOURCES}

    def test_a_reservation_pod_already_pays_for_its_group(self) -> None:
        reservation = a_pod("r", a_spec(gpus=1), group=None, node="n1", gpu_groups=("x",))
        whole = a_pod("w", a_spec(gpus=6), group=None, node="n1")
        sharer = a_pod("s", a_spec(gpus=0, gpu_share=GpuShare(portion_micros=100_000)), group="s")
        last = a_pod("l", a_spec(gpus=1), group="l")
        snapshot = a_snapshot(
            nodes=[a_node("n1")],
            pods=[reservation, whole, sharer, last],
            groups=[a_group("s"), a_group("l")],
        )

        plan = a_plan([a_placement(sharer, "n1", gpu_groups=("x",)), a_placement(last, "n1")])

        assert kinds(snapshot, plan) == set()


class TestTopology:
    def spread(self, nodes: Sequence[str], running: str = "", **group: object) -> set[ViolationKind]:
        pods = [a_pod(f"p{index}", group="g") for index in range(len(nodes))]
        others = [a_pod("r", group="g", node=running)] if running else []
        snapshot = a_snapshot(
            nodes=racks(2, 2),
            pods=[*pods, *others],
            groups=[a_group("g", **group)],  # type: ignore[arg-type]
        )
        return kinds(
            snapshot, a_plan([a_placement(pod, node) for pod, node in zip(pods, nodes, strict=True)])
        )

    def test_two_racks_where_one_is_required(self) -> None:
        assert self.spread(["r0-n00", "r0-n01"], required="rack") == set()
        assert self.spread(["r0-n00", "r1-n00"], required="rack") == {Kind.TOPOLOGY}

    def test_a_preferred_level_may_be_spanned(self) -> None:
        assert self.spread(["r0-n00", "r1-n00"], preferred="rack") == set()

    def test_another_rack_than_the_one_where_pods_run(self) -> None:
        assert self.spread(["r1-n00"], running="r1-n01", required="rack") == set()
        assert self.spread(["r0-n00"], running="r1-n01", required="rack") == {Kind.TOPOLOGY}

    def test_an_unknown_level(self) -> None:
        assert self.spread(["r0-n00"], required="row") == {Kind.TOPOLOGY}

    def test_a_node_outside_the_topology(self) -> None:
        pod = a_pod("p", group="g")
        snapshot = a_snapshot(nodes=[a_node("n1")], pods=[pod], groups=[a_group("g", required="rack")])

        assert kinds(snapshot, a_plan([a_placement(pod, "n1")])) == {Kind.TOPOLOGY}

    def test_a_subgroups_own_constraint(self) -> None:
        pods = [a_pod(f"{name}{index}", group="g", subgroup=name) for name in "ab" for index in range(2)]
        tree = (
            SubGroup(name="a", min_member=2, constraint=TopologyConstraint("racks", "rack", "")),
            SubGroup(name="b", min_member=2),
        )
        snapshot = a_snapshot(nodes=racks(2, 2), pods=pods, groups=[a_group("g", sub_groups=tree)])

        def placed(*nodes: str) -> set[ViolationKind]:
            binds = [a_placement(pod, node) for pod, node in zip(pods, nodes, strict=True)]
            return kinds(snapshot, a_plan(binds))

        assert placed("r0-n00", "r0-n01", "r0-n00", "r1-n00") == set()
        assert placed("r0-n00", "r1-n01", "r0-n00", "r0-n00") == {Kind.TOPOLOGY}


class TestPodRules:
    def test_a_node_that_its_own_fields_exclude(self) -> None:
        pod = a_pod("p", a_spec(node_selector=(("zone", "a"),)), group="g")
        nodes = [
            a_node("n1", labels={"zone": "a"}),
            a_node("n2"),
            a_node("n3", taints=(Taint("k", "", "NoSchedule"),)),
        ]
        snapshot = a_snapshot(nodes=nodes, pods=[pod], groups=[a_group("g")])

        assert kinds(snapshot, a_plan([a_placement(pod, "n1")])) == set()
        assert kinds(snapshot, a_plan([a_placement(pod, "n2")])) == {Kind.STATIC_RULE}
        assert kinds(snapshot, a_plan([a_placement(pod, "n3")])) == {Kind.STATIC_RULE}

    def test_two_pods_with_one_host_port(self) -> None:
        spec = a_spec(host_ports=(HostPort(80),))
        pods = [a_pod(f"p{index}", spec, group=f"g{index}") for index in range(2)]
        snapshot = a_snapshot(
            nodes=[a_node("n1"), a_node("n2")], pods=pods, groups=[a_group("g0"), a_group("g1")]
        )

        apart = a_plan([a_placement(pods[0], "n1"), a_placement(pods[1], "n2")])
        together = a_plan([a_placement(pod, "n1") for pod in pods])

        assert kinds(snapshot, apart) == set()
        assert kinds(snapshot, together) == {Kind.DYNAMIC_RULE}

    def test_affinity_is_judged_in_whatever_order_it_can_hold(self) -> None:
        anchor = a_pod("z-anchor", a_spec(labels=(("app", "db"),)), group="a")
        selector = LabelSelector((Requirement("app", Operator.IN, ("db",)),))
        term = PodAffinityTerm("kubernetes.io/hostname", selector, ("team",))
        follower = a_pod("a-follower", a_spec(pod_affinity=(term,)), group="f")
        snapshot = a_snapshot(
            nodes=[a_node("n1"), a_node("n2")],
            pods=[anchor, follower],
            groups=[a_group("a"), a_group("f")],
        )

        good = a_plan([a_placement(follower, "n1"), a_placement(anchor, "n1")])
        bad = a_plan([a_placement(follower, "n2"), a_placement(anchor, "n1")])

        assert kinds(snapshot, good) == set()
        assert kinds(snapshot, bad) == {Kind.DYNAMIC_RULE}
