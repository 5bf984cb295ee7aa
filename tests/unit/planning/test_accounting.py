"""What counts as what in quotas: a test for each line of the rule. Pods, queues, and what there is to divide."""

from dataclasses import replace

import pytest

from kai_sched.model.devices import (
    Device,
)
from kai_sched.model.policy import Policy
from kai_sched.model.queues import QuotaVector
from kai_sched.model.resources import amounts
from kai_sched.model.workloads import GpuShare, PodState
from tests.builders import GIB, a_group, a_node, a_pod, a_spec
from tests.unit.planning.accounts import (
    a_claim,
    a_gpu,
    a_partition,
    a_request,
    a_slice,
    of_spec,
    the_account,
    with_claims,
)


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
    assert of_spec(a_spec(gpus=0, gpu_share=GpuShare(portion_micros=250_000, devices=2))).gpu == 0.5


def test_gpu_memory_counts_against_the_smallest_gpu_while_pending():
    nodes = [a_node("small", gpu_memory_mib=20_000), a_node("large", gpu_memory_mib=80_000)]

    assert of_spec(a_spec(gpus=0, gpu_share=GpuShare(memory_mib=10_000)), nodes=nodes).gpu == 0.5


def test_gpu_memory_counts_against_the_nodes_own_gpu_once_placed():
    pod = a_pod("p", a_spec(gpus=0, gpu_share=GpuShare(memory_mib=10_000)), node="large")
    nodes = [a_node("small", gpu_memory_mib=20_000), a_node("large", gpu_memory_mib=80_000)]

    assert the_account(nodes=nodes, pods=[pod]).quota_of_pod(pod).gpu == 0.125


def test_gpu_memory_where_no_node_tells_its_own_counts_as_whole():
    assert of_spec(a_spec(gpus=0, gpu_share=GpuShare(memory_mib=10_000, devices=2))).gpu == 2


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


def test_gpus_of_nodes_that_publish_under_one_pool_name_count_whatever_their_generations():
    def on(node, generation):
        devices = [a_gpu(f"{node}-gpu-{number}") for number in range(4)]
        return replace(a_slice(*devices, node=node, generation=generation), pool="gpus")

    account = the_account(nodes=[a_node("a", gpus=0), a_node("b", gpus=0)], slices=(on("a", 1), on("b", 2)))

    assert account.total_capacity().gpu == 8


def test_partitions_of_one_pool_name_on_two_nodes_are_two_gpus():
    def on(node, generation):
        parts = a_partition("4g.40gb"), a_partition("3g.40gb", start=4)
        return replace(a_slice(*parts, node=node, generation=generation), pool="gpus")

    account = the_account(nodes=[a_node("a", gpus=0), a_node("b", gpus=0)], slices=(on("a", 1), on("b", 2)))

    assert account.total_capacity().gpu == 14
