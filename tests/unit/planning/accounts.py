"""Devices, claims and pods to be counted, and the account of them: the engine's, with which the judge's must agree."""

from dataclasses import replace
from fractions import Fraction

import pytest

from kai_sched.devices.index import DeviceIndex
from kai_sched.model.devices import (
    Claim,
    ClaimAllocation,
    ClaimSpec,
    Device,
    DeviceCapacity,
    DeviceClass,
    DeviceRequest,
    DeviceResult,
    ResourceSlice,
)
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import Fleet
from kai_sched.model.workloads import PodClaimRef
from kai_sched.placement.checker.pools import Pools
from kai_sched.planning.accounting import Accounting
from kai_sched.planning.checks.amounts import Amounts
from tests.builders import GIB, a_node, a_pod, a_queue, a_snapshot, a_spec

QUEUES = (a_queue("dept", parent=None), a_queue("team-a"), a_queue("team-b"))
DRIVER = "gpu.nvidia.com"
MEMORY = Fraction(80 * GIB)
CLASSES = (
    DeviceClass(name="gpu.nvidia.com", selectors=("device.attributes['gpu.nvidia.com'].type == 'gpu'",)),
    DeviceClass(name="mig.nvidia.com", selectors=("device.attributes['gpu.nvidia.com'].type == 'mig'",)),
    DeviceClass(name="nic.example.com", selectors=("device.driver == 'nic.example.com'",)),
)


def a_gpu(name, **more):
    """A whole GPU as the driver publishes it."""
    attributes = (("type", ("string", "gpu")), ("uuid", ("string", f"GPU-{name}")))
    return Device(name=name, attributes=attributes, capacity=(("memory", DeviceCapacity(MEMORY)),), **more)


def a_partition(profile, gpu="gpu-0", start=0, **more):
    """A MIG partition of a GPU."""
    attributes = (
        ("type", ("string", "mig")),
        ("parentUUID", ("string", f"GPU-{gpu}")),
        ("profile", ("string", profile)),
    )
    return Device(name=f"{gpu}-mig-{profile.replace('.', '')}-19-{start}", attributes=attributes, **more)


def a_slice(*devices, node="n", driver=DRIVER, generation=1):
    return ResourceSlice(
        name=f"slice-{driver}-{node}-{generation}",
        driver=driver,
        pool=node,
        generation=generation,
        slice_count=1,
        devices=devices,
        node_name=node,
    )


def a_claim(name="c", *requests, results=(), namespace="team", **more):
    """A claim; allocated if it has ``results``: (request, device) or DeviceResult."""
    entries = tuple(
        entry
        if isinstance(entry, DeviceResult)
        else DeviceResult(request=entry[0], driver=DRIVER, pool="n", device=entry[1])
        for entry in results
    )
    return Claim(
        key=f"{namespace}/{name}",
        uid=f"uid-{name}",
        spec=ClaimSpec(requests=requests),
        allocation=ClaimAllocation(results=entries) if entries else None,
        **more,
    )


def a_request(device_class="gpu.nvidia.com", count=1, name="r", **more):
    return DeviceRequest(name=name, device_class=device_class, count=count, **more)


def with_claims(pod, *names):
    return replace(
        pod, claims=tuple(PodClaimRef(name=name, claim=f"team/{name}", is_own=False) for name in names)
    )


def the_account(policy=None, **parts):
    snapshot = a_snapshot(**{"device_classes": CLASSES, **parts})
    return Accounting.of(snapshot, policy or Policy(), DeviceIndex.of(snapshot.fleet))


def gpus_of(claim, *slices, policy=None, classes=CLASSES):
    """What a pod with this claim and nothing else counts."""
    pod = with_claims(a_pod("p", a_spec(gpus=0)), claim.key.partition("/")[2])
    account = the_account(
        policy,
        nodes=[a_node("n", gpus=0)],
        pods=[pod],
        claims=(claim,),
        slices=slices,
        device_classes=classes,
    )
    counted = account.quota_of_pod(pod).gpu
    if claim.allocation is not None and not claim.is_extended_resource:
        fleet = Fleet(nodes=(a_node("n", gpus=0),), slices=slices, device_classes=classes)
        judge = Amounts(fleet, policy or Policy(), Pools(slices))
        assert judge.of_devices(claim.spec, claim.allocation, "n") == pytest.approx(counted)
    return counted


def of_spec(spec, policy=None, nodes=()):
    pod = a_pod("p", spec)
    counted = the_account(policy, nodes=nodes, pods=[pod]).quota_of_pod(pod)
    judge = Amounts(Fleet(nodes=tuple(nodes)), policy or Policy(), Pools(()))
    assert judge.of_pod(pod, None) == counted
    return counted
