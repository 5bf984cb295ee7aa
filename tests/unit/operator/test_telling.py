"""What a waiting gang is told is told everywhere alike, and whatever fails about one object costs that object only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kai_sched.cluster.kube.resources import QUEUES
from kai_sched.model.plan import Blocker, Outcome, Verdict
from kai_sched.model.workloads import PodState
from tests.builders import a_pod
from tests.unit.operator.stage import GANG, ROOT, WAITS, Stage

Document = dict[str, Any]

JOB = {"apiVersion": "batch/v1", "kind": "Job", "name": "train", "uid": "uid-job"}
EARLY = replace(WAITS, outcome=Outcome.NOT_READY, blocker=Blocker.GANG_NOT_READY)


def with_message(message: str, verdict: Verdict = WAITS) -> tuple[Verdict, ...]:
    return (replace(verdict, message=message),)


def sentences(stage: Stage) -> set[str]:
    """Everything that was said so far about why the gang waits."""
    scheduling = stage.status(GANG)["schedulingConditions"]
    conditions = [body["status"]["conditions"][0] for _, body in stage.api.pod_patches]
    return {
        *(entry["message"] for entry in scheduling),
        *(condition["message"] for condition in conditions),
        *(event["note"] for event in stage.api.events),
    }


def told_events(stage: Stage) -> list[tuple[str, str, str]]:
    """(reason, kind, name) of the events so far."""
    return sorted(
        (event["reason"], event["regarding"]["kind"], event["regarding"]["name"])
        for event in stage.api.events
    )


async def test_pods_group_and_owner_hear_the_same_sentence_in_one_cycle(stage: Stage):
    stage.api.objects[GANG]["metadata"]["ownerReferences"] = [JOB]
    stage.verdicts = (WAITS,)

    await stage.cycle()

    assert sentences(stage) == {"Capacity: 2 GPUs are missing"}
    assert told_events(stage) == [
        ("FailedScheduling", "Job", "train"),
        ("FailedScheduling", "Pod", "p0"),
        ("FailedScheduling", "Pod", "p1"),
        ("FailedScheduling", "Pod", "p2"),
        ("Unschedulable", "PodGroup", "g"),
    ]
    assert all(event["type"] == "Warning" for event in stage.api.events)


async def test_a_pod_that_waits_names_its_group_in_the_write_that_says_why(stage: Stage):
    stage.verdicts = (WAITS,)

    await stage.cycle()

    paths = [path for path, _ in stage.api.pod_patches]
    assert paths == [f"/api/v1/namespaces/team/pods/p{number}/status" for number in range(3)]
    for _, body in stage.api.pod_patches:
        assert body["metadata"]["annotations"] == {"kai-sched.dev/pod-group": "g"}
        assert body["status"]["conditions"][0]["reason"] == "Unschedulable"


async def test_other_figures_are_told_everywhere_at_once_and_not_before_their_time(stage: Stage):
    stage.verdicts = (WAITS,)
    await stage.cycle()
    before = len(stage.api.pod_patches)

    stage.verdicts = with_message("1 GPU is missing")
    assert GANG not in await stage.cycle(20.0)
    assert GANG not in await stage.cycle(20.0)
    assert len(stage.api.pod_patches) == before
    assert sentences(stage) == {"Capacity: 2 GPUs are missing"}

    stage.api.pod_patches.clear()
    stage.api.events.clear()
    await stage.cycle(25.0)

    assert sentences(stage) == {"Capacity: 1 GPU is missing"}
    assert len(stage.api.pod_patches) == 3
    assert stage.status(GANG)["kaiSched"]["message"] == "1 GPU is missing"


async def test_a_new_reason_is_told_at_once(stage: Stage):
    stage.verdicts = (WAITS,)
    await stage.cycle()
    stage.api.pod_patches.clear()
    stage.api.events.clear()

    stage.verdicts = with_message("Limit is 4 GPUs", replace(WAITS, blocker=Blocker.QUEUE_LIMIT))
    await stage.cycle(1.0)

    assert sentences(stage) == {"QueueLimit: Limit is 4 GPUs"}


async def test_a_gang_that_is_being_made_is_told_nothing_and_then_what_is_true_by_then(stage: Stage):
    for count in range(1, 4):
        stage.verdicts = with_message(f"{count} of 16 pods exist", EARLY)
        await stage.cycle(0.5)
    assert (stage.api.events, stage.api.pod_patches) == ([], [])

    await stage.cycle(2.0)

    assert sentences(stage) == {"GangNotReady: 3 of 16 pods exist"}


async def test_of_a_large_gang_the_first_pod_speaks_and_every_pod_has_the_condition(stage: Stage):
    stage.pods = [a_pod(f"p{number:02}", group="g") for number in range(21)]
    stage.verdicts = (WAITS,)

    await stage.cycle()

    assert told_events(stage) == [("FailedScheduling", "Pod", "p00"), ("Unschedulable", "PodGroup", "g")]
    assert len(stage.api.pod_patches) == 21


async def test_gated_pods_are_warned_of_nothing(stage: Stage):
    stage.pods = [a_pod("p0", group="g"), a_pod("p1", group="g", state=PodState.GATED)]
    stage.verdicts = (EARLY,)
    await stage.cycle()
    await stage.cycle(3.0)
    assert told_events(stage) == [("FailedScheduling", "Pod", "p0"), ("NotReady", "PodGroup", "g")]
    assert [path for path, _ in stage.api.pod_patches] == ["/api/v1/namespaces/team/pods/p0/status"]

    stage.api.events.clear()
    stage.pods = [a_pod("p1", group="g", state=PodState.GATED)]
    stage.verdicts = with_message("1 pod is gated", EARLY)
    await stage.cycle(100.0)

    assert stage.api.events == []
    assert stage.status(GANG)["kaiSched"]["verdict"] == "NotReady"


@pytest.mark.parametrize("size", [990, 5000, 1_000_000])
@pytest.mark.parametrize("letter", ["x", "\U0001f600", "\x1b"])
async def test_however_long_a_reason_is_every_place_says_the_same_and_the_advice_is_whole(
    stage: Stage, size: int, letter: str
):
    stage.verdicts = (replace(WAITS, message=letter * size, next_step="correct the pod"),)

    await stage.cycle()

    (sentence,) = sentences(stage)
    assert len(sentence.encode()) <= 1000
    assert sentence.endswith(". Next: correct the pod")
    assert "\x1b" not in sentence
    queue = stage.status(QUEUES.item("team-a"))["kaiSched"]
    assert len(queue["waitingMessage"]) <= 300


@pytest.mark.parametrize(
    "theirs",
    [
        [{"nodePool": "gold", "transitionID": "not a number"}],
        [{"nodePool": "gold", "transitionID": "9" * 5000}],
        [{"nodePool": "gold", "transitionID": {"a": 1}}],
        ["text"],
        "text",
        {"a": 1},
        7,
    ],
    ids=str,
)
async def test_a_status_in_which_others_wrote_nonsense_is_told_all_the_same(stage: Stage, theirs: object):
    stage.overwrite(GANG, schedulingConditions=theirs, conditions=theirs)
    stage.verdicts = (WAITS,)

    await stage.cycle()

    ours = stage.status(GANG)["schedulingConditions"][-1]
    assert ours["message"] == "Capacity: 2 GPUs are missing"
    assert ours["transitionID"].isdecimal()
    assert stage.contained.counts == {}


async def test_a_group_that_cannot_be_told_says_so_and_costs_nobody_else_anything(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object) -> None:
        raise TypeError("Integer exceeds 64-bit range")

    stage.verdicts = (WAITS,)
    with monkeypatch.context() as patched:
        patched.setattr("kai_sched.operator.narrator.group_status", broken)
        written = await stage.cycle()

    assert {GANG, ROOT, QUEUES.item("team-a")} <= set(written)
    (condition,) = stage.status(GANG)["conditions"]
    assert (condition["type"], condition["status"]) == ("TellingFailed", "True")
    assert "TypeError: Integer exceeds 64-bit range" in condition["message"]
    assert len(stage.api.pod_patches) == 3
    assert stage.contained.counts == {"podgroup_status": 1}

    await stage.cycle(20.0)

    assert stage.status(GANG)["conditions"][0]["status"] == "False"
    assert stage.status(GANG)["kaiSched"]["blocker"] == "Capacity"


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("kai_sched.operator.narrator.queue_status", "queue_status"),
        ("kai_sched.operator.narrator.view_queues", "queue_view"),
        ("kai_sched.operator.group_resources.GroupResources.status_of", "resources"),
        ("kai_sched.operator.pod_teller.format_time", "pod_condition"),
    ],
)
async def test_each_telling_fails_for_itself(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, place: str, kind: str
):
    def broken(*_: object, **__: object) -> None:
        raise RecursionError("too deep")

    stage.verdicts = (WAITS,)
    monkeypatch.setattr(place, broken)

    await stage.cycle()

    assert set(stage.contained.counts) == {kind}
    assert stage.status(GANG)["kaiSched"]["blocker"] == "Capacity"
    assert told_events(stage)[-1] == ("Unschedulable", "PodGroup", "g")


async def test_a_broken_queue_says_why_where_its_reason_for_waiting_stands(stage: Stage):
    stage.queues = ["team-a"]  # Its parent does not exist.

    await stage.cycle()

    status = stage.status(QUEUES.item("team-a"))
    assert status["kaiSched"]["waitingReason"] == "ParentNotFound"
    assert status["kaiSched"]["waitingMessage"] == 'spec.parentQueue: queue "dept" does not exist'
