"""For how long a gang is safe once it runs, and from when on one may make others leave."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kai_sched.fairness.protection import (
    is_protected,
    may_ask_at,
    preempt_min_runtime_seconds,
    reclaim_min_runtime_seconds,
)
from kai_sched.fairness.tree import QueueTree
from kai_sched.model.policy import Policy
from tests.builders import NOW, a_group, a_queue

DEFAULTS = Policy(preempt_min_runtime_seconds=7.0, reclaim_min_runtime_seconds=9.0)


def tree(**seconds: tuple[float | None, float | None]) -> QueueTree:
    """Two departments with two teams each; by queue: (against its own, against others)."""
    parents = {"d1": None, "d2": None, "a": "d1", "c": "d1", "b": "d2", "d": "d2"}
    return QueueTree.build(
        replace(
            a_queue(name, parent=parent),
            preempt_min_runtime_seconds=seconds.get(name, (None, None))[0],
            reclaim_min_runtime_seconds=seconds.get(name, (None, None))[1],
        )
        for name, parent in parents.items()
    )


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({}, 7.0),
        ({"d1": (30.0, None)}, 30.0),
        ({"d1": (30.0, None), "a": (5.0, None)}, 5.0),
        ({"a": (0.0, None), "d1": (30.0, None)}, 0.0),
        ({"c": (5.0, None)}, 7.0),
    ],
)
def test_within_a_queue_the_nearest_that_says_counts(seconds, expected):
    assert preempt_min_runtime_seconds(tree(**seconds), DEFAULTS, "a") == expected


@pytest.mark.parametrize(
    ("taker", "seconds", "expected"),
    [
        ("a", {}, 9.0),
        ("a", {"b": (None, 5.0)}, 9.0),
        ("a", {"b": (None, 5.0), "d2": (None, 30.0)}, 30.0),
        ("d", {"b": (None, 5.0), "d2": (None, 30.0)}, 5.0),
        ("d", {"d2": (None, 30.0)}, 30.0),
        ("a", {"d1": (None, 30.0)}, 9.0),
    ],
)
def test_against_others_the_side_of_the_holder_where_the_paths_part_is_asked_first(taker, seconds, expected):
    assert reclaim_min_runtime_seconds(tree(**seconds), DEFAULTS, taker, "b") == expected


def test_the_plugin_may_be_switched_off():
    off = replace(DEFAULTS, min_runtime=False)

    assert preempt_min_runtime_seconds(tree(a=(5.0, None)), off, "a") == 0.0
    assert reclaim_min_runtime_seconds(tree(d2=(None, 5.0)), off, "a", "b") == 0.0


@pytest.mark.parametrize(
    ("started", "expected"), [(None, False), (NOW - 59, True), (NOW - 60, False), (NOW + 5, True)]
)
def test_a_gang_is_safe_until_it_has_run_for_so_long(started, expected):
    assert is_protected(a_group("g", last_start_at=started), 60.0, NOW) is expected


@pytest.mark.parametrize(("evicted", "expected"), [(None, 130.0), (50.0, 130.0), (200.0, 230.0)])
def test_a_gang_waits_its_delay_after_it_came_or_was_evicted(evicted, expected):
    group = a_group("g", created_at=100.0, last_eviction_at=evicted, preemption_delay_seconds=30.0)

    assert may_ask_at(group) == expected
