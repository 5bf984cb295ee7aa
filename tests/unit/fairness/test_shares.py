"""Worked examples of the division, each with the arithmetic in its comment."""

from dataclasses import replace

import pytest

from kai_sched.fairness.shares import LeafUsage, divide_capacity
from kai_sched.fairness.tree import QueueTree
from kai_sched.model.queues import QueueResource, QuotaVector
from tests.builders import a_queue

ROOM = QuotaVector(gpu=8, cpu=100, memory=100)


def gpu_shares(queues, wanted, total, **more):
    """Fair shares of GPUs by queue; ``wanted`` are pending requests."""
    usage = {name: LeafUsage(pending=QuotaVector(gpu=gpus)) for name, gpus in wanted.items()}
    shares = divide_capacity(QueueTree.build(queues), usage, QuotaVector(gpu=total), **more)
    return {name: share.fair_share.gpu for name, share in shares.items()}


def flat(*queues):
    """Queues without a parent: (name, quota, weight, limit, priority), the last two optional."""
    return [
        a_queue(
            name,
            parent=None,
            gpu=quota,
            weight=weight,
            limit=rest[0] if rest else -1,
            priority=rest[1] if len(rest) > 1 else 100,
        )
        for name, quota, weight, *rest in queues
    ]


@pytest.mark.parametrize(
    ("story", "queues", "wanted", "total", "expected"),
    [
        (
            "everyone gets what it asks for when there is enough",
            [("a", 2, 1), ("b", 0, 1)],
            {"a": 5, "b": 3},
            16,
            {"a": 5, "b": 3},
        ),
        (
            "quota first, then the surplus of 6 by weight 2:1",
            [("a", 4, 2), ("b", 6, 1)],
            {"a": 20, "b": 20},
            16,
            {"a": 8, "b": 8},
        ),
        (
            "weight 0 never gets surplus, even if it stays unused",
            [("a", 2, 0), ("b", 0, 1)],
            {"a": 10, "b": 3},
            10,
            {"a": 2, "b": 3},
        ),
        (
            "no weight at all leaves the surplus where it is",
            [("a", 1, 0), ("b", 1, 0)],
            {"a": 9, "b": 9},
            10,
            {"a": 1, "b": 1},
        ),
        (
            "a limit caps quota and surplus, the rest goes to the sibling",
            [("a", 4, 1, 5), ("b", 0, 1)],
            {"a": 50, "b": 50},
            12,
            {"a": 5, "b": 7},
        ),
        (
            "limit 0, as where the field is left out, forbids the resource",
            [("a", 0, 1, 0), ("b", 0, 1)],
            {"a": 5, "b": 5},
            8,
            {"a": 0, "b": 5},
        ),
        (
            "unused quota is surplus for others",
            [("a", 8, 1), ("b", 0, 1)],
            {"a": 1, "b": 20},
            10,
            {"a": 1, "b": 9},
        ),
        (
            "the higher priority takes all surplus it wants before the lower sees any",
            [("a", 1, 1, -1, 200), ("b", 1, 9, -1, 100)],
            {"a": 6, "b": 6},
            8,
            {"a": 6, "b": 2},
        ),
        (
            "priority never takes another queue's quota",
            [("a", 0, 1, -1, 900), ("b", 4, 1, -1, 1)],
            {"a": 10, "b": 10},
            5,
            {"a": 1, "b": 4},
        ),
        (
            "oversold quotas are all given, nothing is left over for the others",
            [("a", 6, 1), ("b", 6, 1), ("c", 0, 1)],
            {"a": 9, "b": 9, "c": 9},
            8,
            {"a": 6, "b": 6, "c": 0},
        ),
        (
            "unlimited quota is guaranteed all there is",
            [("a", -1, 1), ("b", 0, 1)],
            {"a": 7, "b": 7},
            10,
            {"a": 7, "b": 3},
        ),
        (
            "10/3 each: 3 and 3 and 3, and the odd one to the older (a: same age, smaller uid)",
            [("a", 0, 1), ("b", 0, 1), ("c", 0, 1)],
            {"a": 9, "b": 9, "c": 9},
            10,
            {"a": 4, "b": 3, "c": 3},
        ),
        (
            "5 by weights 1:2 is 1.67 and 3.33: the larger remainder gets the odd one",
            [("a", 0, 1), ("b", 0, 2)],
            {"a": 9, "b": 9},
            5,
            {"a": 2, "b": 3},
        ),
        (
            "what a satisfied queue leaves is divided again: 4 each, then b's and c's 3.5 more",
            [("a", 0, 1), ("b", 0, 1), ("c", 0, 1)],
            {"a": 1, "b": 20, "c": 20},
            12,
            {"a": 1, "b": 6, "c": 5},
        ),
        (
            "fractions wanted are given exactly, rounding is for those who want more",
            [("a", 0, 1), ("b", 0, 1)],
            {"a": 0.4, "b": 20},
            4,
            {"a": 0.4, "b": 3.6},
        ),
        (
            "rounded-off parts go out after every priority has had its round: 3/2 each, then 1 left of a and b",
            [("a", 0, 1, -1, 200), ("b", 0, 1, -1, 200), ("c", 0, 1, -1, 100)],
            {"a": 9, "b": 9, "c": 0.25},
            3,
            {"a": 1.75, "b": 1, "c": 0.25},
        ),
    ],
)
def test_division(story, queues, wanted, total, expected):
    assert gpu_shares(flat(*queues), wanted, total) == expected, story


