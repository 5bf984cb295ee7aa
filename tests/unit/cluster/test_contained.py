"""A failure of ours about one object is contained: the others are read, and it is not taken for nothing."""

from __future__ import annotations

from typing import Any

import pytest

from kai_sched.api import kinds
from kai_sched.cluster.contained import Contained
from kai_sched.cluster.mirror import Mirror
from kai_sched.grouping.grouper import WorkloadGrouper
from kai_sched.model.ids import PodKey
from kai_sched.model.policy import Policy
from tests.unit.cluster.raw import raw_other, raw_pod


class OddGrouper(WorkloadGrouper):
    """Fails at whatever is called odd."""

    def pod_seen(self, document: dict[str, Any]) -> Any:
        if document["metadata"]["name"] == "odd":
            raise RecursionError("too deep")
        return super().pod_seen(document)

    def owner_seen(self, kind: Any, key: str, document: Any) -> Any:
        if key.endswith("odd"):
            raise KeyError("spec")
        return super().owner_seen(kind, key, document)


@pytest.fixture
def contained() -> Contained:
    return Contained()


@pytest.fixture
def mirror(contained: Contained) -> Mirror:
    return Mirror("kai-scheduler", OddGrouper(Policy()), contained)


def test_a_pod_that_cannot_be_grouped_hides_no_other_and_closes_its_node(
    mirror: Mirror, contained: Contained
) -> None:
    for name in ("odd", "fine"):
        mirror.event(kinds.POD, "ADDED", raw_pod(name, spec={"nodeName": "n1"}))

    assert PodKey("team/fine") in mirror.pods.records
    assert mirror.pods.nodes_of_unreadable == {"team/odd": "n1"}
    assert contained.counts == {"reading": 1}

    mirror.event(kinds.POD, "DELETED", raw_pod("odd", spec={"nodeName": "n1"}))

    assert (mirror.pods.unreadable, mirror.pods.nodes_of_unreadable) == ({}, {})


def test_an_owner_that_breaks_grouping_costs_itself_only(mirror: Mirror, contained: Contained) -> None:
    for name in ("odd", "fine"):
        mirror.event(kinds.JOB, "ADDED", raw_other("batch/v1", "Job", name, namespace="team"))

    assert contained.counts == {"reading": 1}


def test_a_failure_is_counted_each_time_and_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    counted: list[str] = []
    contained = Contained(counted.append)

    for _ in range(5):
        with contained.guard("event", "team/g\n\x1b[31m"):
            raise ValueError("x" * 100_000)

    assert counted == ["event"] * 5
    assert len(contained._said) == 1
    assert all(len(text) <= 1000 for text in contained._said.values())
