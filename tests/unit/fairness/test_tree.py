"""The quota tree: what belongs to it and what is said about the rest."""

from dataclasses import replace

import pytest

from kai_sched.fairness.tree import QueueTree
from kai_sched.model.queues import QueueResource
from tests.builders import a_queue


def test_ancestors_start_with_the_queue_and_end_with_its_root():
    tree = QueueTree.build(
        [a_queue("team", parent="dept"), a_queue("dept", parent="org"), a_queue("org", parent=None)]
    )

    assert tree.ancestors("team") == ("team", "dept", "org")
    assert tree.roots == ("org",)
    assert tree.children["dept"] == ("team",)
    assert tree.leaves == {"team"}
    assert tree.problems == {}


def test_several_roots_are_fine():
    tree = QueueTree.build([a_queue("b", parent=None), a_queue("a", parent=None)])

    assert tree.roots == ("a", "b")
    assert tree.is_leaf("a")


def test_queue_without_its_parent_is_left_out_and_nothing_else():
    tree = QueueTree.build([a_queue("lost", parent="gone"), a_queue("fine", parent=None)])

    assert tree.problems == {"lost": 'spec.parentQueue: queue "gone" does not exist'}
    assert list(tree.queues) == ["fine"]


def test_everything_below_a_broken_queue_is_left_out_and_says_why():
    tree = QueueTree.build(
        [
            a_queue("lost", parent="gone"),
            a_queue("child", parent="lost"),
            a_queue("grandchild", parent="child"),
            a_queue("fine", parent=None),
        ]
    )

    assert tree.problems["child"] == 'spec.parentQueue: ancestor "lost" is invalid'
    assert tree.problems["grandchild"] == 'spec.parentQueue: ancestor "lost" is invalid'
    assert list(tree.queues) == ["fine"]


def test_cycle_is_told_from_each_of_its_members():
    tree = QueueTree.build(
        [
            a_queue("a", parent="b"),
            a_queue("b", parent="c"),
            a_queue("c", parent="a"),
            a_queue("hanging", parent="a"),
            a_queue("own", parent="own"),
        ]
    )

    assert tree.problems == {
        "a": "spec.parentQueue: cycle a -> b -> c -> a",
        "b": "spec.parentQueue: cycle b -> c -> a -> b",
        "c": "spec.parentQueue: cycle c -> a -> b -> c",
        "hanging": 'spec.parentQueue: ancestor "a" is invalid',
        "own": "spec.parentQueue: cycle own -> own",
    }


@pytest.mark.parametrize(
    ("quota", "limit", "text"),
    [
        (4, 2, "spec.resources.cpu.limit: 2 is below the quota of 4"),
        (4, 0, "spec.resources.cpu.limit: 0 is below the quota of 4"),
        (-2, -1, "spec.resources.cpu.quota: must be -1 or at least 0, not -2"),
        (1, -0.5, "spec.resources.cpu.limit: must be -1 or at least 0, not -0.5"),
        (float("nan"), -1, "spec.resources.cpu.quota: must be -1 or at least 0, not nan"),
        (float("inf"), -1, "spec.resources.cpu.quota: must be -1 or at least 0, not inf"),
        (4, 4, None),
        (4, -1, None),
        (-1, 8, None),
        (0, 0, None),
    ],
)
def test_quota_and_limit_must_agree(quota, limit, text):
    queue = replace(a_queue("team", parent=None), cpu=QueueResource(quota, 1, limit))

    assert QueueTree.build([queue]).problems.get("team") == text


def test_negative_weight_is_a_problem():
    queue = replace(a_queue("team", parent=None), gpu=QueueResource(1, -3, -1))

    assert (
        QueueTree.build([queue]).problems["team"]
        == "spec.resources.gpu.overQuotaWeight: must be at least 0, not -3"
    )


def test_problem_found_while_reading_the_object_is_kept():
    queue = a_queue("team", parent=None, problem="spec.priority: not a number")

    assert QueueTree.build([queue]).problems == {"team": "spec.priority: not a number"}


def test_what_runs_in_a_broken_queue_still_counts_above_it():
    tree = QueueTree.build(
        [
            a_queue("dept", parent=None),
            a_queue("bad", gpu=4, limit=2),
            a_queue("below", parent="bad"),
        ]
    )

    assert tree.ancestors("bad") == ("dept",)
    assert tree.ancestors("below") == ("dept",)
    assert tree.ancestors("unheard of") == ()


def test_parent_of_broken_queues_only_is_no_leaf():
    tree = QueueTree.build([a_queue("dept", parent=None), a_queue("bad", gpu=4, limit=2)])

    assert not tree.is_leaf("dept")
    assert tree.children["dept"] == ()


def test_thousand_levels_are_no_trouble():
    queues = [a_queue("q0", parent=None), *(a_queue(f"q{i}", parent=f"q{i - 1}") for i in range(1, 1000))]

    tree = QueueTree.build(queues)

    assert len(tree.ancestors("q999")) == 1000
    assert tree.leaves == {"q999"}
