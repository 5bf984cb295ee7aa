"""The order of service: KAI's comparator rule by rule, and filling up by turns."""

from dataclasses import replace

from kai_sched.fairness.ledger import Ledger
from kai_sched.fairness.ordering import Fill, JobInQueue, ServiceOrder
from kai_sched.fairness.shares import LeafUsage, divide_capacity
from kai_sched.fairness.tree import QueueTree
from kai_sched.model.queues import QueueResource, QuotaVector
from tests.builders import a_queue

TOTAL = QuotaVector(16, 64_000, 256_000)


def a_job(queue, name, gpus=1.0, *, priority=50, created_at=0.0, fill=Fill.BELOW_MIN, cpu=0.0):
    return JobInQueue(
        group=f"ns/{name}",
        queue=queue,
        priority=priority,
        created_at=created_at,
        uid=name,
        request=QuotaVector(gpu=gpus, cpu=cpu),
        fill=fill,
        signature="alike",
    )


def an_order(queues, jobs, *, held=None, total=TOTAL, queue_depth=None):
    """An order in which everything waiting was also asked for."""
    tree = QueueTree.build(queues)
    held = held or {}
    usage = {}
    for name in {job.queue for job in jobs} | set(held):
        pending = sum((job.request for job in jobs if job.queue == name), QuotaVector())
        usage[name] = LeafUsage(allocated=held.get(name, QuotaVector()), pending=pending)
    shares = divide_capacity(tree, usage, total)
    ledger = Ledger.open(tree, shares)
    by_queue = {}
    for job in jobs:
        by_queue.setdefault(job.queue, []).append(job)
    return ServiceOrder(tree, shares, ledger, by_queue, total=total, queue_depth=queue_depth), ledger


def served(order, ledger, *, charge=True):
    names = []
    while (job := order.pop()) is not None:
        names.append(job.uid)
        if charge:
            ledger.charge(job.queue, job.request, is_preemptible=True)
    return names


def two(**of_b):
    """Queues a and b, alike but for what is said of b; quota 4 GPUs each."""
    a = a_queue("a", parent=None, gpu=4, weight=1)
    b = replace(a_queue("b", parent=None, gpu=4, weight=1), **of_b)
    return [a, b]


def test_equal_queues_take_turns():
    jobs = [a_job(queue, f"{queue}{index}") for queue in "ab" for index in range(3)]

    assert served(*an_order(two(), jobs)) == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_queue_with_twice_the_share_is_served_twice_as_often():
    queues = [a_queue("a", parent=None, gpu=2), a_queue("b", parent=None, gpu=4)]
    jobs = [a_job(queue, f"{queue}{index}") for queue in "ab" for index in range(4)]

    names = served(*an_order(queues, jobs, total=QuotaVector(6, 0, 0)))

    assert sorted(name[0] for name in names[:6]) == ["a", "a", "b", "b", "b", "b"]


def test_queue_below_its_quota_with_the_job_goes_before_one_that_would_pass_it():
    jobs = [a_job("a", "a0", 5), a_job("b", "b0", 4)]

    assert served(*an_order(two(), jobs)) == ["b0", "a0"]


def test_starved_queue_goes_before_a_queue_of_higher_priority():
    jobs = [a_job("a", "a0", 4), a_job("b", "b0", 5)]

    assert served(*an_order(two(priority=900), jobs)) == ["a0", "b0"]


def test_higher_priority_goes_first_among_starved_queues():
    jobs = [a_job("a", "a0"), a_job("b", "b0", 3)]

    assert served(*an_order(two(priority=200), jobs)) == ["b0", "a0"]


def test_queue_above_its_fair_share_in_every_resource_goes_last():
    queues = two(
        gpu=QueueResource(1, 0, -1),
        cpu=QueueResource(1, 0, -1),
        memory=QueueResource(1, 0, -1),
        priority=900,
    )
    # b holds more than its quota of 1 in each resource and has no weight, so its share is 1 of each.
    held = {"b": QuotaVector(2, 2, 2)}

    assert served(*an_order(queues, [a_job("a", "a0", 9), a_job("b", "b0", 0)], held=held)) == ["a0", "b0"]


def test_queue_above_its_fair_share_in_some_resources_only_keeps_its_place():
    queues = two(gpu=QueueResource(1, 0, -1), cpu=QueueResource(1, 0, -1), priority=900)
    held = {"b": QuotaVector(2, 2, 0)}

    assert served(*an_order(queues, [a_job("a", "a0", 9), a_job("b", "b0", 0)], held=held)) == ["b0", "a0"]


def test_queue_that_would_use_what_it_has_no_share_of_goes_behind():
    queues = [
        replace(a_queue("a", parent=None, gpu=0, weight=0), created_at=1),
        replace(a_queue("b", parent=None, gpu=0, weight=1), created_at=2),
    ]

    assert served(*an_order(queues, [a_job("a", "a0"), a_job("b", "b0")])) == ["b0", "a0"]


def test_smaller_allocatable_share_goes_first_when_dominant_shares_tie():
    queues = two(gpu=QueueResource(2, 1, -1), created_at=9.0)
    total = QuotaVector(6, 0, 0)

    # Jobs without any request: every share is 0, so the weaker queue goes first though it is younger.
    jobs = [a_job("a", "a0", 0), a_job("a", "a1", 4), a_job("b", "b0", 0), a_job("b", "b1", 2)]

    assert served(*an_order(queues, jobs, total=total))[0] == "b0"


