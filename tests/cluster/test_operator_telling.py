"""What the operator tells: status of queues and pod groups, conditions of pods, events, metrics. On change only."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest

from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import a_claim_template, a_job, a_pod, a_pod_group, a_queue, with_nodes
from tests.cluster.operators import RunningOperator, StartOperator

Document = dict[str, Any]


def condition_of(cluster: LocalCluster, pod: str, namespace: str) -> Document:
    """A pod's PodScheduled condition; {} if it has none."""
    conditions = cluster.api.get("Pod", pod, namespace).get("status", {}).get("conditions", [])
    return next((entry for entry in conditions if entry["type"] == "PodScheduled"), {})


def events_about(cluster: LocalCluster, name: str, namespace: str) -> list[Document]:
    """Events that name an object."""
    return [
        event
        for event in cluster.api.list("Event", namespace)
        if event["involvedObject"]["name"].startswith(name)
        and event["source"].get("component") != "job-controller"
    ]


def verdict_of(cluster: LocalCluster, group: str, namespace: str) -> Document:
    """What the status of a pod group says of the last cycle; {} if nothing yet."""
    found: Document = cluster.api.get("PodGroup", group, namespace).get("status", {}).get("kaiSched", {})
    return found


def test_kubectl_get_queues_shows_shares_and_the_worst_reason(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, plugin=1, gpus=8)
    cluster.api.create(a_queue("all", gpu_quota=8))
    cluster.api.create(a_queue("team-a", gpu_quota=4, gpu_limit=4, parentQueue="all", priority=120))
    cluster.api.create(a_queue("team-b", gpu_quota=4, parentQueue="all"))
    cluster.api.create(a_pod("runs", namespace, gpus=3))
    # One after the other: pods of one second are ordered by their uid.
    operator.wait_until(lambda: condition_of(cluster, "runs", namespace).get("status") == "True")
    cluster.api.create(a_pod("waits", namespace, gpus=2))

    def rows() -> dict[str, list[str]]:
        lines = cluster.kubectl("get", "queues", "-o", "wide").splitlines()
        head = lines[0].split()
        assert head == [
            "NAME",
            "PRIORITY",
            "PARENT",
            "CHILDREN",
            "DISPLAYNAME",
            "GPU-QUOTA",
            "GPU-FAIR",
            "GPU-USED",
            "GPU-ASKED",
            "GPU-LIMIT",
            "GANGS-RUN",
            "GANGS-WAIT",
            "REASON",
            "MESSAGE",
        ]
        starts = [lines[0].index(title) for title in head] + [None]
        return {
            line.split()[0]: [line[a:b].strip() for a, b in itertools.pairwise(starts)][:-1]
            for line in lines[1:]
        }

    wanted = {
        "all": ["all", "", "", '["team-a","team-b"]', "", "8", "5", "3", "5", "-1", "1", "1", "QueueLimit"],
        "team-a": ["team-a", "120", "all", "[]", "", "4", "4", "3", "5", "4", "1", "1", "QueueLimit"],
        "team-b": ["team-b", "", "all", "[]", "", "4", "0", "0", "0", "-1", "0", "0", ""],
    }
    operator.wait_until(lambda: rows() == wanted, f"the table of queues; it was {rows()}")

    status = cluster.api.get("Queue", "team-a")["status"]
    assert status["allocated"]["nvidia.com/gpu"] == "3"
    assert status["kaiSched"]["resources"]["cpu"]["allocated"] == 1000
    assert status["kaiSched"]["resources"]["gpu"]["limit"] == 4
    assert "Limit is 4 GPUs" in status["kaiSched"]["waitingMessage"]


def test_a_group_that_is_tried_once_rests_with_its_reason_until_it_may_be_tried_again(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, plugin=1, gpus=2)
    cluster.api.create(a_queue())
    cluster.api.create(a_pod_group("once", namespace, schedulingBackoff=1))
    # A group without pods has not been tried.
    operator.wait_until(lambda: len(operator.entries("cycle")) > 0)
    cluster.api.create(a_pod("p", namespace, group="once", gpus=3))

    operator.wait_until(lambda: verdict_of(cluster, "once", namespace).get("blocker") == "Delayed")
    with_nodes(cluster, dra=0, plugin=1, gpus=4, nodeName="more-{n}")
    cluster.api.create(a_pod("other", namespace))
    operator.wait_until(lambda: condition_of(cluster, "other", namespace).get("status") == "True")

    (scheduling,) = cluster.api.get("PodGroup", "once", namespace)["status"]["schedulingConditions"]
    assert (scheduling["nodePool"], scheduling["reason"]) == ("default", "PodSchedulingErrors")
    assert "the largest node has 2" in scheduling["message"]
    assert condition_of(cluster, "p", namespace).get("status") == "False"

    cluster.api.patch("PodGroup", "once", namespace, body={"spec": {"schedulingBackoff": -1}})
    operator.wait_until(lambda: condition_of(cluster, "p", namespace).get("status") == "True")
    operator.wait_until(
        lambda: cluster.api.get("PodGroup", "once", namespace)["status"]["schedulingConditions"] == []
    )


