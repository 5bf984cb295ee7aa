"""The documents that the operator writes: conditions, events, the status of a pod group."""

from __future__ import annotations

from dataclasses import replace

from kai_sched.cluster.kube.resources import PODS, QUEUES
from kai_sched.model.ids import PodGroupKey, QueueName, Uid
from kai_sched.model.plan import Blocker, Outcome, QuotaConflict, Verdict
from kai_sched.model.queues import QueueShare, QuotaVector
from kai_sched.model.workloads import PodGroup
from kai_sched.operator.conditions import Condition, merged_conditions
from kai_sched.operator.events import About, Event, event_document, event_path
from kai_sched.operator.group_status import group_status
from kai_sched.operator.tally import GroupTally

NOW = 1_764_036_000.5
LATER = NOW + 60
GROUP = PodGroup(key=PodGroupKey("team/g"), uid=Uid("u"), queue=QueueName("q"))


def a_verdict(message="2 GPUs are missing", blocker=Blocker.CAPACITY, outcome=Outcome.UNPLACED):
    return Verdict(pod_group=GROUP.key, queue=GROUP.queue, outcome=outcome, blocker=blocker, message=message)


def status_of(verdict, present=None, now=NOW, node_pool="default"):
    return group_status(GROUP, GroupTally(), verdict, {}, present or {}, now, node_pool)


def test_the_transition_time_moves_only_with_the_status():
    first = merged_conditions([], [Condition("Invalid", is_true=True, message="a")], NOW)
    same = merged_conditions(first, [Condition("Invalid", is_true=True, message="b")], LATER)
    gone = merged_conditions(same, [Condition("Invalid", is_true=False)], LATER)

    assert first[0]["lastTransitionTime"] == same[0]["lastTransitionTime"] == "2025-11-25T02:00:00Z"
    assert same[0]["message"] == "b"
    assert (gone[0]["status"], gone[0]["lastTransitionTime"]) == ("False", "2025-11-25T02:01:00Z")


def test_conditions_of_others_stay_and_what_never_was_is_not_denied():
    theirs = {"type": "OverQuota", "status": "True", "lastProbeTime": "2025-01-01T00:00:00Z"}

    assert merged_conditions([theirs], [Condition("Invalid", is_true=False)], NOW) == [theirs]


def test_an_event_that_says_the_same_has_the_same_name_and_lies_beside_its_object():
    told = Event(
        about=About.of(PODS), key="team/p0", uid="u", reason="Unschedulable", note="full", action="Scheduling"
    )
    first, again = (
        event_document(told, scheduler_name="kai-scheduler", instance=name, now=now)
        for name, now in (("a", NOW), ("b", LATER))
    )

    assert first["metadata"] == again["metadata"]
    assert first["metadata"]["namespace"] == "team"
    assert event_path(told) == "/apis/events.k8s.io/v1/namespaces/team/events"
    assert (
        "namespace"
        not in event_document(
            Event(about=About.of(QUEUES), key="q", uid="u", reason="R", note="n", action="A"),
            scheduler_name="s",
            instance="i",
            now=NOW,
        )["regarding"]
    )


def test_a_long_note_is_cut_to_what_the_api_takes():
    told = Event(
        about=About.of(PODS), key="team/p", uid="u", reason="R", note="\U0001f600" * 5000, action="A"
    )

    note = event_document(told, scheduler_name="s", instance="i", now=NOW)["note"]

    assert len(note.encode()) <= 1000
    assert note.endswith("more characters)")


def test_a_waiting_group_has_the_condition_of_its_node_pool_beside_those_of_others():
    theirs = {"type": "UnschedulableOnNodePool", "nodePool": "gold", "status": "True", "transitionID": "4"}

    status = status_of(a_verdict(), {"schedulingConditions": [theirs]})

    assert status["schedulingConditions"][0] == theirs
    ours = status["schedulingConditions"][1]
    assert (ours["nodePool"], ours["transitionID"], ours["reason"]) == ("default", "5", "PodSchedulingErrors")


def test_other_figures_keep_the_transition_and_placing_clears_it():
    first = status_of(a_verdict())
    second = status_of(a_verdict("1 GPU is missing"), first, LATER)

    assert second["schedulingConditions"][0]["message"] == "Capacity: 1 GPU is missing"
    for part in ("transitionID", "lastTransitionTime"):
        assert second["schedulingConditions"][0][part] == first["schedulingConditions"][0][part]
    assert status_of(None, second, LATER)["schedulingConditions"] == []


def test_blockers_are_told_in_the_words_of_kai():
    reasons = {
        blocker: status_of(a_verdict(blocker=blocker))["schedulingConditions"][0]["reason"]
        for blocker in (Blocker.QUEUE_LIMIT, Blocker.NON_PREEMPTIBLE_OVER_QUOTA, Blocker.QUEUE_NOT_FOUND)
    }

    assert list(reasons.values()) == ["OverLimit", "NonPreemptibleOverQuota", "QueueDoesNotExist"]


def test_a_queue_that_refuses_is_told_with_its_amounts_though_it_is_above_the_groups_own():
    above = QueueShare(
        queue=QueueName("dept"),
        deserved=QuotaVector(2, -1, -1),
        limit=QuotaVector(4, -1, -1),
        fair_share=QuotaVector(),
        allocated=QuotaVector(1, 1000, 500),
        allocated_non_preemptible=QuotaVector(1, 0, 0),
        requested=QuotaVector(3, 0, 0),
    )
    conflict = QuotaConflict(queue=QueueName("dept"), requested=QuotaVector(2, 3000, 1))

    def details_for(group):
        verdict = replace(a_verdict(blocker=Blocker.QUEUE_LIMIT), conflict=conflict)
        status = group_status(group, GroupTally(), verdict, {QueueName("dept"): above}, {}, NOW, "default")
        return status["schedulingConditions"][0]["reasons"][0]["details"]["queueDetails"]

    details = details_for(GROUP)
    assert details["name"] == "dept"
    assert details["queueDeservedResources"]["nvidia.com/gpu"] == "2"
    assert details["queueAllocatedResources"] == {"nvidia.com/gpu": "1", "cpu": "1000m", "memory": "500M"}
    assert details["podGroupRequestedResources"] == {"nvidia.com/gpu": "2", "cpu": "3000m", "memory": "1M"}
    assert details["podGroupRequestedNonPreemptibleResources"]["nvidia.com/gpu"] == "0"
    fixed = details_for(replace(GROUP, is_preemptible=False))
    assert fixed["podGroupRequestedNonPreemptibleResources"] == details["podGroupRequestedResources"]


def test_a_group_that_is_tried_once_reads_the_condition_as_the_end_so_only_a_true_refusal_gives_it():
    once = replace(GROUP, scheduling_backoff=1)

    def after(verdict, present=None):
        return group_status(once, GroupTally(), verdict, {}, present or {}, NOW, "default")

    refused = after(a_verdict())
    early = a_verdict("pods are missing", Blocker.GANG_NOT_READY, Outcome.NOT_READY)
    rests = a_verdict("not tried again", Blocker.DELAYED)

    assert refused["schedulingConditions"][0]["reasons"][0]["message"] == "2 GPUs are missing"
    assert after(rests, refused)["schedulingConditions"] == refused["schedulingConditions"]
    assert after(early)["schedulingConditions"] == after(rests)["schedulingConditions"] == []
    assert after(early, refused)["schedulingConditions"] == []
    assert status_of(early)["schedulingConditions"] != []
