"""What counts as what in quotas: a test for each line of the rule."""

from dataclasses import replace
from fractions import Fraction

import pytest

from kai_sched.devices.index import DeviceIndex
from kai_sched.model.devices import (
    AllocationMode,
    Claim,
    ClaimAllocation,
    ClaimSpec,
    Consumer,
    Device,
    DeviceCapacity,
    DeviceClass,
    DeviceRequest,
    DeviceResult,
    RequestPolicy,
    ResourceSlice,
)
from kai_sched.model.policy import GpuClassRule, Policy
from kai_sched.model.queues import QuotaVector
from kai_sched.model.resources import amounts
from kai_sched.model.workloads import GpuShare, PodClaimRef, PodState
from kai_sched.planning.accounting import Accounting
from tests.builders import GIB, a_group, a_node, a_pod, a_queue, a_snapshot, a_spec

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
    return account.quota_of_pod(pod).gpu


def of_spec(spec, policy=None, nodes=()):
    pod = a_pod("p", spec)
    return the_account(policy, nodes=nodes, pods=[pod]).quota_of_pod(pod)


# --- resources of the pod itself


def test_cpu_counts_in_millicores_and_memory_in_megabytes():
    assert of_spec(a_spec(gpus=0, cpu=1500, memory=2_500_000)) == QuotaVector(0, 1500, 2.5)


@pytest.mark.parametrize("name", ["nvidia.com/gpu", "amd.com/gpu"])
def test_whole_gpus_of_device_plugins_count_one_each(name):
    spec = replace(a_spec(gpus=0), requests=amounts({name: 3}))

    assert of_spec(spec).gpu == 3


def test_which_resources_are_gpus_is_a_setting():
    spec = replace(a_spec(gpus=0), requests=amounts({"nvidia.com/gpu": 1, "gpu.intel.com/xe": 2}))

    assert of_spec(spec, Policy(gpu_resources=("gpu.intel.com/xe",))).gpu == 2


def test_mig_resources_count_by_their_g():
    spec = replace(
        a_spec(gpus=0), requests=amounts({"nvidia.com/mig-1g.10gb": 2, "nvidia.com/mig-3g.40gb": 1})
    )

    assert of_spec(spec).gpu == 5


def test_fraction_of_a_gpu_counts_its_part_on_each_device():
    assert of_spec(a_spec(gpus=0, gpu_share=GpuShare(portion_millis=250, devices=2))).gpu == 0.5


def test_gpu_memory_counts_against_the_smallest_gpu_while_pending():
    nodes = [a_node("small", gpu_memory_mib=20_000), a_node("large", gpu_memory_mib=80_000)]

    assert of_spec(a_spec(gpus=0, gpu_share=GpuShare(memory_mib=10_000)), nodes=nodes).gpu == 0.5


def test_gpu_memory_counts_against_the_nodes_own_gpu_once_placed():
    pod = a_pod("p", a_spec(gpus=0, gpu_share=GpuShare(memory_mib=10_000)), node="large")
    nodes = [a_node("small", gpu_memory_mib=20_000), a_node("large", gpu_memory_mib=80_000)]

    assert the_account(nodes=nodes, pods=[pod]).quota_of_pod(pod).gpu == 0.125


def test_gpu_memory_where_no_node_tells_its_own_counts_as_whole():
    assert of_spec(a_spec(gpus=0, gpu_share=GpuShare(memory_mib=10_000, devices=2))).gpu == 2


# --- claims


def test_devices_of_a_class_with_gpu_in_its_name_count_one_each():
    assert gpus_of(a_claim("c", a_request(count=4)), a_slice(a_gpu("gpu-0"))) == 4


def test_devices_of_other_classes_do_not_count():
    assert gpus_of(a_claim("c", a_request("nic.example.com", count=2))) == 0


def test_class_that_does_not_exist_counts_by_its_name():
    assert gpus_of(a_claim("c", a_request("gpu.gone.com", count=2))) == 2


def test_partition_counts_by_the_g_of_its_profile():
    claim = a_claim("c", a_request("mig.nvidia.com"), results=[("r", "gpu-0-mig-3g40gb-19-0")])

    assert gpus_of(claim, a_slice(a_partition("3g.40gb"))) == 3


def test_partition_without_a_profile_counts_by_the_g_of_its_name():
    claim = a_claim("c", a_request("my-gpu-parts"), results=[("r", "gpu-0-mig-2g20gb-14-0")])
    part = replace(a_partition("2g.20gb"), attributes=())

    assert gpus_of(claim, a_slice(part), classes=(DeviceClass(name="my-gpu-parts"),)) == 2


