"""What counts as what in quotas: claims, allocated and pending, and those that several pods share."""

from dataclasses import replace
from fractions import Fraction

import pytest

from kai_sched.model.devices import (
    AllocationMode,
    Consumer,
    DeviceCapacity,
    DeviceClass,
    DeviceRequest,
    DeviceResult,
    RequestPolicy,
)
from kai_sched.model.policy import GpuClassRule, Policy
from kai_sched.model.resources import amounts
from tests.builders import GIB, a_group, a_node, a_pod, a_spec
from tests.unit.planning.accounts import (
    DRIVER,
    MEMORY,
    QUEUES,
    a_claim,
    a_gpu,
    a_partition,
    a_request,
    a_slice,
    gpus_of,
    the_account,
    with_claims,
)


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


def test_part_that_takes_none_of_the_memory_counts_by_the_capacity_that_it_takes():
    no_memory = RequestPolicy(default=Fraction(0), has_range=True)
    by_shares = replace(
        a_gpu("gpu-0", allow_multiple_allocations=True),
        capacity=(("memory", DeviceCapacity(MEMORY, no_memory)), ("shares", DeviceCapacity(Fraction(10)))),
    )

    three_shares = a_request(capacity=(("shares", Fraction(3)),))
    assert gpus_of(a_claim("c", three_shares), a_slice(by_shares)) == pytest.approx(0.3)


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


def test_a_label_that_names_no_queue_of_a_consumer_moves_nothing():
    for label in ("team-b", "gone", "dept"):
        waiting = shared_claim_account(plain("a"), groups=[a_group("a")], queue_label=label)
        running = shared_claim_account(plain("a", node="n"), groups=[a_group("a")], queue_label=label)

        assert waiting.request_of((0,)).gpu == 2
        assert waiting.usage()["team-a"].pending.gpu == 2
        assert {name: usage.allocated.gpu for name, usage in running.usage().items()} == {"team-a": 2}


def test_a_consumer_that_only_waits_pays_for_nobody_who_runs():
    account = shared_claim_account(plain("a", node="n"), plain("b"), queue_label="team-b")

    assert account.usage()["team-a"].allocated.gpu == 2
    assert account.usage()["team-b"].allocated.gpu == 0


def test_a_consumer_that_takes_the_charge_over_by_the_label_asks_for_it():
    account = shared_claim_account(plain("a", node="n"), plain("b"), queue_label="team-b")

    assert account.request_of((1,)).gpu == 2
    account.note_placed((1,))
    assert account.request_of((1,)).gpu == 0


def test_a_claim_that_a_stranger_holds_counts_once_a_pod_of_ours_holds_it_too():
    def account(node):
        return shared_claim_account(
            plain("a", node=node), plain("x", group=None, node="n"), groups=[a_group("a")]
        )

    assert account(None).request_of((0,)).gpu == 2
    assert account("n").usage()["team-a"].allocated.gpu == 2
    assert account("n").total_capacity().gpu == account(None).total_capacity().gpu + 2


PARTS = (("ticket-a", 500), ("ticket-b", 250))


def test_pods_that_share_a_claim_by_parts_count_their_parts_each_in_its_own_queue():
    account = shared_claim_account(
        plain("a", share_ticket="ticket-a"), plain("b", share_ticket="ticket-b", node="n"), parts_millis=PARTS
    )

    usage = account.usage()

    assert usage["team-a"].pending.gpu == 2 * 0.5
    assert usage["team-b"].allocated.gpu == 2 * 0.25
    assert usage["team-b"].pending.gpu == 0


def test_a_pod_that_the_book_does_not_know_counts_the_whole_claim():
    forged = plain("a", share_ticket="another")
    account = shared_claim_account(forged, plain("b"), parts_millis=PARTS)

    assert account.usage()["team-a"].pending.gpu == 2
    assert account.usage()["team-b"].pending.gpu == 2
    assert account.quota_of_pod(with_claims(forged, "c")).gpu == 2


def test_requests_and_evictions_of_parts_count_for_each_pod_whoever_holds_the_claim_already():
    first, second = plain("a", share_ticket="ticket-a"), plain("b", share_ticket="ticket-b")
    account = shared_claim_account(first, second, parts_millis=PARTS)

    assert account.request_of((0, 1)).gpu == 2 * 0.75
    account.note_placed((0,))

    assert account.request_of((1,)).gpu == 2 * 0.25
    assert account.quota_of_pod(with_claims(second, "c")).gpu == 2 * 0.25
