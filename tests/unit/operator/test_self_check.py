"""The self-check believes what it sees twice, and says when something begins and ends to be wrong."""

from __future__ import annotations

from dataclasses import replace

from structlog.testing import capture_logs

from kai_sched.model.ids import NodeName
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import PodState
from kai_sched.operator.self_check import DOUBT_SECONDS, SelfCheck
from kai_sched.operator.telemetry import Telemetry
from tests.builders import a_node, a_pod, a_snapshot, a_spec

INTERVAL_SECONDS = 60.0


def a_cluster(gpus_held: int) -> ClusterSnapshot:
    """One node with 8 GPUs."""
    pod = replace(a_pod("p0", a_spec(gpus=gpus_held)), node=NodeName("n1"), state=PodState.RUNNING)
    return a_snapshot(nodes=[a_node("n1", gpus=8)], pods=[pod])


SOUND, BROKEN = a_cluster(8), a_cluster(9)


def test_what_is_wrong_only_once_is_not_believed() -> None:
    check = SelfCheck(INTERVAL_SECONDS)

    check.look(BROKEN, Policy(), 0.0)
    check.look(SOUND, Policy(), DOUBT_SECONDS)

    assert check.confirmed == ()


def test_what_is_still_wrong_soon_after_is_said_once() -> None:
    check = SelfCheck(INTERVAL_SECONDS)

    with capture_logs() as logs:
        for now in (0.0, DOUBT_SECONDS, DOUBT_SECONDS + INTERVAL_SECONDS):
            check.look(BROKEN, Policy(), now)

    assert [str(violation) for violation in check.confirmed] == [
        "node-resources: n1: nvidia.com/gpu: 9 held > 8"
    ]
    assert [entry["event"] for entry in logs] == ["an invariant is broken"]
    assert logs[0]["subject"] == "n1"


def test_the_end_of_it_is_said_too() -> None:
    check = SelfCheck(INTERVAL_SECONDS)
    check.look(BROKEN, Policy(), 0.0)
    check.look(BROKEN, Policy(), DOUBT_SECONDS)

    with capture_logs() as logs:
        check.look(SOUND, Policy(), DOUBT_SECONDS + INTERVAL_SECONDS)

    assert check.confirmed == ()
    assert [entry["event"] for entry in logs] == ["an invariant holds again"]


def test_between_two_checks_nothing_is_judged() -> None:
    check = SelfCheck(INTERVAL_SECONDS)
    check.look(SOUND, Policy(), 0.0)

    check.look(BROKEN, Policy(), INTERVAL_SECONDS - 1)
    check.look(BROKEN, Policy(), INTERVAL_SECONDS)

    assert check.confirmed == ()


def test_metrics_count_what_is_wrong_by_kind() -> None:
    check, telemetry = SelfCheck(INTERVAL_SECONDS), Telemetry()
    check.look(BROKEN, Policy(), 0.0)
    check.look(BROKEN, Policy(), DOUBT_SECONDS)

    telemetry.broken(check.confirmed)

    text = telemetry.text().decode()
    assert 'kai_sched_broken_invariants{kind="node-resources"} 1.0' in text
    assert 'kai_sched_broken_invariants{kind="device"} 0.0' in text