def test_pending_partition_counts_as_the_largest_that_its_selectors_allow():
    parts = a_slice(a_partition("1g.10gb"), a_partition("3g.40gb", start=4))
    narrow = a_request(
        "mig.nvidia.com", selectors=("device.attributes['gpu.nvidia.com'].profile == '1g.10gb'",)
    )

    assert gpus_of(a_claim("c", narrow), parts) == 1
    assert gpus_of(a_claim("c", a_request("mig.nvidia.com")), parts) == 3


def test_allocated_claim_counts_its_real_devices():
    claim = a_claim("c", a_request(count=1), results=[("r", "gpu-0"), ("r", "gpu-1")])

    assert gpus_of(claim, a_slice(a_gpu("gpu-0"), a_gpu("gpu-1"))) == 2


def test_allocated_device_that_its_driver_withdrew_still_counts():
    assert gpus_of(a_claim("c", a_request(), results=[("r", "gpu-7")]), a_slice(a_gpu("gpu-0"))) == 1


def test_device_that_takes_many_claims_counts_by_its_consumed_memory():
    shared = a_gpu("gpu-0", allow_multiple_allocations=True)
    result = DeviceResult(
        request="r",
        driver=DRIVER,
        pool="n",
        device="gpu-0",
        share_id="s",
        consumed_capacity=(("memory", Fraction(20 * GIB)),),
    )

    assert gpus_of(a_claim("c", a_request(), results=[result]), a_slice(shared)) == 0.25


def test_pending_part_of_a_shared_device_counts_what_it_asks_for():
    shared = a_gpu("gpu-0", allow_multiple_allocations=True)
    request = a_request(capacity=(("memory", Fraction(60 * GIB)),))

    assert gpus_of(a_claim("c", request), a_slice(shared)) == 0.75


def test_request_that_leaves_memory_out_counts_what_the_device_gives_by_default():
    policy = RequestPolicy(default=Fraction(40 * GIB), has_range=True, range_min=Fraction(0))
    shared = replace(
        a_gpu("gpu-0", allow_multiple_allocations=True),
        capacity=(("memory", DeviceCapacity(MEMORY, policy)),),
    )

    assert gpus_of(a_claim("c", a_request()), a_slice(shared)) == 0.5
    assert gpus_of(a_claim("c", a_request()), a_slice(a_gpu("gpu-0", allow_multiple_allocations=True))) == 1


def test_admin_access_counts_nothing():
    pending = a_claim("c", a_request(count=8, admin_access=True))
    result = DeviceResult(request="r", driver=DRIVER, pool="n", device="gpu-0", admin_access=True)

    assert gpus_of(pending) == 0
    assert gpus_of(a_claim("c", a_request(), results=[result]), a_slice(a_gpu("gpu-0"))) == 0


def test_all_counts_the_devices_of_the_node_that_has_most():
    few = a_slice(a_gpu("gpu-0"), node="few")
    many = a_slice(a_gpu("gpu-0"), a_gpu("gpu-1"), a_gpu("gpu-2"), node="many")

    assert gpus_of(a_claim("c", a_request(mode=AllocationMode.ALL)), few, many) == 3


def test_alternatives_count_as_the_largest_while_pending_and_as_the_real_one_after():
    request = DeviceRequest(
        name="r",
        first_available=(a_request(count=2, name="two"), a_request(count=1, name="one")),
    )
    devices = a_slice(a_gpu("gpu-0"), a_gpu("gpu-1"))

    assert gpus_of(a_claim("c", request), devices) == 2
    assert gpus_of(a_claim("c", request, results=[("r/one", "gpu-1")]), devices) == 1


def test_rules_of_the_admin_replace_the_default():
    policy = Policy(gpu_classes=(GpuClassRule("nic.example.com", weight=0.5),))

    assert gpus_of(a_claim("c", a_request("nic.example.com", count=4)), policy=policy) == 2
    assert gpus_of(a_claim("c", a_request(count=4)), policy=policy) == 0


def test_rule_with_a_selector_weighs_the_devices_that_it_selects():
    policy = Policy(
        gpu_classes=(
            GpuClassRule("gpu.nvidia.com", "device.attributes['gpu.nvidia.com'].uuid == 'GPU-gpu-1'", 2.0),
            GpuClassRule("", weight=0.5),
        )
    )
    devices = a_slice(a_gpu("gpu-0"), a_gpu("gpu-1"))

    assert gpus_of(a_claim("c", a_request(), results=[("r", "gpu-0")]), devices, policy=policy) == 0.5
    assert gpus_of(a_claim("c", a_request(), results=[("r", "gpu-1")]), devices, policy=policy) == 2
    assert gpus_of(a_claim("c", a_request()), devices, policy=policy) == 2


