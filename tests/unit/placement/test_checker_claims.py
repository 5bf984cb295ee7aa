"""The independent checker: plans that break promises about claims and devices."""

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
    DeviceClass,
    DeviceConstraint,
    DeviceRequest,
    DeviceResult,
    ResourceSlice,
)
from kai_sched.model.ids import ClaimKey, NodeName, Uid
from kai_sched.model.plan import ClaimPlacement, Placement
from kai_sched.model.selectors import (
    NodeSelector,
    NodeSelectorTerm,
    Operator,
    Requirement,
)
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import (
    Pod,
    PodClaimRef,
    PodState,
)
from kai_sched.placement.checker import ViolationKind
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec
from tests.unit.placement.plans import Kind, a_placement, a_plan, kinds

DRIVER = "gpu.example.com"
EXACTLY_ONE = ClaimSpec(requests=(DeviceRequest(name="gpu", device_class="gpu", count=1),))


def a_slice(*devices: Device, node: str = "n1", **more: object) -> ResourceSlice:
    fields: dict[str, object] = {"generation": 1, "slice_count": 1, "node_name": NodeName(node), **more}
    return ResourceSlice(name=f"slice-{node}", driver=DRIVER, pool=node, devices=devices, **fields)  # type: ignore[arg-type]


def a_claim(name: str, spec: ClaimSpec = EXACTLY_ONE, **more: object) -> Claim:
    key = ClaimKey(f"team/{name}")
    return Claim(key=key, uid=Uid(f"uid-{key}"), spec=spec, **more)  # type: ignore[arg-type]


def results(*devices: str, request: str = "gpu", pool: str = "n1", **more: object) -> ClaimAllocation:
    here = Requirement("metadata.name", Operator.IN, (pool,))
    return ClaimAllocation(
        results=tuple(
            DeviceResult(request=request, driver=DRIVER, pool=pool, device=device, **more)  # type: ignore[arg-type]
            for device in devices
        ),
        node_selector=NodeSelector((NodeSelectorTerm(fields=(here,)),)),
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
        device_classes=(DeviceClass(name="gpu"),),
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

        assert Kind.DEVICE in kinds(snapshot, a_plan([using(pod, claim, results("d0"), "n2")]))

    def shared(self, each: int, share_ids: tuple[str, str] = ("a", "b")) -> set[ViolationKind]:
        device = Device(
            name="d0",
            allow_multiple_allocations=True,
            capacity=(("memory", DeviceCapacity(Fraction(80))),),
        )
        (request,) = EXACTLY_ONE.requests
        asked = ClaimSpec(requests=(replace(request, capacity=(("memory", Fraction(each)),)),))
        claims = [a_claim("c0", asked), a_claim("c1", asked)]
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
