"""Queues of the wire."""

from __future__ import annotations

from typing import Any

import pytest

from kai_sched.api.translate import translate_queue
from kai_sched.model.queues import Queue, QueueResource
from tests.documents import a_queue_document


def read(**spec: Any) -> Queue:
    queue = translate_queue(a_queue_document(**spec))
    assert isinstance(queue, Queue), str(queue)
    return queue


def test_what_is_left_out_is_zero_and_the_priority_is_100() -> None:
    queue = read(resources={"gpu": {"quota": 4}})

    assert queue.gpu == QueueResource(4.0, 0.0, 0.0)
    assert queue.cpu == queue.memory == QueueResource(0.0, 0.0, 0.0)
    assert (queue.priority, queue.parent, queue.problem) == (100, None, "")
    assert queue.preempt_min_runtime_seconds is None


def test_every_field_is_read() -> None:
    queue = read(
        displayName="Team A",
        parentQueue="dept",
        priority=0,
        preemptMinRuntime="5m",
        reclaimMinRuntime="0s",
        resources={
            "gpu": {"quota": 0.7, "overQuotaWeight": 2, "limit": -1},
            "cpu": {"quota": -1},
            "memory": {"limit": 9},
        },
    )

    assert (queue.display_name, queue.parent, queue.priority) == ("Team A", "dept", 0)
    assert (queue.preempt_min_runtime_seconds, queue.reclaim_min_runtime_seconds) == (300.0, 0.0)
    assert queue.gpu == QueueResource(0.7, 2.0, -1.0)
    assert (queue.cpu.deserved, queue.memory.limit) == (-1.0, 9.0)


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"resources": {"gpu": {"quota": -2}}}, "spec.resources.gpu.quota"),
        ({"resources": {"cpu": {"limit": -0.5}}}, "spec.resources.cpu.limit"),
        ({"resources": {"memory": {"overQuotaWeight": -1}}}, "spec.resources.memory.overQuotaWeight"),
        ({"resources": None}, "spec.resources"),
    ],
)
def test_a_value_out_of_range_is_a_problem_naming_the_path(spec: dict[str, Any], path: str) -> None:
    assert read(**spec).problem.startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"resources": {"gpu": {"quota": "4"}}}, "spec.resources.gpu.quota"),
        ({"resources": {"gpu": {"quota": True}}}, "spec.resources.gpu.quota"),
        ({"resources": {"gpu": 4}}, "spec.resources.gpu"),
        ({"priority": 1.5}, "spec.priority"),
        ({"preemptMinRuntime": "5"}, "spec.preemptMinRuntime"),
        ({"parentQueue": 1}, "spec.parentQueue"),
    ],
)
def test_a_wrong_type_makes_only_this_queue_unreadable(spec: dict[str, Any], field: str) -> None:
    queue = translate_queue(a_queue_document(**spec))

    assert not isinstance(queue, Queue)
    assert (queue.key, queue.field) == ("team-a", field)
