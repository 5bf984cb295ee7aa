"""The state of a cluster against its invariants, whoever broke them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from kai_sched.model.devices import (
    Claim,
    ClaimAllocation,
    ClaimSpec,
    Consumer,
    CounterConsumption,
    CounterSet,
    Device,
    DeviceCapacity,
    DeviceRequest,
    DeviceResult,
    ResourceSlice,
)
from kai_sched.model.ids import ClaimKey, NodeName, Uid
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import Pod, PodClaimRef, PodState
from kai_sched.placement.checker.state import check_state
from tests.builders import a_node, a_pod, a_snapshot, a_spec

DRIVER = "gpu.example.com"


def a_slice(*devices: Device, **more: object) -> ResourceSlice:
    fields: dict[str, object] = {"generation": 1, "slice_count": 1, "node_name": NodeName("n1"), **more}
    return ResourceSlice(name="s", driver=DRIVER, pool="n1", devices=devices, **fields)  # type: ignore[arg-type]


def a_claim(name: str, *devices: str, user: Pod | None = None, **more: object) -> Claim:
    """A claim that holds some devices, reserved for a pod."""
    results = tuple(
        DeviceResult(request="gpu", driver=DRIVER, pool="n1", device=device, **more)  # type: ignore[arg-type]
        for device in devices
    )
    consumers = (Consumer("pods", user.key.rpartition("/")[2], user.uid),) if user is not None else ()
    return Claim(
        key=ClaimKey(f"team/{name}"),
        uid=Uid(f"uid-{name}"),
        spec=ClaimSpec(requests=(DeviceRequest(name="gpu", device_class="gpu", count=1),)),
        allocation=ClaimAllocation(results=results) if devices else None,
        reserved_for=consumers,
    )


def on_n1(pod: Pod) -> Pod:
    return replace(pod, node=NodeName("n1"), state=PodState.RUNNING)


def findings(snapshot: ClusterSnapshot) -> list[str]:
    return [str(violation) for violation in check_state(snapshot, Policy())]


def test_a_sound_cluster_has_no_finding() -> None:
    user = on_n1(a_pod("p0", a_spec(gpus=8)))
    user = replace(user, claims=(PodClaimRef("c", ClaimKey("team/c"), is_own=False),))
    snapshot = a_snapshot(
        nodes=[a_node("n1")],
        pods=[user],
        slices=[a_slice(Device(name="d0"))],
        claims=[a_claim("c", "d0", user=user)],
    )

    assert findings(snapshot) == []


def test_a_node_that_shrank_below_what_its_pods_hold() -> None:
    pods = [on_n1(a_pod("p0", a_spec(gpus=4))), on_n1(a_pod("p1", a_spec(gpus=4)))]
    snapshot = a_snapshot(nodes=[a_node("n1", gpus=6)], pods=pods)

    assert findings(snapshot) == ["node-resources: n1: nvidia.com/gpu: 8 held > 6"]


def test_a_resource_that_a_node_serves_by_claims_is_not_counted() -> None:
    pods = [on_n1(a_pod("p0", a_spec(gpus=4)))]

    assert findings(a_snapshot(nodes=[a_node("n1", gpus=0)], pods=pods)) == []


def test_a_device_that_two_schedulers_gave_to_two_claims() -> None:
    claims = [a_claim("a", "d0"), a_claim("b", "d0"), a_claim("c", "d1")]
    snapshot = a_snapshot(
        nodes=[a_node("n1")], slices=[a_slice(Device(name="d0"), Device(name="d1"))], claims=claims
    )

    assert findings(snapshot) == [f"device: {DRIVER}/n1/d0: is given to 2 claims: team/a, team/b"]


def test_administrators_take_nothing_from_a_device() -> None:
    claims = [a_claim("a", "d0"), a_claim("b", "d0", admin_access=True)]
    snapshot = a_snapshot(nodes=[a_node("n1")], slices=[a_slice(Device(name="d0"))], claims=claims)

    assert findings(snapshot) == []


def test_a_capacity_of_which_too_much_is_given() -> None:
    device = Device(
        name="d0",
        allow_multiple_allocations=True,
        capacity=(("memory", DeviceCapacity(Fraction(10))),),
    )
    claims = [
        a_claim(name, "d0", share_id=name, consumed_capacity=(("memory", Fraction(6)),))
        for name in ("a", "b")
    ]
    snapshot = a_snapshot(nodes=[a_node("n1")], slices=[a_slice(device)], claims=claims)

    assert findings(snapshot) == [
        f"device-capacity: {DRIVER}/n1/d0: 12 of memory are given, it has less: team/a, team/b"
    ]


def test_counters_of_which_too_much_is_taken() -> None:
    parts = [
        Device(name=name, consumes_counters=(CounterConsumption("gpu-0", (("slices", Fraction(4)),)),))
        for name in ("d0", "d1")
    ]
    counters = (CounterSet("gpu-0", (("slices", Fraction(7)),)),)
    claims = [a_claim("a", "d0"), a_claim("b", "d1")]
    snapshot = a_snapshot(
        nodes=[a_node("n1")], slices=[a_slice(*parts, shared_counters=counters)], claims=claims
    )

    assert findings(snapshot) == [f"device-counter: {DRIVER}/n1/gpu-0/slices: 8 are taken, 7 are there"]


def test_a_device_that_is_no_longer_published_is_its_holders_own_matter() -> None:
    snapshot = a_snapshot(nodes=[a_node("n1")], claims=[a_claim("a", "gone")])

    assert findings(snapshot) == []


def test_pods_on_a_node_without_their_claims() -> None:
    other = a_pod("other", a_spec())
    pods = [
        replace(
            on_n1(a_pod(name, a_spec())), claims=(PodClaimRef("c", ClaimKey(f"team/{name}"), is_own=False),)
        )
        for name in ("bare", "foreign", "missing")
    ]
    claims = [a_claim("bare"), a_claim("foreign", "d0", user=other)]
    snapshot = a_snapshot(nodes=[a_node("n1")], pods=pods, slices=[a_slice(Device(name="d0"))], claims=claims)

    assert findings(snapshot) == [
        f"claim: {pods[0].key}: is on n1, claim team/bare is not allocated",
        f"claim: {pods[1].key}: is on n1, claim team/foreign is not reserved for it",
    ]


def a_form(kind: str, **more: object) -> Device:
    hardware = ("resource.kubernetes.io/pciBusID", ("string", "0000:18:00.0"))
    attributes = (hardware, ("type", ("string", kind)))
    return Device(name=kind, attributes=attributes, **more)  # type: ignore[arg-type]


def test_one_piece_of_hardware_that_is_given_in_both_its_forms() -> None:
    snapshot = a_snapshot(
        nodes=[a_node("n1")],
        slices=[a_slice(a_form("gpu"), a_form("vfio"))],
        claims=[a_claim("a", "gpu"), a_claim("b", "vfio")],
    )

    assert findings(snapshot) == [
        f"device: {DRIVER}/n1/gpu: is the same hardware as {DRIVER}/n1/vfio, given too: team/a"
    ]


def test_partitions_of_one_counter_set_are_judged_by_their_counters() -> None:
    use = CounterConsumption("gpu-0", (("slices", Fraction(1)),))
    parts = [a_form(kind, consumes_counters=(use,)) for kind in ("gpu", "mig")]
    snapshot = a_snapshot(
        nodes=[a_node("n1")],
        slices=[a_slice(*parts, shared_counters=(CounterSet("gpu-0", (("slices", Fraction(2)),)),))],
        claims=[a_claim("a", "gpu"), a_claim("b", "mig")],
    )

    assert findings(snapshot) == []