def test_odd_unit_goes_to_the_queue_created_first():
    queues = [
        replace(queue, created_at=age)
        for queue, age in zip(flat(("a", 0, 1), ("b", 0, 1)), (2.0, 1.0), strict=True)
    ]

    assert gpu_shares(queues, {"a": 5, "b": 5}, 3) == {"a": 1, "b": 2}


def test_children_divide_what_their_parent_got():
    queues = [
        a_queue("org-1", parent=None, gpu=6, weight=1),
        a_queue("org-2", parent=None, gpu=2, weight=1),
        a_queue("a", parent="org-1", gpu=0, weight=3),
        a_queue("b", parent="org-1", gpu=0, weight=1),
        a_queue("c", parent="org-2", gpu=0, weight=1),
    ]

    shares = gpu_shares(queues, {"a": 20, "b": 20, "c": 20}, 12)

    # 6 + 2 by quota, 4 left by equal weight: 8 and 4; below org-1 3:1.
    assert shares == {"a": 6, "b": 2, "c": 4, "org-1": 8, "org-2": 4}


def test_request_rolls_up_so_idle_branch_leaves_its_quota_to_others():
    queues = [
        a_queue("org-1", parent=None, gpu=8, weight=1),
        a_queue("org-2", parent=None, gpu=0, weight=1),
        a_queue("a", parent="org-1", gpu=8, weight=1),
        a_queue("b", parent="org-2", gpu=0, weight=1),
    ]

    assert gpu_shares(queues, {"a": 1, "b": 20}, 8) == {"org-1": 1, "org-2": 7, "a": 1, "b": 7}


def test_resources_are_divided_independently_and_memory_to_the_byte():
    queues = [
        replace(
            a_queue(name, parent=None, gpu=0, weight=1),
            cpu=QueueResource(0, 1, -1),
            memory=QueueResource(0, 1, -1),
        )
        for name in ("a", "b", "c")
    ]
    usage = {name: LeafUsage(pending=QuotaVector(9, 9000, 9000)) for name in ("a", "b", "c")}

    shares = divide_capacity(QueueTree.build(queues), usage, QuotaVector(30, 1000, 1000))

    assert shares["a"].fair_share == QuotaVector(9, 334, 333.333334)
    assert shares["b"].fair_share == QuotaVector(9, 333, 333.333333)


