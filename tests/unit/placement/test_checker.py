"""The independent checker: a good plan passes, and each kind of broken promise is caught by a plan that plants it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import pytest

from kai_sched.model.devices import (
    Claim,
    ClaimAllocation,
    ClaimSpec,
    Consumer,
    CounterConsumption,
    CounterSet,
    Device,
    DeviceCapacity,
    DeviceConstraint,
    DeviceRequest,
    DeviceResult,
    ResourceSlice,
)
from kai_sched.model.ids import ClaimKey, NodeName, PodGroupKey, PodKey, QueueName, Uid
from kai_sched.model.plan import Blocker, ClaimPlacement, Eviction, Outcome, Placement, Plan, Verdict
from kai_sched.model.policy import Policy, StageName
from kai_sched.model.selectors import (
    LabelSelector,
    NodeSelector,
    NodeSelectorTerm,
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
    PodClaimRef,
    PodState,
    SubGroup,
    TopologyConstraint,
)
from kai_sched.placement.checker import Violation, ViolationKind, check_plan
from tests.builders import NOW, a_group, a_node, a_pod, a_snapshot, a_spec, racks

POLICY = Policy()
Kind = ViolationKind


def a_placement(pod: Pod, node: str, **more: object) -> Placement:
    claims = tuple(
        ClaimPlacement(claim=ref.claim, uid=Uid(f"uid-{ref.claim}"), devices=())
        for ref in pod.claims
        if ref.claim
    )
    fields: dict[str, object] = {"claims": claims, **more}
    assert pod.group is not None
    return Placement(
        pod=pod.key,
        uid=pod.uid,
        pod_group=pod.group,
        node=NodeName(node),
        **fields,  # type: ignore[arg-type]
    )


def a_plan(
    binds: Sequence[Placement] = (),
    pipelined: Sequence[Placement] = (),
    evictions: Sequence[Eviction] = (),
    unplaced: Sequence[str] = (),
) -> Plan:
    bound = {placement.pod_group for placement in binds}
    waiting = {placement.pod_group for placement in pipelined} - bound
    evicted = {eviction.pod_group for eviction in evictions} - bound - waiting
    outcomes = {
        **dict.fromkeys(bound, Outcome.PLACED),
        **dict.fromkeys(waiting, Outcome.PIPELINED),
        **dict.fromkeys(evicted, Outcome.UNPLACED),
        **{PodGroupKey(f"team/{name}"): Outcome.UNPLACED for name in unplaced},
    }
    return Plan(
        now=NOW,
        binds=tuple(binds),
        pipelined=tuple(pipelined),
        evictions=tuple(evictions),
        verdicts=tuple(
            Verdict(
                pod_group=key,
                queue=QueueName("team-a"),
                outcome=outcome,
                blocker=Blocker.CAPACITY if outcome is Outcome.UNPLACED else None,
            )
            for key, outcome in sorted(outcomes.items())
        ),
    )


def kinds(snapshot: ClusterSnapshot, plan: Plan) -> set[ViolationKind]:
    return {violation.kind for violation in check_plan(snapshot, POLICY, plan)}


def violations(snapshot: ClusterSnapshot, plan: Plan, kind: ViolationKind) -> list[Violation]:
    return [violation for violation in check_plan(snapshot, POLICY, plan) if violation.kind is kind]


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
        snapshot, pods = self.two(a_spec(gpus=0, gpu_share=GpuShare(portion_millis=500)))

        plan = a_plan([a_placement(pod, "n1", gpu_indices=(3,), gpu_groups=("s",)) for pod in pods])

        assert kinds(snapshot, plan) == set()

    @pytest.mark.parametrize("share", [GpuShare(portion_millis=501), GpuShare(memory_mib=40_001)])
    def test_a_shared_gpu_filled_beyond_its_whole(self, share: GpuShare) -> None:
        snapshot, pods = self.two(a_spec(gpus=0, gpu_share=share))

        plan = a_plan([a_placement(pod, "n1", gpu_groups=("s",)) for pod in pods])

        assert kinds(snapshot, plan) == {Kind.GPU_SHARE}

    def test_a_share_without_a_group(self) -> None:
        snapshot, pods = self.two(a_spec(gpus=0, gpu_share=GpuShare(portion_millis=500)))

        assert Kind.GPU_SHARE in kinds(snapshot, a_plan([a_placement(pods[0], "n1")], unplaced=["g1"]))

    def test_gpu_memory_on_a_node_that_does_not_tell_its_own(self) -> None:
        pod = a_pod("p", a_spec(gpus=0, gpu_share=GpuShare(memory_mib=100)), group="g")
        snapshot = a_snapshot(nodes=[a_node("n1")], pods=[pod], groups=[a_group("g")])

        assert kinds(snapshot, a_plan([a_placement(pod, "n1", gpu_groups=("s",))])) == {Kind.GPU_SHARE}

    def test_each_group_holds_one_whole_gpu(self) -> None:
        sharer = a_pod("s", a_spec(gpus=0, gpu_share=GpuShare(portion_millis=100)), group="s")
        whole = a_pod("w", a_spec(gpus=8), group="w")
        snapshot = a_snapshot(nodes=[a_node("n1")], pods=[sharer, whole], groups=[a_group("s"), a_group("w")])

        plan = a_plan([a_placement(sharer, "n1", gpu_groups=("x",)), a_placement(whole, "n1")])

        assert kinds(snapshot, plan) == {Kind.NODE_RESOURCES}

    def test_a_reservation_pod_already_pays_for_its_group(self) -> None:
        reservation = a_pod("r", a_spec(gpus=1), group=None, node="n1", gpu_groups=("x",))
        whole = a_pod("w", a_spec(gpus=6), group=None, node="n1")
        sharer = a_pod("s", a_spec(gpus=0, gpu_share=GpuShare(portion_millis=100)), group="s")
        last = a_pod("l", a_spec(gpus=1), group="l")
        snapshot = a_snapshot(
            nodes=[a_node("n1")],
            pods=[reservation, whole, sharer, last],
            groups=[a_group("s"), a_group("l")],
        )

        plan = a_plan([a_placement(sharer, "n1", gpu_groups=("x",)), a_placement(last, "n1")])

        assert kinds(snapshot, plan) == set()


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


DRIVER = "gpu.example.com"
EXACTLY_ONE = ClaimSpec(requests=(DeviceRequest(name="gpu", device_class="gpu", count=1),))


def a_slice(*devices: Device, node: str = "n1", **more: object) -> ResourceSlice:
    fields: dict[str, object] = {"generation": 1, "slice_count": 1, "node_name": NodeName(node), **more}
    return ResourceSlice(name=f"slice-{node}", driver=DRIVER, pool=node, devices=devices, **fields)  # type: ignore[arg-type]


def a_claim(name: str, spec: ClaimSpec = EXACTLY_ONE, **more: object) -> Claim:
    key = ClaimKey(f"team/{name}")
    return Claim(key=key, uid=Uid(f"uid-{key}"), spec=spec, **more)  # type: ignore[arg-type]


def results(*devices: str, request: str = "gpu", pool: str = "n1", **more: object) -> ClaimAllocation:
    return ClaimAllocation(
        results=tuple(
            DeviceResult(request=request, driver=DRIVER, pool=pool, device=device, **more)  # type: ignore[arg-type]
            for device in devices
        )
    )


def using(pod: Pod, claim: Claim, allocation: ClaimAllocation | None, node: str = "n1") -> Placement:
    shown = allocation or claim.allocation or ClaimAllocation()
    entry = ClaimPlacement(
        claim=claim.key,
        uid=claim.uid,
        devices=tuple(result.device_id for result in shown.results),
        allocation=allocation,
    )
    return a_placement(pod, node, claims=(entry,))


def claimants(*claims: Claim) -> list[Pod]:
    return [
        a_pod(
            f"p{index}",
            a_spec(gpus=0),
            group=f"g{index}",
            claims=(PodClaimRef("c", claim.key, is_own=True),),
        )
        for index, claim in enumerate(claims)
    ]


def dra(claims: Sequence[Claim], pods: Sequence[Pod], *slices: ResourceSlice) -> ClusterSnapshot:
    groups = sorted({pod.group.removeprefix("team/") for pod in pods if pod.group})
    return a_snapshot(
        nodes=[a_node("n1"), a_node("n2")],
        pods=pods,
        groups=[a_group(name) for name in groups],
        slices=slices,
        claims=tuple(claims),
    )


class TestClaims:
    def one(self, claim: Claim, *slices: ResourceSlice) -> tuple[ClusterSnapshot, Pod]:
        (pod,) = claimants(claim)
        return dra([claim], [pod], *(slices or (a_slice(Device(name="d0"), Device(name="d1")),))), pod

    def test_a_claim_allocated_as_asked_is_fine(self) -> None:
        claim = a_claim("c")
        snapshot, pod = self.one(claim)

        assert kinds(snapshot, a_plan([using(pod, claim, results("d0"))])) == set()

    def test_a_claim_left_unallocated(self) -> None:
        claim = a_claim("c")
        snapshot, pod = self.one(claim)

        assert kinds(snapshot, a_plan([using(pod, claim, None)])) == {Kind.CLAIM}

    def test_a_claim_that_the_plan_forgets(self) -> None:
        claim = a_claim("c")
        snapshot, pod = self.one(claim)

        assert kinds(snapshot, a_plan([a_placement(pod, "n1", claims=())])) == {Kind.CLAIM}

    def test_an_allocated_claim_allocated_again(self) -> None:
        claim = a_claim("c", allocation=results("d0"))
        snapshot, pod = self.one(claim)

        assert Kind.CLAIM in kinds(snapshot, a_plan([using(pod, claim, results("d1"))]))
        assert kinds(snapshot, a_plan([using(pod, claim, None)])) == set()

    @pytest.mark.parametrize(
        "allocation",
        [results(), results("d0", "d1"), results("d0", request="other")],
        ids=["none", "too many", "of another request"],
    )
    def test_other_devices_than_asked_for(self, allocation: ClaimAllocation) -> None:
        claim = a_claim("c")
        snapshot, pod = self.one(claim)

        assert Kind.CLAIM in kinds(snapshot, a_plan([using(pod, claim, allocation)]))

    def test_a_node_that_the_allocation_excludes(self) -> None:
        only_n2 = NodeSelector(
            (NodeSelectorTerm(fields=(Requirement("metadata.name", Operator.IN, ("n2",)),)),)
        )
        claim = a_claim("c", allocation=replace(results("d0"), node_selector=only_n2))
        snapshot, pod = self.one(claim)

        assert kinds(snapshot, a_plan([using(pod, claim, None, "n2")])) == set()
        assert kinds(snapshot, a_plan([using(pod, claim, None, "n1")])) == {Kind.CLAIM}

    def test_a_claim_that_is_being_deleted(self) -> None:
        claim = a_claim("c", allocation=results("d0"), is_deleting=True)
        snapshot, pod = self.one(claim)

        assert kinds(snapshot, a_plan([using(pod, claim, None)])) == {Kind.CLAIM}

    def test_the_257th_consumer(self) -> None:
        crowd = tuple(Consumer("pods", f"x{index}", f"uid-{index}") for index in range(256))
        claim = a_claim("c", allocation=results("d0"), reserved_for=crowd)
        snapshot, pod = self.one(claim)

        assert kinds(snapshot, a_plan([using(pod, claim, None)])) == {Kind.CLAIM}

    def test_a_shared_claim_with_two_allocations(self) -> None:
        claim = a_claim("c")
        pods = claimants(claim, claim)
        snapshot = dra([claim], pods, a_slice(Device(name="d0"), Device(name="d1")))

        plan = a_plan([using(pods[0], claim, results("d0")), using(pods[1], claim, results("d1"))])

        assert Kind.CLAIM in kinds(snapshot, plan)

    def test_devices_that_break_match_attribute(self) -> None:
        spec = ClaimSpec(
            requests=(DeviceRequest(name="gpu", device_class="gpu", count=2),),
            constraints=(DeviceConstraint(match_attribute=f"{DRIVER}/island"),),
        )
        devices = tuple(
            Device(name=f"d{index}", attributes=(("island", ("string", f"i{index // 2}")),))
            for index in range(4)
        )
        claim = a_claim("c", spec)
        snapshot, pod = self.one(claim, a_slice(*devices))

        assert kinds(snapshot, a_plan([using(pod, claim, results("d0", "d1"))])) == set()
        assert kinds(snapshot, a_plan([using(pod, claim, results("d1", "d2"))])) == {Kind.CLAIM}

    def test_devices_that_break_distinct_attribute(self) -> None:
        spec = ClaimSpec(
            requests=(DeviceRequest(name="gpu", device_class="gpu", count=2),),
            constraints=(DeviceConstraint(requests=("gpu",), distinct_attribute=f"{DRIVER}/island"),),
        )
        devices = tuple(
            Device(name=f"d{index}", attributes=(("island", ("string", f"i{index // 2}")),))
            for index in range(4)
        )
        claim = a_claim("c", spec)
        snapshot, pod = self.one(claim, a_slice(*devices))

        assert kinds(snapshot, a_plan([using(pod, claim, results("d1", "d2"))])) == set()
        assert kinds(snapshot, a_plan([using(pod, claim, results("d0", "d1"))])) == {Kind.CLAIM}


class TestDevices:
    def test_a_device_given_to_two_claims_of_the_plan(self) -> None:
        claims = [a_claim("c0"), a_claim("c1")]
        pods = claimants(*claims)
        snapshot = dra(claims, pods, a_slice(Device(name="d0"), Device(name="d1")))

        plan = a_plan([using(pod, claim, results("d0")) for pod, claim in zip(pods, claims, strict=True)])

        assert kinds(snapshot, plan) == {Kind.DEVICE}

    def test_a_device_that_another_claim_has(self) -> None:
        taken, claim = a_claim("taken", allocation=results("d0")), a_claim("c")
        (pod,) = claimants(claim)
        snapshot = dra([claim, taken], [pod], a_slice(Device(name="d0")))

        assert kinds(snapshot, a_plan([using(pod, claim, results("d0"))])) == {Kind.DEVICE}

    def test_admin_access_takes_nothing_from_others(self) -> None:
        taken = a_claim("taken", allocation=results("d0", admin_access=True))
        claim = a_claim("c")
        (pod,) = claimants(claim)
        snapshot = dra([claim, taken], [pod], a_slice(Device(name="d0")))

        assert kinds(snapshot, a_plan([using(pod, claim, results("d0"))])) == set()

    def test_a_device_of_a_releasing_pod_is_only_for_those_who_wait(self) -> None:
        leaving = a_pod("old", a_spec(gpus=0), group=None, node="n1", state=PodState.RELEASING)
        holder = Consumer("pods", "old", leaving.uid)
        taken = a_claim("taken", allocation=results("d0"), reserved_for=(holder,))
        claim = a_claim("c")
        (pod,) = claimants(claim)
        snapshot = dra([claim, taken], [pod, leaving], a_slice(Device(name="d0")))
        placement = using(pod, claim, results("d0"))

        assert kinds(snapshot, a_plan(pipelined=[placement])) == set()
        assert kinds(snapshot, a_plan([placement])) == {Kind.DEVICE}

    def test_a_device_that_is_not_published(self) -> None:
        claim = a_claim("c")
        (pod,) = claimants(claim)
        old = a_slice(Device(name="d0"))
        new = replace(old, name="newer", generation=2, devices=(Device(name="d1"),))
        snapshot = dra([claim], [pod], old, new)

        assert kinds(snapshot, a_plan([using(pod, claim, results("d0"))])) == {Kind.DEVICE}
        assert kinds(snapshot, a_plan([using(pod, claim, results("d1"))])) == set()

    def test_a_device_of_another_node(self) -> None:
        claim = a_claim("c")
        (pod,) = claimants(claim)
        snapshot = dra([claim], [pod], a_slice(Device(name="d0")))

        assert kinds(snapshot, a_plan([using(pod, claim, results("d0"), "n2")])) == {Kind.DEVICE}

    def shared(self, each: int, share_ids: tuple[str, str] = ("a", "b")) -> set[ViolationKind]:
        device = Device(
            name="d0",
            allow_multiple_allocations=True,
            capacity=(("memory", DeviceCapacity(Fraction(80))),),
        )
        claims = [a_claim("c0"), a_claim("c1")]
        pods = claimants(*claims)
        plan = a_plan(
            [
                using(
                    pod,
                    claim,
                    results("d0", share_id=share, consumed_capacity=(("memory", Fraction(each)),)),
                )
                for pod, claim, share in zip(pods, claims, share_ids, strict=True)
            ]
        )
        return kinds(dra(claims, pods, a_slice(device)), plan)

    def test_consumable_capacity_beyond_what_the_device_has(self) -> None:
        assert self.shared(40) == set()
        assert self.shared(41) == {Kind.DEVICE_CAPACITY}

    def test_one_share_id_for_two(self) -> None:
        assert self.shared(40, ("a", "a")) == {Kind.DEVICE}

    def test_shared_counters_beyond_what_the_pool_has(self) -> None:
        def partition(name: str, slices: int) -> Device:
            takes = CounterConsumption("gpu-0", (("slices", Fraction(slices)),))
            return Device(name=name, consumes_counters=(takes,))

        published = a_slice(
            partition("small", 3),
            partition("medium", 4),
            partition("large", 5),
            shared_counters=(CounterSet("gpu-0", (("slices", Fraction(7)),)),),
        )
        claims = [a_claim("c0"), a_claim("c1")]
        pods = claimants(*claims)
        snapshot = dra(claims, pods, published)

        def both(*devices: str) -> set[ViolationKind]:
            binds = [
                using(pod, claim, results(device))
                for pod, claim, device in zip(pods, claims, devices, strict=True)
            ]
            return kinds(snapshot, a_plan(binds))

        assert both("small", "medium") == set()
        assert both("small", "large") == {Kind.DEVICE_COUNTER}
