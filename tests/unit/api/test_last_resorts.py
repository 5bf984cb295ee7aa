"""What objects that cannot be read take all the same, in snapshots made from files."""

from __future__ import annotations

from typing import Any

import pytest

from kai_sched.api.objects import ObjectSet
from kai_sched.api.snapshot import snapshot_of
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from tests.unit.cluster.raw import raw_claim, raw_node, raw_pod

Raw = dict[str, Any]
BROKEN: Raw = {"overhead": "much"}


def seen(*objects: Raw) -> ClusterSnapshot:
    return snapshot_of(ObjectSet(list(objects)), now=0.0, policy=Policy())


def test_the_node_of_a_pod_that_cannot_be_read_takes_nothing_more() -> None:
    snapshot = seen(raw_node("n1"), raw_node("n2"), raw_pod("p", spec=BROKEN, node="n1"))
    assert {node.name: node.is_ready for node in snapshot.fleet.nodes} == {"n1": False, "n2": True}
    assert [(problem.kind, problem.key) for problem in snapshot.unreadable] == [("Pod", "team/p")]


@pytest.mark.parametrize(
    "pod", [raw_pod("p", spec=BROKEN), raw_pod("p", spec=BROKEN, node="n1", phase="Succeeded")]
)
def test_a_pod_that_cannot_be_read_closes_no_node_where_it_has_none_or_ended(pod: Raw) -> None:
    assert seen(raw_node("n1"), pod).fleet.nodes[0].is_ready


def test_a_phase_of_a_wrong_type_is_no_end() -> None:
    pod = raw_pod("p", spec=BROKEN, node="n1", status={"phase": []})
    assert not seen(raw_node("n1"), pod).fleet.nodes[0].is_ready


def test_a_claim_that_cannot_be_read_keeps_its_devices() -> None:
    claim = raw_claim("c", devices=["gpu-0"]) | {"spec": {"devices": {"requests": "all"}}}
    (kept,) = seen(claim).claims
    assert kept.allocation is not None
    assert [result.device for result in kept.allocation.results] == ["gpu-0"]
    assert not seen(raw_claim("c") | {"spec": {"devices": {"requests": "all"}}}).claims