def test_a_waiting_gang_is_told_why_once_and_told_nothing_more_when_it_runs(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, plugin=1, gpus=2)
    cluster.api.create(a_queue())
    cluster.api.create(a_pod_group("gang", namespace, minMember=3))
    cluster.api.create_all(a_pod(f"p{n}", namespace, group="gang", gpus=1) for n in range(3))

    operator.wait_until(lambda: verdict_of(cluster, "gang", namespace).get("blocker") == "Capacity")

    scheduling = cluster.api.get("PodGroup", "gang", namespace)["status"]["schedulingConditions"]
    assert [(entry["type"], entry["status"], entry["reason"]) for entry in scheduling] == [
        ("UnschedulableOnNodePool", "True", "PodSchedulingErrors")
    ]
    assert scheduling[0]["nodePool"] == "default"
    operator.wait_until(lambda: condition_of(cluster, "p2", namespace) != {})
    told = condition_of(cluster, "p0", namespace)
    assert (told["status"], told["reason"]) == ("False", "Unschedulable")
    assert told["message"].startswith("Capacity: ")
    assert (
        told["lastTransitionTime"] == cluster.api.get("Pod", "p0", namespace)["metadata"]["creationTimestamp"]
    )

    # Other work comes and goes: cycles run, nothing new is to be said about the gang.
    before = operator.writes("pods/status", "podgroups/status")
    cycles = len(operator.entries("cycle"))
    cluster.api.create(a_pod("other", namespace))
    operator.wait_until(lambda: condition_of(cluster, "other", namespace).get("status") == "True")
    operator.wait_until(lambda: len(operator.entries("cycle")) > cycles + 1)
    assert operator.writes("pods/status", "podgroups/status") == before
    assert [event["reason"] for event in events_about(cluster, "gang", namespace)] == ["Unschedulable"]

    asked = {"cpu": "3", "nvidia.com/gpu": "3"}
    assert cluster.api.get("PodGroup", "gang", namespace)["status"]["resourcesStatus"] == {"requested": asked}
    with_nodes(cluster, dra=0, plugin=1, gpus=2, nodeName="more-{n}")
    operator.wait_until(lambda: condition_of(cluster, "p2", namespace).get("status") == "True")
    operator.wait_until(lambda: verdict_of(cluster, "gang", namespace).get("runningPods") == 3)
    status = cluster.api.get("PodGroup", "gang", namespace)["status"]
    assert status["schedulingConditions"] == []
    assert (status["kaiSched"]["verdict"], status["kaiSched"]["pendingPods"]) == ("Placed", 0)
    assert status["resourcesStatus"] == {"requested": asked, "allocated": asked}
    operator.wait_until(
        lambda: (
            {event["reason"] for event in events_about(cluster, "p0", namespace)}
            == {"FailedScheduling", "Scheduled"}
        )
    )


def test_devices_of_claims_are_listed_and_what_others_write_there_stays(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, dra=1, gpus=4)
    cluster.api.create(a_queue())
    cluster.api.create(a_claim_template("two", namespace, gpus=2))
    cluster.api.create(a_pod_group("gang", namespace, minMember=2, preemptibility="non-preemptible"))
    cluster.api.create_all(a_pod(f"p{n}", namespace, group="gang", template="two") for n in range(2))

    def listed() -> Document:
        status: Document = cluster.api.get("PodGroup", "gang", namespace).get("status", {})
        return status.get("resourcesStatus") or {}

    held = {"cpu": "2", "gpu.nvidia.com": "4"}
    wanted = {"allocated": held, "allocatedNonPreemptible": held, "requested": held}
    operator.wait_until(lambda: listed() == wanted, f"the lists; they were {listed()}")
    # The pods that were bound in one burst cost no write each.
    assert len(operator.writes("podgroups/status")) <= 3

    theirs = {**wanted, "allocated": {"cpu": "2000m", "gpu.nvidia.com": "7"}}
    cluster.api.patch(
        "PodGroup", "gang", namespace, body={"status": {"resourcesStatus": theirs}}, subresource="status"
    )
    before = operator.writes("podgroups/status")
    cluster.api.create(a_pod("other", namespace))
    operator.wait_until(lambda: condition_of(cluster, "other", namespace).get("status") == "True")
    cycles = len(operator.entries("cycle"))
    operator.wait_until(lambda: len(operator.entries("cycle")) > cycles)
    assert operator.writes("podgroups/status") == before
    assert listed() == theirs


