"""The running account: limits and quotas at every level, and taking decisions back."""

from kai_sched.fairness.ledger import Ledger, LimitBreach
from kai_sched.fairness.shares import LeafUsage, divide_capacity
from kai_sched.fairness.tree import QueueTree
from kai_sched.model.queues import QuotaResource, QuotaVector
from tests.builders import a_queue


def open_ledger(*queues, usage=None, total=64):
    tree = QueueTree.build(queues)
    return Ledger.open(tree, divide_capacity(tree, usage or {}, QuotaVector(gpu=total)))


def test_request_up_to_the_limit_passes_and_one_more_is_refused():
    ledger = open_ledger(a_queue("dept", parent=None), a_queue("team", limit=4))
    ledger.charge("team", QuotaVector(gpu=3), is_preemptible=True)

    assert ledger.over_limit("team", QuotaVector(gpu=1)) is None
    assert ledger.over_limit("team", QuotaVector(gpu=2)) == LimitBreach(
        queue="team", resource=QuotaResource.GPU, bound=4, allocated=3, requested=2
    )


def test_limit_of_an_ancestor_counts_what_its_other_children_hold():
    ledger = open_ledger(
        a_queue("dept", parent=None, limit=5),
        a_queue("a"),
        a_queue("b"),
        usage={"a": LeafUsage(allocated=QuotaVector(gpu=4))},
    )

    breach = ledger.over_limit("b", QuotaVector(gpu=2))

    assert breach is not None
    assert (breach.queue, breach.allocated, breach.bound) == ("dept", 4, 5)


def test_nearest_queue_is_named_first():
    ledger = open_ledger(a_queue("dept", parent=None, limit=1), a_queue("a", limit=1))

    breach = ledger.over_limit("a", QuotaVector(gpu=2))

    assert breach is not None
    assert breach.queue == "a"


def test_queue_over_a_limit_still_takes_work_that_does_not_ask_for_that_resource():
    ledger = open_ledger(
        a_queue("team", parent=None, limit=1), usage={"team": LeafUsage(allocated=QuotaVector(gpu=2))}
    )

    assert ledger.over_limit("team", QuotaVector(cpu=500)) is None


def test_non_preemptible_work_stays_within_quota_at_every_ancestor():
    ledger = open_ledger(a_queue("dept", parent=None, gpu=4), a_queue("a", gpu=4), a_queue("b", gpu=4))
    ledger.charge("a", QuotaVector(gpu=3), is_preemptible=False)

    breach = ledger.non_preemptible_over_quota("b", QuotaVector(gpu=2))

    assert breach == LimitBreach(queue="dept", resource=QuotaResource.GPU, bound=4, allocated=3, requested=2)


def test_preemptible_work_leaves_the_quota_to_non_preemptible_work():
    ledger = open_ledger(a_queue("dept", parent=None, gpu=4), a_queue("a", gpu=4))
    ledger.charge("a", QuotaVector(gpu=4), is_preemptible=True)

    assert ledger.non_preemptible_over_quota("a", QuotaVector(gpu=4)) is None
    assert ledger.allocated("dept").gpu == 4
    assert ledger.allocated_non_preemptible("dept").gpu == 0


def test_unlimited_quota_never_refuses():
    ledger = open_ledger(a_queue("dept", parent=None), a_queue("a"))

    assert ledger.non_preemptible_over_quota("a", QuotaVector(gpu=1e6, cpu=1e9, memory=1e9)) is None


def test_ten_tenths_of_a_gpu_fill_a_limit_of_one_exactly():
    ledger = open_ledger(a_queue("team", parent=None, limit=1))
    for _ in range(9):
        ledger.charge("team", QuotaVector(gpu=0.1), is_preemptible=True)

    assert ledger.over_limit("team", QuotaVector(gpu=0.1)) is None
    ledger.charge("team", QuotaVector(gpu=0.1), is_preemptible=True)
    assert ledger.allocated("team").gpu == 1
    assert ledger.over_limit("team", QuotaVector(gpu=0.001)) is not None


def test_three_thirds_of_a_gpu_fill_a_limit_of_one():
    ledger = open_ledger(a_queue("team", parent=None, limit=2))
    for _ in range(2):
        ledger.charge("team", QuotaVector(gpu=2 / 3), is_preemptible=True)

    assert ledger.over_limit("team", QuotaVector(gpu=2 / 3)) is None


def test_refund_undoes_a_charge_exactly():
    ledger = open_ledger(a_queue("dept", parent=None), a_queue("a"))
    ledger.charge("a", QuotaVector(0.3, 100, 1.5), is_preemptible=False)
    ledger.charge("a", QuotaVector(0.7, 333, 0.1), is_preemptible=False)
    ledger.refund("a", QuotaVector(0.3, 100, 1.5), is_preemptible=False)

    assert ledger.allocated("dept") == QuotaVector(0.7, 333, 0.1)
    assert ledger.allocated_non_preemptible("a") == QuotaVector(0.7, 333, 0.1)


def test_fork_does_not_change_the_original():
    ledger = open_ledger(a_queue("team", parent=None))
    fork = ledger.fork()
    fork.charge("team", QuotaVector(gpu=2), is_preemptible=True)

    assert ledger.allocated("team").gpu == 0
    assert fork.allocated("team").gpu == 2
    assert ledger.touched_since(0) == []