def test_older_queue_goes_first_when_all_else_is_equal():
    queues = [replace(queue, created_at=age) for queue, age in zip(two(), (5.0, 4.0), strict=True)]

    assert served(*an_order(queues, [a_job("a", "a0"), a_job("b", "b0")])) == ["b0", "a0"]


def test_ties_that_run_in_circles_are_decided_the_same_way_whatever_the_names():
    # allocatable (gpu, cpu): c below b; a compares with neither; ages a < b would wrap round to c < a.
    shape = {"x": (1, 9, 2.0), "y": (3, 5, 1.0), "z": (2, 4, 3.0)}
    for names in ("xyz", "zyx", "yxz"):
        queues = [
            replace(
                a_queue(f"q{index}", parent=None, gpu=shape[name][0], weight=0),
                cpu=QueueResource(shape[name][1], 0, -1),
                created_at=shape[name][2],
                display_name=name,
            )
            for index, name in enumerate(names)
        ]
        by_name = {queue.name: queue.display_name for queue in queues}
        jobs = [a_job(queue.name, queue.name, 0) for queue in queues]

        names_served = [by_name[uid] for uid in served(*an_order(queues, jobs))]

        # y is oldest but z is below it; x and z have nobody below them, and x is the older of the two.
        assert names_served == ["x", "z", "y"]


def test_inner_queues_are_compared_by_their_own_account():
    queues = [
        a_queue("d1", parent=None, gpu=4, weight=1),
        a_queue("d2", parent=None, gpu=4, weight=1),
        *(a_queue(name, parent="d1", gpu=2, weight=1) for name in ("a", "b")),
        a_queue("c", parent="d2", gpu=4, weight=1),
    ]
    jobs = [a_job(queue, f"{queue}{index}") for queue in "abc" for index in range(2)]

    assert served(*an_order(queues, jobs)) == ["a0", "c0", "b0", "c1", "a1", "b1"]


def test_jobs_of_a_queue_go_by_priority_fill_age_uid():
    jobs = [
        a_job("a", "younger", created_at=2),
        a_job("a", "above", fill=Fill.ABOVE_MIN),
        a_job("a", "at", fill=Fill.AT_MIN),
        a_job("a", "important", priority=60, created_at=9, fill=Fill.ABOVE_MIN),
        a_job("a", "same-b", created_at=1),
        a_job("a", "same-a", created_at=1),
    ]

    assert served(*an_order(two(), jobs)) == ["important", "same-a", "same-b", "younger", "at", "above"]


def test_job_pushed_back_for_its_next_pod_waits_its_turn():
    order, ledger = an_order(two(), [a_job("a", "a0"), a_job("a", "a1", created_at=1), a_job("b", "b0")])

    first = order.pop()
    ledger.charge("a", first.request, is_preemptible=True)
    order.push_back(replace(first, fill=Fill.AT_MIN))

    assert served(order, ledger) == ["b0", "a1", "a0"]


def test_queue_depth_bounds_the_jobs_of_each_queue():
    jobs = [a_job(queue, f"{queue}{index}", created_at=index) for queue in "ab" for index in range(3)]

    assert served(*an_order(two(), jobs, queue_depth=1)) == ["a0", "b0"]


def test_jobs_that_are_not_charged_do_not_cost_their_queue_its_turn():
    jobs = [a_job(queue, f"{queue}{index}") for queue in "ab" for index in range(2)]

    assert served(*an_order(two(), jobs), charge=False) == ["a0", "a1", "b0", "b1"]


def test_refund_brings_a_queue_forward_again():
    order, ledger = an_order(two(), [a_job("a", "a0"), a_job("b", "b0")])
    ledger.charge("a", QuotaVector(gpu=2), is_preemptible=True)
    assert order.peek().uid == "b0"

    ledger.refund("a", QuotaVector(gpu=2), is_preemptible=True)

    assert order.peek().uid == "a0"


def test_run_is_as_long_as_the_queue_stays_first():
    jobs = [*(a_job("a", f"a{index}") for index in range(4)), a_job("b", "b0"), a_job("b", "b1")]
    order, _ = an_order(two(), jobs, held={"b": QuotaVector(gpu=2)})

    # Both want 4 and a holds nothing, b 2: a goes first at 0 and 1, ties at 2 and wins that by uid.
    assert order.run_length() == 3
    taken = order.pop_many(3)
    assert [job.uid for job in taken] == ["a0", "a1", "a2"]


def test_run_ends_where_the_jobs_change():
    order, _ = an_order(two(), [a_job("a", "a0"), a_job("a", "a1"), a_job("a", "a2", 2), a_job("a", "a3", 2)])

    assert order.run_length() == 2


def test_nothing_waiting_has_no_run():
    order, _ = an_order(two(), [])

    assert order.run_length() == 0
    assert order.pop() is None
    assert order.peek() is None


def test_jobs_that_are_like_no_other_are_runs_of_one():
    jobs = [replace(a_job("a", f"a{index}"), signature=None) for index in range(3)]
    order, _ = an_order(two(), jobs)

    assert order.run_length() == 1
