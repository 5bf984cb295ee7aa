"""Owners that are seen late, or are pods themselves: no gang is guessed, and nobody of it starts before the others may."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kai_sched.api.kinds import POD, kind_of
from kai_sched.api.objects import ObjectSet
from kai_sched.api.snapshot import snapshot_of
from kai_sched.cluster.following import OWNERS
from kai_sched.cluster.mirror import Mirror
from kai_sched.grouping import group_objects
from kai_sched.grouping.grouper import WorkloadGrouper
from kai_sched.grouping.workloads import AWAITED_KINDS
from kai_sched.model.plan import Plan
from kai_sched.model.workloads import GroupOrigin
from kai_sched.planning.cycle import plan_cycle
from tests.unit.cluster.agreement import (
    NOW,
    POLICY,
    History,
    Raw,
    assert_agreement_after,
    assert_same,
    histories,
)
from tests.unit.cluster.raw import raw_node, raw_other, raw_pod

_FREE = {"quota": -1, "limit": -1}
QUEUE = raw_other(
    "scheduling.run.ai/v2", "Queue", "q", spec={"resources": dict.fromkeys(("gpu", "cpu", "memory"), _FREE)}
)
LABELS = {"kai.scheduler/queue": "q"}
VERSIONS = {"Pod": "v1", "Job": "batch/v1", "SparkApplication": "sparkoperator.k8s.io/v1beta2"}


def _by(kind: str, name: str) -> Raw:
    """The metadata of what that owner controls."""
    version = VERSIONS.get(kind, "apps/v1")
    return {
        "ownerReferences": [
            {"apiVersion": version, "kind": kind, "name": name, "uid": f"uid-{name}", "controller": True}
        ]
    }


def _pod(name: str, **more: Any) -> Raw:
    return raw_pod(name, labels=LABELS, **more)


def _owner(kind: str, name: str, **metadata: Any) -> Raw:
    version = VERSIONS.get(kind, "apps/v1")
    return raw_other(version, kind, name, namespace="team", metadata={"uid": f"uid-{name}", **metadata})


def _mirror(*objects: Raw) -> Mirror:
    mirror = Mirror(grouper=WorkloadGrouper(POLICY))
    _tell(mirror, *objects)
    return mirror


def _tell(mirror: Mirror, *objects: Raw) -> None:
    for raw in objects:
        mirror.event(kind_of(raw), "ADDED", raw)


def _plan(mirror: Mirror) -> Plan:
    return plan_cycle(mirror.snapshot(NOW, POLICY), POLICY)


def _read(*objects: Raw) -> Plan:
    objects_read = ObjectSet(objects)
    return plan_cycle(snapshot_of(objects_read, now=NOW, policy=POLICY, group=group_objects), POLICY)


GANG = _owner("Job", "train", annotations={"kai.scheduler/batch-min-member": "24"})
MEMBERS = tuple(_pod(f"train-{number:02d}", **_by("Job", "train")) for number in range(24))
TWO_NODES = (raw_node("n1"), raw_node("n2"), QUEUE)


def test_pods_whose_job_is_seen_late_wait_for_it_and_no_part_of_the_gang_starts() -> None:
    mirror = _mirror(*TWO_NODES, *MEMBERS)

    (verdict,) = _plan(mirror).verdicts
    assert _plan(mirror).binds == ()
    assert (verdict.outcome, verdict.blocker) == ("NotReady", "GangNotReady")
    assert "Job team/train, which controls its pods, was not seen" in verdict.message

    mirror.take_dirty()
    _tell(mirror, GANG)
    assert mirror.wake.is_set()
    (verdict,) = _plan(mirror).verdicts
    assert _plan(mirror).binds == ()
    assert verdict.outcome == "Unplaced"

    _tell(mirror, raw_node("n3"))
    assert len(_plan(mirror).binds) == 24


def test_pods_of_a_file_without_their_job_wait_for_it() -> None:
    assert _read(*TWO_NODES, *MEMBERS).binds == ()
    assert _read(*TWO_NODES, raw_node("n3"), GANG, *MEMBERS).verdicts[0].outcome == "Placed"


def test_a_pod_group_that_exists_says_what_its_job_would() -> None:
    group = raw_other(
        "scheduling.run.ai/v2alpha2",
        "PodGroup",
        "pg-train-uid-train",
        namespace="team",
        spec={"queue": "q", "minMember": 2},
    )

    assert len(_plan(_mirror(*TWO_NODES, group, *MEMBERS[:2])).binds) == 2
    assert _plan(_mirror(*TWO_NODES, group, *MEMBERS[:1])).binds == ()


def test_what_runs_while_its_owner_is_not_seen_is_charged_where_it_says() -> None:
    running = _pod("train-00", node="n1", phase="Running", **_by("Job", "train"))

    (share,) = _plan(_mirror(*TWO_NODES, running)).shares

    assert share.allocated.gpu == 1


LEADER_AND_WORKERS = (
    _pod("lws-0", **_by("LeaderWorkerSet", "lws")),
    _owner("StatefulSet", "lws-0", **_by("Pod", "lws-0")),
    _pod("lws-0-1", **_by("StatefulSet", "lws-0")),
)
DRIVER_AND_EXECUTORS = (
    _pod("driver", scheduler="default-scheduler", **_by("SparkApplication", "spark")),
    _pod("exec-1", **_by("Pod", "driver")),
    _pod("exec-2", **_by("Pod", "driver")),
)


@pytest.mark.parametrize("workload", [LEADER_AND_WORKERS, DRIVER_AND_EXECUTORS])
@given(data=st.data())
def test_pods_that_pods_control_belong_to_what_is_above(
    workload: tuple[Raw, ...], data: st.DataObject
) -> None:
    objects = [*TWO_NODES, *data.draw(st.permutations(workload))]
    mirror = _mirror(*objects)
    assert_same(mirror, objects)

    plan = _plan(mirror)

    assert plan.binds == ()
    assert {verdict.blocker for verdict in plan.verdicts} == {"UnknownWorkloadKind"}


def test_executors_of_a_driver_that_nobody_controls_start_one_by_one() -> None:
    driver = _pod("driver", scheduler="default-scheduler")

    assert len(_plan(_mirror(*TWO_NODES, driver, *DRIVER_AND_EXECUTORS[1:])).binds) == 2
    assert _plan(_mirror(*TWO_NODES, *DRIVER_AND_EXECUTORS[1:])).verdicts[0].blocker == "GangNotReady"


def test_owners_that_are_awaited_are_those_that_are_followed() -> None:
    assert {POD, *(item.kind for item in OWNERS)} == AWAITED_KINDS


FORMS = (
    (
        _owner("Job", "j"),
        _owner("Job", "j", **_by("LeaderWorkerSet", "lws")),
        _owner("Job", "j", **_by("Pod", "lead")),
    ),
    (
        _pod("lead"),
        _pod("lead", **_by("Job", "j")),
        _pod("lead", **_by("LeaderWorkerSet", "lws")),
        _pod("lead", annotations={"pod-group-name": "g"}, **_by("LeaderWorkerSet", "lws")),
        _pod("lead", annotations={"pod-group-name": "g"}),
        _pod("lead", uid="theirs", scheduler="default-scheduler", **_by("Job", "j")),
        _pod("lead", uid="theirs", scheduler="default-scheduler"),
        _pod("lead", uid="another"),
        _pod("lead", spec={"containers": "none"}, **_by("LeaderWorkerSet", "lws")),
    ),
    (_owner("StatefulSet", "w"), _owner("StatefulSet", "w", **_by("Pod", "lead"))),
    (
        _pod("w-0", **_by("StatefulSet", "w")),
        _pod("w-0", node="n1", phase="Running", **_by("StatefulSet", "w")),
    ),
    (_pod("e-0", **_by("Pod", "lead")), _pod("e-0", **_by("Pod", "e-0")), _pod("e-0")),
)


@given(histories(FORMS))
def test_groups_told_live_are_those_told_from_files_in_whatever_order_owners_come(history: History) -> None:
    assert_agreement_after(history, FORMS)


def test_a_loop_of_pods_ends() -> None:
    groups = _mirror(_pod("e-0", **_by("Pod", "e-0"))).snapshot(NOW, POLICY).pod_groups

    assert [group.origin for group in groups] == [GroupOrigin.BARE_POD]