def test_a_gang_that_is_just_being_made_is_not_reported(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, plugin=1)
    cluster.api.create(a_queue())
    cluster.api.create(a_pod_group("gang", namespace, minMember=2))
    cluster.api.create(a_pod("p0", namespace, group="gang"))
    operator.wait_until(lambda: any(entry["verdicts"] for entry in operator.entries("cycle")))
    cluster.api.create(a_pod("p1", namespace, group="gang"))
    operator.wait_until(lambda: verdict_of(cluster, "gang", namespace).get("verdict") == "Placed")

    assert events_about(cluster, "gang", namespace) == []
    assert operator.writes("pods/status") == []


def test_a_gang_without_all_its_pods_is_reported_after_a_while(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    cluster.api.create(a_queue())
    cluster.api.create(a_pod_group("gang", namespace, minMember=2))
    cluster.api.create(a_pod("p0", namespace, group="gang"))

    operator.wait_until(lambda: verdict_of(cluster, "gang", namespace).get("verdict") == "NotReady")

    operator.wait_until(lambda: events_about(cluster, "gang", namespace) != [])
    assert [event["reason"] for event in events_about(cluster, "gang", namespace)] == ["NotReady"]


@pytest.mark.parametrize("grouped", [True, False], ids=["pod group", "bare pod"])
def test_a_queue_that_does_not_exist_is_named(
    cluster: LocalCluster, namespace: str, operator: RunningOperator, grouped: bool
) -> None:
    with_nodes(cluster, plugin=1)
    if grouped:
        cluster.api.create(a_pod_group("gang", namespace, queue="nowhere", minMember=1))
    cluster.api.create(a_pod("p0", namespace, queue="nowhere", group="gang" if grouped else ""))

    operator.wait_until(lambda: condition_of(cluster, "p0", namespace) != {})

    assert (
        "QueueNotFound: queue 'nowhere' does not exist" in condition_of(cluster, "p0", namespace)["message"]
    )
    subject = "gang" if grouped else "p0"
    operator.wait_until(lambda: events_about(cluster, subject, namespace) != [])
    assert "nowhere" in events_about(cluster, subject, namespace)[0]["message"]
    if grouped:
        entry = cluster.api.get("PodGroup", "gang", namespace)["status"]["schedulingConditions"][0]
        assert entry["reason"] == "QueueDoesNotExist"

    cluster.api.create(a_queue("nowhere"))
    operator.wait_until(lambda: condition_of(cluster, "p0", namespace)["status"] == "True")


def test_pods_of_a_kind_that_nobody_can_group_wait_and_say_so(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, plugin=1)
    cluster.api.create(a_queue())
    pod = a_pod("w-0", namespace)
    pod["metadata"]["ownerReferences"] = [
        {"apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "uid": "1-2-3", "controller": True}
    ]
    cluster.api.create(pod)

    operator.wait_until(lambda: condition_of(cluster, "w-0", namespace) != {})

    message = condition_of(cluster, "w-0", namespace)["message"]
    assert message.startswith("UnknownWorkloadKind: ")
    assert "Widget" in message


def test_the_pods_of_a_job_get_a_pod_group_that_follows_the_job(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, plugin=1)
    cluster.api.create(a_queue())
    job = cluster.api.create(a_job("train", namespace, pods=3, minimum=2, gpus=1))

    operator.wait_until(lambda: len(cluster.api.list("PodGroup", namespace)) == 1)

    group = cluster.api.list("PodGroup", namespace)[0]
    assert group["metadata"]["name"] == f"pg-train-{job['metadata']['uid']}"
    assert group["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]
    assert (group["spec"]["queue"], group["spec"]["minMember"]) == ("team-a", 2)
    assert group["spec"]["priorityClassName"] == "train"
    operator.wait_until(
        lambda: verdict_of(cluster, group["metadata"]["name"], namespace).get("runningPods") == 3
    )

    annotations = {"kai.scheduler/batch-min-member": "3"}
    cluster.api.patch("Job", "train", namespace, body={"metadata": {"annotations": annotations}})

    name = group["metadata"]["name"]
    operator.wait_until(lambda: cluster.api.get("PodGroup", name, namespace)["spec"]["minMember"] == 3)
    cluster.api.delete("PodGroup", name, namespace)
    operator.wait_until(lambda: len(cluster.api.list("PodGroup", namespace)) == 1, "the group's return")


def test_metrics_and_probes_answer(cluster: LocalCluster, namespace: str, operator: RunningOperator) -> None:
    with_nodes(cluster, plugin=1)
    cluster.api.create(a_queue("team-a", gpu_quota=4))
    cluster.api.create(a_pod("p0", namespace, gpus=1))
    cluster.api.create(a_pod("p1", namespace, gpus=9))
    operator.wait_until(lambda: operator.metric("kai_sched_bound_pods_total") == 1.0)
    team = '{queue_display_name="",queue_metadata_name="team-a",queue_name="team-a"}'
    operator.wait_until(lambda: operator.metric(f"kai_queue_allocated_gpus{team}") == 1.0)

    assert operator.answer("/healthz") == (200, "ok\n")
    assert operator.answer("/readyz") == (200, "ok\n")
    assert operator.metric(f"kai_queue_deserved_gpus{team}") == 4.0
    assert operator.metric("kai_task_scheduling_latency_milliseconds_count") == 1.0
    assert operator.metric("kai_sched_solver_child_starts") == 2.0
    waiting = operator.answer("/metrics")[1]
    assert "kai_sched_waiting_gangs{blocker=" in waiting
    assert 'kai_podgroups_scheduled_by_action{action="allocate"}' in waiting
    assert "kai_e2e_scheduling_latency_milliseconds" in waiting
    cycle = next(entry for entry in operator.entries("cycle") if entry["binds"])
    assert cycle["solver"]
    assert cycle["objective"].keys() == cycle["bound"].keys() != set()


def test_the_pods_of_a_job_that_waits_say_so_themselves_and_so_does_the_job(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, plugin=1, gpus=2)
    cluster.api.create(a_queue())
    cluster.api.create(a_job("train", namespace, pods=2, gpus=4))

    def pods() -> list[Document]:
        return cluster.api.list("Pod", namespace)

    operator.wait_until(
        lambda: (
            len(pods()) == 2
            and all(condition_of(cluster, pod["metadata"]["name"], namespace) for pod in pods())
        )
    )
    operator.wait_until(lambda: events_about(cluster, "train", namespace) != [])

    (group,) = cluster.api.list("PodGroup", namespace)
    (scheduling,) = group["status"]["schedulingConditions"]
    sentences = {condition_of(cluster, pod["metadata"]["name"], namespace)["message"] for pod in pods()}
    assert sentences == {scheduling["message"]}
    for pod in pods():
        assert pod["metadata"]["annotations"]["kai-sched.dev/pod-group"] == group["metadata"]["name"]

    def told() -> set[tuple[str, str, str]]:
        return {
            (event["involvedObject"]["kind"], event["reason"], event["message"])
            for event in events_about(cluster, "", namespace)
            if event["reason"] in {"FailedScheduling", "Unschedulable"}
        }

    wanted = {
        (kind, reason, scheduling["message"])
        for kind, reason in (
            ("Job", "FailedScheduling"),
            ("Pod", "FailedScheduling"),
            ("PodGroup", "Unschedulable"),
        )
    }
    operator.wait_until(lambda: told() == wanted, f"the events; they were {told()}")
    # The condition and the annotation were one write.
    assert len(operator.writes("pods/status")) == 2


def test_a_broken_queue_says_what_is_wrong_in_the_table(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    cluster.api.create(a_queue("orphan", parentQueue="nowhere"))
    cluster.api.create(a_queue("one", parentQueue="other"))
    cluster.api.create(a_queue("other", parentQueue="one"))
    cluster.api.create(a_queue("tight", gpu_quota=4, gpu_limit=2))

    def reasons() -> dict[str, str]:
        lines = cluster.kubectl("get", "queues").splitlines()
        assert max(map(len, lines)) <= 100
        return {line.split()[0]: line.split()[-1] for line in lines[1:]}

    wanted = {
        "orphan": "ParentNotFound",
        "one": "ParentCycle",
        "other": "ParentCycle",
        "tight": "LimitBelowQuota",
    }
    operator.wait_until(lambda: wanted.items() <= reasons().items(), f"the reasons; they were {reasons()}")


def test_a_shard_with_a_key_that_is_not_served_keeps_its_pool_after_a_restart(
    cluster: LocalCluster, namespace: str, start_operator: StartOperator
) -> None:
    shard = {
        "apiVersion": "kai.scheduler/v1",
        "kind": "SchedulingShard",
        "metadata": {"name": "default"},
        "spec": {"partitionLabelValue": "pool-a", "usageDBConfig": {"clientType": "prometheus"}},
    }
    with_nodes(cluster, plugin=1, gpus=8)
    cluster.api.create(a_queue())
    cluster.api.create(shard)

    def condition() -> Document:
        conditions = cluster.api.get("SchedulingShard", "default").get("status", {}).get("conditions", [])
        return next((one for one in conditions if one["type"] == "KeysNotServed"), {})

    cluster.api.create(a_pod("of-others", namespace))
    for _ in range(2):
        operator = start_operator().wait_leading()
        operator.wait_until(lambda: condition().get("status") == "True")
        assert condition()["message"].startswith("spec.usageDBConfig: ")
        time.sleep(3)
        assert cluster.api.get("Pod", "of-others", namespace)["spec"].get("nodeName") is None
        operator.stop()
