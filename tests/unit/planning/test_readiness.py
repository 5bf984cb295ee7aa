"""Claims that are not ready: the pod waits and hears why, nobody else does."""

from dataclasses import replace

import pytest

from kai_sched.model.devices import (
    AllocationMode,
    Claim,
    ClaimSpec,
    Device,
    DeviceClass,
    DeviceRequest,
    ResourceSlice,
)
from kai_sched.model.ids import ClaimKey, NodeName, Uid
from kai_sched.model.plan import Blocker, Outcome
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import Unreadable
from kai_sched.model.workloads import PodClaimRef
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.planning.cycle import plan_cycle
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec

SLICE = ResourceSlice(
    name="a",
    driver="gpu.example.com",
    pool="a",
    generation=1,
    slice_count=1,
    node_name=NodeName("a"),
    devices=tuple(Device(name=f"gpu-{number}") for number in range(4)),
)
KEY = ClaimKey("team/waits-gpu")


def a_claim(key: ClaimKey = KEY, *, owner: str = "uid-team/waits", **more: object) -> Claim:
    request = DeviceRequest(name="gpu", device_class="gpu", mode=AllocationMode.EXACT_COUNT, count=1)
    return Claim(key=key, uid=Uid(f"uid-{key}"), spec=ClaimSpec(requests=(request,)), owner_uid=owner, **more)


def plan_with(claims, *, unreadable=(), is_own=True):
    """One pod with a claim, and a neighbour without; both of one node."""
    reference = PodClaimRef("gpu", KEY, is_own=is_own)
    pods = [
        a_pod("waits", a_spec(gpus=0), claims=(reference,)),
        a_pod("neighbour", a_spec(gpus=0)),
    ]
    snapshot = a_snapshot(
        nodes=[a_node("a", gpus=0)],
        pods=pods,
        groups=[a_group("waits"), a_group("neighbour")],
        slices=(SLICE,),
        device_classes=(DeviceClass(name="gpu"),),
        claims=tuple(claims),
        unreadable=tuple(unreadable),
    )
    plan = plan_cycle(snapshot, Policy())
    assert PlanChecker()(snapshot, Policy(), plan) == ()
    return plan


def verdict_of(plan, group):
    return next(verdict for verdict in plan.verdicts if verdict.pod_group == f"team/{group}")


def test_a_claim_that_is_ready_is_allocated():
    plan = plan_with([a_claim()])

    assert {placement.pod for placement in plan.binds} == {"team/waits", "team/neighbour"}


@pytest.mark.parametrize(
    ("claims", "unreadable", "said"),
    [
        ([], [], "claim team/waits-gpu of pod team/waits does not exist"),
        (
            [],
            [Unreadable("ResourceClaim", KEY, "spec.devices", "must be an object")],
            "claim team/waits-gpu of pod team/waits cannot be read: spec.devices: must be an object",
        ),
        ([a_claim(is_deleting=True)], [], "claim team/waits-gpu of pod team/waits is being deleted"),
        ([a_claim(owner="uid-of-old")], [], "claim team/waits-gpu was not made for pod team/waits"),
    ],
    ids=["missing", "unreadable", "going", "of an earlier pod"],
)
def test_a_claim_that_is_not_ready_is_named_and_holds_up_its_pod_alone(claims, unreadable, said):
    plan = plan_with(claims, unreadable=unreadable)

    verdict = verdict_of(plan, "waits")
    assert (verdict.outcome, verdict.blocker) == (Outcome.NOT_READY, Blocker.GANG_NOT_READY)
    assert said in verdict.message
    assert [placement.pod for placement in plan.binds] == ["team/neighbour"]


def test_a_named_claim_belongs_to_whoever_names_it():
    plan = plan_with([a_claim(owner="uid-of-a-workload")], is_own=False)

    assert {placement.pod for placement in plan.binds} == {"team/waits", "team/neighbour"}


def test_a_gang_starts_with_the_pods_whose_claims_are_ready():
    refs = {
        name: PodClaimRef("gpu", ClaimKey(f"team/{name}-gpu"), is_own=True) for name in ("w-0", "w-1", "w-2")
    }
    pods = [a_pod(name, a_spec(gpus=0), group="w", claims=(ref,)) for name, ref in refs.items()]
    claims = [a_claim(refs[name].claim, owner=f"uid-team/{name}") for name in ("w-0", "w-2")]
    snapshot = a_snapshot(
        nodes=[a_node("a", gpus=0)],
        pods=pods,
        groups=[a_group("w", min_member=2)],
        slices=(SLICE,),
        device_classes=(DeviceClass(name="gpu"),),
        claims=claims,
    )

    plan = plan_cycle(replace(snapshot, claims=tuple(claims)), Policy())

    assert {placement.pod for placement in plan.binds} == {"team/w-0", "team/w-2"}