def test_extended_resource_backed_by_a_gpu_class_counts_once():
    classes = (DeviceClass(name="gpu.nvidia.com", extended_resource_name="example.com/accelerator"),)
    claim = a_claim("c", a_request(count=2), is_extended_resource=True)
    spec = replace(a_spec(gpus=0), requests=amounts({"example.com/accelerator": 2}))
    pod = with_claims(a_pod("p", spec), "c")
    account = the_account(
        nodes=[a_node("n", gpus=0)],
        pods=[pod],
        claims=(claim,),
        slices=(a_slice(a_gpu("gpu-0")),),
        device_classes=classes,
    )

    assert account.quota_of_pod(pod).gpu == 2


def test_class_named_as_a_resource_counts_like_the_class():
    spec = replace(a_spec(gpus=0), requests=amounts({"deviceclass.resource.kubernetes.io/gpu.nvidia.com": 3}))
    pod = a_pod("p", spec)
    account = the_account(nodes=[a_node("n", gpus=0)], pods=[pod], slices=(a_slice(a_gpu("gpu-0")),))

    assert account.quota_of_pod(pod).gpu == 3


# --- usage by queue

QUEUES = (a_queue("dept", parent=None), a_queue("team-a"), a_queue("team-b"))


def test_usage_is_what_runs_and_what_waits():
    pods = [
        a_pod("run", node="n"),
        a_pod("bound", node="n", state=PodState.BOUND),
        a_pod("leaving", node="n", state=PodState.RELEASING),
        a_pod("done", state=PodState.SUCCEEDED),
        a_pod("wait"),
        a_pod("gated", state=PodState.GATED),
    ]
    account = the_account(pods=pods, groups=[a_group(pod.key.partition("/")[2]) for pod in pods])

    usage = account.usage()["team-a"]

    assert usage.allocated.gpu == 2
    assert usage.pending.gpu == 1
    assert usage.allocated_non_preemptible.gpu == 0


def test_usage_tells_what_cannot_be_taken_back():
    pods = [a_pod("a", node="n"), a_pod("b", node="n")]
    groups = [a_group("a", is_preemptible=False), a_group("b")]

    usage = the_account(pods=pods, groups=groups).usage()["team-a"]

    assert usage.allocated_non_preemptible == QuotaVector(1, 1000, GIB / 1e6)
    assert usage.allocated.gpu == 2


def shared_claim_account(*pods, groups=None, **claim):
    return the_account(
        nodes=[a_node("n")],
        pods=[with_claims(pod, "c") for pod in pods],
        groups=groups or [a_group("a"), a_group("b", queue="team-b")],
        queues=QUEUES,
        claims=(a_claim("c", a_request(count=2), **claim),),
        slices=(a_slice(a_gpu("gpu-0"), a_gpu("gpu-1")),),
    )


def plain(name, **more):
    return a_pod(name, a_spec(gpus=0, cpu=0, memory=0), **more)


def test_shared_claim_counts_once_in_the_queue_of_its_first_consumer():
    first, second = plain("b"), plain("a")
    account = shared_claim_account(replace(first, created_at=1.0), replace(second, created_at=2.0))

    usage = account.usage()

    assert usage["team-b"].pending.gpu == 2
    assert usage["team-a"].pending.gpu == 0


def test_shared_claim_counts_in_the_queue_of_its_label():
    account = shared_claim_account(plain("a"), plain("b"), queue_label="team-b")

    usage = account.usage()

    assert usage["team-a"].pending.gpu == 0
    assert usage["team-b"].pending.gpu == 2


def test_shared_claim_in_use_counts_for_the_pod_it_was_reserved_for_first():
    account = shared_claim_account(
        plain("a", node="n"),
        plain("b", node="n"),
        results=[("r", "gpu-0"), ("r", "gpu-1")],
        reserved_for=(Consumer("pods", "b", "uid-team/b"), Consumer("pods", "a", "uid-team/a")),
    )

    usage = account.usage()

    assert usage["team-b"].allocated.gpu == 2
    assert usage["team-a"].allocated.gpu == 0


def test_request_counts_a_claim_shared_inside_a_gang_once():
    account = shared_claim_account(plain("a"), plain("a2"), groups=[a_group("a"), a_group("a2")])

    assert account.request_of((0, 1)).gpu == 2
    assert account.request_of((1,)).gpu == 2


def test_claim_that_a_placed_pod_holds_costs_the_next_pod_nothing():
    account = shared_claim_account(plain("a"), plain("a2"), groups=[a_group("a"), a_group("a2")])

    account.note_placed((0,))

    assert account.request_of((1,)).gpu == 0


def test_claim_in_use_costs_a_new_consumer_nothing():
    account = shared_claim_account(
        plain("a", node="n"),
        plain("a2"),
        groups=[a_group("a"), a_group("a2")],
        results=[("r", "gpu-0"), ("r", "gpu-1")],
    )

    assert account.request_of((1,)).gpu == 0


