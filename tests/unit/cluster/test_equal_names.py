"""Pods, PodGroups, Jobs and what annotations say may all be called the same: nobody is taken for another for it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from kai_sched.api.kinds import kind_of
from kai_sched.cluster.mirror import Mirror
from kai_sched.grouping.grouper import WorkloadGrouper
from kai_sched.model.plan import Plan
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

_NO_LIMIT = {"quota": -1, "limit": -1}
QUEUE = raw_other(
    "scheduling.run.ai/v2",
    "Queue",
    "q",
    spec={"resources": {"gpu": {"quota": 4, "limit": 4}, "cpu": _NO_LIMIT, "memory": _NO_LIMIT}},
)
OURS, THEIRS = {"kai.scheduler/queue": "q"}, {"kai.scheduler/node-pool": "pool-b"}
OF_JOB = {
    "ownerReferences": [
        {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "1", "controller": True}
    ]
}


def _group(name: str, **metadata: Any) -> Raw:
    spec = {"queue": "q", "minMember": 3}
    return raw_other(
        "scheduling.run.ai/v2alpha2", "PodGroup", name, namespace="team", metadata=metadata, spec=spec
    )


def _pod(name: str, group: str = "", **more: Any) -> Raw:
    return raw_pod(name, annotations={"pod-group-name": group} if group else None, **{"labels": OURS, **more})


def _names(name: str) -> tuple[tuple[Raw, ...], ...]:
    """What may be called so: a pod of every kind, and a PodGroup of this shard or another."""
    return (
        (
            _pod(name),
            _pod(name, "train"),
            _pod(name, "pg-j-1"),
            _pod(name, name),
            _pod(name, **OF_JOB),
            _pod(name, node="n1", phase="Running"),
            _pod(name, "train", labels=THEIRS),
            _pod(name, labels=THEIRS, node="n1"),
            _pod(name, generation=2),
            _pod(name, uid="theirs", scheduler="default-scheduler"),
            _pod(name, "train", uid="theirs", scheduler="default-scheduler"),
            _pod(name, name, uid="another", scheduler="another"),
        ),
        (_group(name), _group(name, labels=THEIRS)),
    )


FORMS = (
    (raw_node("n1"),),
    (QUEUE, QUEUE | {"metadata": QUEUE["metadata"] | {"labels": THEIRS}}),
    (raw_other("batch/v1", "Job", "j", namespace="team", metadata={"uid": "1"}),),
    *_names("train"),
    *_names("train-1"),
    *_names("pg-j-1"),
)


@given(histories(FORMS))
def test_groups_told_live_are_those_told_from_files(history: History) -> None:
    assert_agreement_after(history, FORMS)


def _told(*objects: Raw) -> Mirror:
    mirror = Mirror(grouper=WorkloadGrouper(POLICY))
    for raw in objects:
        mirror.event(kind_of(raw), "ADDED", raw)
    assert_same(mirror, objects)
    return mirror


def _plan(*objects: Raw) -> Plan:
    return plan_cycle(_told(*objects).snapshot(NOW, POLICY), POLICY)


def _groups(*objects: Raw) -> dict[str, str | None]:
    return {pod.key: pod.group for pod in _told(*objects).snapshot(NOW, POLICY).pods}


TRAIN = tuple(_pod(name, "train") for name in ("train", "train-1", "train-2"))
THREE_OF_THREE = {f"team/{name}": "team/train" for name in ("train", "train-1", "train-2")}


def test_a_gang_whose_pod_is_called_as_its_pod_group_is_one_gang() -> None:
    assert _groups(raw_node("n1"), QUEUE, _group("train"), *TRAIN) == THREE_OF_THREE


@pytest.mark.parametrize("room", [1, 2])
def test_such_a_gang_keeps_to_the_limit_of_its_queue(room: int) -> None:
    before = [_pod(f"before-{number}", node="n1", phase="Running") for number in range(4 - room)]

    plan = _plan(raw_node("n1"), QUEUE, _group("train"), *before, *TRAIN)

    assert plan.binds == ()
    assert [(verdict.pod_group, verdict.blocker) for verdict in plan.verdicts] == [
        ("team/train", "QueueLimit")
    ]


def test_a_pod_alone_is_no_member_of_a_gang_of_its_name() -> None:
    groups = _groups(QUEUE, _group("train"), _pod("train"), _pod("train-1", "train"))

    assert groups == {"team/train": "team/train:pod", "team/train-1": "team/train"}


def test_a_pod_that_names_a_group_that_is_not_there_does_not_join_the_pod_of_that_name() -> None:
    plan = _plan(raw_node("n1"), QUEUE, _pod("train"), _pod("train-1", "train"))

    assert [bind.pod for bind in plan.binds] == ["team/train"]
    assert {verdict.pod_group: verdict.blocker for verdict in plan.verdicts} == {
        "team/train": "GangNotReady",
        "team/train:pod": None,
    }


def test_a_pod_called_as_the_group_of_a_job_is_no_member_of_it() -> None:
    job = raw_other("batch/v1", "Job", "j", namespace="team", metadata={"uid": "1"})

    groups = _groups(QUEUE, job, _pod("pg-j-1"), _pod("j-x", **OF_JOB))

    assert groups == {"team/pg-j-1": "team/pg-j-1:pod", "team/j-x": "team/pg-j-1"}


def test_a_pod_of_the_shard_stays_there_whatever_shard_a_pod_group_of_its_name_is_in() -> None:
    assert _groups(raw_node("n1"), QUEUE, _group("train", labels=THEIRS), _pod("train")) == {
        "team/train": "team/train:pod"
    }