def test_past_usage_lowers_the_weight_by_k():
    queues = flat(("a", 0, 1), ("b", 0, 1))
    history = {"a": QuotaVector(gpu=0.25)}

    # nW is a half each; with k=1: a pulls 0.5 + (0.5 - 0.25) = 0.75, b 1.0; 14 GPUs divide as 6 and 8.
    assert gpu_shares(queues, {"a": 99, "b": 99}, 14, history=history) == {"a": 6, "b": 8}
    assert gpu_shares(queues, {"a": 99, "b": 99}, 14, history=history, k_value=0.0) == {"a": 7, "b": 7}


def test_queue_that_used_far_more_than_its_weight_gets_no_surplus():
    history = {"a": QuotaVector(gpu=1.0)}

    # 0.5 + 2 * (0.5 - 1) < 0: all 9 beyond a's quota go to b.
    assert gpu_shares(
        flat(("a", 1, 1), ("b", 0, 1)), {"a": 20, "b": 20}, 10, history=history, k_value=2.0
    ) == {"a": 1, "b": 9}


def test_past_usage_counts_against_the_queues_still_hungry():
    history = {"a": QuotaVector(gpu=1.0)}

    # b is satisfied with 5; then a is the only one left, its normalised weight 1 and its pull 1 + 2 * (1 - 1) = 1.
    assert gpu_shares(flat(("a", 1, 1), ("b", 0, 1)), {"a": 9, "b": 5}, 10, history=history, k_value=2.0) == {
        "a": 5,
        "b": 5,
    }


def test_share_reports_usage_of_the_whole_branch():
    tree = QueueTree.build([a_queue("dept", parent=None), a_queue("a", gpu=4), a_queue("b", gpu=4, limit=6)])
    usage = {
        "a": LeafUsage(
            allocated=QuotaVector(2, 100, 10),
            allocated_non_preemptible=QuotaVector(1, 50, 5),
            pending=QuotaVector(3, 10, 1),
        ),
        "b": LeafUsage(allocated=QuotaVector(gpu=1)),
    }

    shares = divide_capacity(tree, usage, QuotaVector(16, 1000, 100))

    assert shares["dept"].allocated == QuotaVector(3, 100, 10)
    assert shares["dept"].allocated_non_preemptible == QuotaVector(1, 50, 5)
    assert shares["dept"].requested == QuotaVector(6, 110, 11)
    assert shares["b"].limit.gpu == 6
    assert shares["a"].limit.gpu == -1
    assert shares["a"].deserved.gpu == 4


def test_usage_of_a_broken_queue_counts_in_its_parent():
    tree = QueueTree.build([a_queue("dept", parent=None), a_queue("bad", gpu=4, limit=2)])

    shares = divide_capacity(tree, {"bad": LeafUsage(allocated=QuotaVector(gpu=3))}, QuotaVector(gpu=8))

    assert list(shares) == ["dept"]
    assert shares["dept"].allocated.gpu == 3


def test_cluster_with_less_than_nothing_divides_nothing():
    assert gpu_shares(flat(("a", -1, 1)), {"a": 4}, -3) == {"a": 0}


@pytest.mark.parametrize("amount", [1e16, 1e300, 1.7e308])
def test_absurdly_large_amounts_bound_nothing_and_fit_a_json_integer(amount):
    huge = QueueResource(amount, 1, amount)
    queues = [replace(a_queue("a", parent=None), gpu=huge, cpu=huge, memory=huge)]

    shares = divide_capacity(QueueTree.build(queues), {"a": LeafUsage(pending=QuotaVector(4, 10, 10))}, ROOM)

    assert shares["a"].fair_share == QuotaVector(4, 10, 10)
    assert max(shares["a"].deserved.gpu, shares["a"].limit.gpu, shares["a"].limit.memory) < 2**63