def test_claim_labelled_for_another_queue_is_not_charged_here():
    account = shared_claim_account(plain("a"), groups=[a_group("a")], queue_label="team-b")

    assert account.request_of((0,)).gpu == 0


# --- what there is to divide


def test_total_is_what_ready_nodes_have():
    account = the_account(
        nodes=[
            a_node("a", gpus=8, cpu=1000, memory=1_000_000),
            a_node("cordoned", gpus=8, cpu=0, memory=0, is_cordoned=True),
            a_node("down", gpus=8, is_ready=False),
        ]
    )

    assert account.total_capacity() == QuotaVector(16, 1000, 1)


def test_pods_of_other_schedulers_lessen_the_total():
    pods = [
        a_pod("theirs", a_spec(gpus=2, cpu=500, memory=0), group=None, node="n"),
        a_pod("on a dead node", group=None, node="down"),
        a_pod("finished", group=None, node="n", state=PodState.SUCCEEDED),
        a_pod("ours", node="n"),
    ]
    account = the_account(
        nodes=[a_node("n", cpu=4000, memory=0), a_node("down", is_ready=False)],
        pods=pods,
        groups=[a_group("ours")],
    )

    assert account.total_capacity() == QuotaVector(6, 3500, 0)


def test_reservation_pod_of_a_shared_gpu_takes_nothing_from_the_total():
    spec = a_spec(gpus=1, cpu=0, memory=0, labels=(("app", "kai-resource-reservation"),))
    pods = [a_pod("reservation", spec, group=None, node="n")]

    assert the_account(nodes=[a_node("n")], pods=pods).total_capacity().gpu == 8


def test_claim_of_another_scheduler_lessens_the_total_once():
    pods = [
        with_claims(a_pod(name, a_spec(gpus=0, cpu=0, memory=0), group=None, node="n"), "c")
        for name in ("a", "b")
    ]
    account = the_account(
        nodes=[a_node("n", gpus=0)],
        pods=pods,
        claims=(a_claim("c", a_request(), results=[("r", "gpu-0")]),),
        slices=(a_slice(a_gpu("gpu-0"), a_gpu("gpu-1")),),
    )

    assert account.total_capacity().gpu == 1


def test_published_and_plugged_gpus_both_count_side_by_side():
    account = the_account(
        nodes=[a_node("n", gpus=4), a_node("plugin", gpus=8)],
        slices=(a_slice(*(a_gpu(f"gpu-{number}") for number in range(4))),),
    )

    assert account.total_capacity().gpu == 16


def test_gpus_that_a_node_offers_both_ways_count_once_by_its_label():
    account = the_account(
        nodes=[a_node("n", gpus=4, labels={"nvidia.com/gpu.count": "4"})],
        slices=(a_slice(*(a_gpu(f"gpu-{number}") for number in range(4))),),
    )

    assert account.total_capacity().gpu == 4


def test_gpu_published_whole_and_in_partitions_counts_once():
    devices = (a_gpu("gpu-0"), a_partition("1g.10gb"), a_partition("3g.40gb", start=4), a_gpu("gpu-1"))

    assert the_account(nodes=[a_node("n", gpus=0)], slices=(a_slice(*devices),)).total_capacity().gpu == 2


def test_gpu_published_only_in_partitions_counts_their_sum():
    devices = (a_partition("4g.40gb"), a_partition("3g.40gb", start=4))

    assert the_account(nodes=[a_node("n", gpus=0)], slices=(a_slice(*devices),)).total_capacity().gpu == 7


def test_devices_of_an_old_generation_and_of_dead_nodes_do_not_count():
    account = the_account(
        nodes=[a_node("n", gpus=0), a_node("down", gpus=0, is_ready=False)],
        slices=(
            a_slice(a_gpu("gpu-0"), a_gpu("gpu-1")),
            a_slice(a_gpu("gpu-0"), generation=2),
            a_slice(a_gpu("gpu-0"), node="down"),
        ),
    )

    assert account.total_capacity().gpu == 1


def test_network_attached_gpus_count_wherever_they_are_used():
    pool = replace(a_slice(a_gpu("gpu-0"), a_gpu("gpu-1"), node="fabric"), node_name=None, all_nodes=True)

    assert the_account(nodes=[a_node("n", gpus=0)], slices=(pool,)).total_capacity().gpu == 2


def test_devices_of_other_classes_are_no_capacity():
    nics = a_slice(Device(name="nic-0"), driver="nic.example.com")

    assert the_account(nodes=[a_node("n", gpus=0)], slices=(nics,)).total_capacity().gpu == 0


def test_restricted_scheduling_counts_gpus_of_gpu_workers_only():
    worker = a_node("worker", labels={"node-role.kubernetes.io/gpu-worker": ""})

    account = the_account(Policy(restrict_node_scheduling=True), nodes=[worker, a_node("other")])

    assert account.total_capacity().gpu == 8
