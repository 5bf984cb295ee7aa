"""The PodGroup object of a workload, and what labels and annotations decide about groups."""

import pytest
import yaml

from kai_sched.model.policy import Policy
from kai_sched.model.workloads import TopologyConstraint
from tests.unit.grouping.documents import (
    LABEL,
    a_class,
    a_pod,
    an_owner,
    grouped,
    reference_to,
    the_group,
    the_manifest,
)


def a_job(pod_labels=None, pod_annotations=None, pod_spec=None, classes=(), policy=None, **metadata):
    """The manifest of a Job with that metadata and one pod."""
    pod = a_pod(
        "j-0",
        owner=reference_to("Job", "j"),
        labels=pod_labels or {},
        annotations=pod_annotations or {},
        spec=pod_spec,
    )
    return the_manifest(grouped(an_owner("Job", "j", **metadata), pod, *classes, policy=policy))


def test_object_is_named_after_the_job_and_owned_by_it():
    manifest = a_job()

    assert (manifest["apiVersion"], manifest["kind"]) == ("scheduling.run.ai/v2alpha2", "PodGroup")
    assert manifest["metadata"]["name"] == "pg-j-uid-j"
    assert manifest["metadata"]["namespace"] == "team"
    assert manifest["metadata"]["ownerReferences"] == [
        {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "uid-j"}
    ]


def test_labels_and_annotations_are_those_of_the_job():
    manifest = a_job(labels={"team": "x"}, annotations={"note": "y"})

    assert manifest["metadata"]["labels"] == {"team": "x"}
    assert manifest["metadata"]["annotations"]["note"] == "y"


def test_what_kubectl_remembers_of_the_job_is_not_copied():
    manifest = a_job(annotations={"kubectl.kubernetes.io/last-applied-configuration": "{}"})

    assert list(manifest["metadata"]["annotations"]) == ["kai.scheduler/top-owner-metadata"]


def test_object_tells_where_it_comes_from():
    text = a_job()["metadata"]["annotations"]["kai.scheduler/top-owner-metadata"]

    assert yaml.safe_load(text) == {
        "name": "j",
        "uid": "uid-j",
        "group": "batch",
        "version": "v1",
        "kind": "Job",
    }


def test_user_and_node_pool_come_from_the_pod_where_the_job_does_not_say():
    pod = a_pod(
        "j-0",
        owner=reference_to("Job", "j"),
        labels={"user": "ann", "kai.scheduler/node-pool": "a100"},
        annotations={"user": "ann@example.com"},
    )
    grouper = grouped(an_owner("Job", "j"), pod, policy=Policy(partition_value="a100"))

    metadata = the_manifest(grouper)["metadata"]

    assert metadata["labels"] == {"user": "ann", "kai.scheduler/node-pool": "a100"}
    assert metadata["annotations"]["user"] == "ann@example.com"


@pytest.mark.parametrize(
    ("job", "pod", "queue"),
    [
        ({LABEL: "of-job"}, {LABEL: "of-pod"}, "of-job"),
        ({}, {LABEL: "of-pod", "project": "p"}, "of-pod"),
        ({"project": "p"}, {"project": "q"}, "p"),
        ({}, {"project": "q"}, "q"),
        ({}, {}, "default-queue"),
    ],
)
def test_queue_comes_from_the_owner_then_the_pod_then_the_default(job, pod, queue):
    assert a_job(labels=job, pod_labels=pod)["spec"]["queue"] == queue


def test_project_of_a_node_pool_is_its_own_queue():
    pod = a_pod("p", labels={"project": "vision", "kai.scheduler/node-pool": "a100"})

    grouper = grouped(pod, policy=Policy(partition_value="a100"))

    assert the_group(grouper, "team/p").queue == "vision-a100"


def test_default_queue_is_a_setting():
    assert the_group(grouped(a_pod("p"), policy=Policy(default_queue="scratch")), "team/p").queue == "scratch"


def test_deployment_says_the_queue_of_its_replicas():
    grouper = grouped(
        an_owner("Deployment", "web", labels={LABEL: "serving"}),
        an_owner("ReplicaSet", "web-1", owner=reference_to("Deployment", "web")),
        a_pod("web-1-a", owner=reference_to("ReplicaSet", "web-1")),
    )

    assert the_group(grouper, "team/web-1-a").queue == "serving"


@pytest.mark.parametrize(
    ("job", "pod", "spec", "expected"),
    [
        ({"priorityClassName": "high"}, {"priorityClassName": "low"}, "low", "high"),
        ({}, {"priorityClassName": "low"}, "high", "low"),
        ({}, {}, "high", "high"),
        ({}, {}, "", "train"),
        ({}, {}, "no-such-class", "train"),
        ({}, {"priorityClassName": "inference"}, "", "inference"),
    ],
)
def test_where_labels_may_raise_priority_class_comes_from_owner_label_pod_label_pod(job, pod, spec, expected):
    manifest = a_job(
        policy=Policy(priority_label_may_raise=True),
        labels=job,
        pod_labels=pod,
        pod_spec={"priorityClassName": spec} if spec else None,
        classes=(a_class("high", 200), a_class("low", 10)),
    )

    assert manifest["spec"]["priorityClassName"] == expected


@pytest.mark.parametrize(
    ("job", "pod", "spec", "expected"),
    [
        ({"priorityClassName": "high"}, {}, "low", "low"),
        ({}, {"priorityClassName": "high"}, "low", "low"),
        ({}, {"priorityClassName": "high"}, "", "train"),
        ({}, {"priorityClassName": "low"}, "high", "low"),
        ({}, {"priorityClassName": "low"}, "", "low"),
        ({}, {}, "high", "high"),
        ({}, {}, "no-such-class", "train"),
    ],
)
def test_a_label_lifts_no_pod_above_its_own_class(job, pod, spec, expected):
    manifest = a_job(
        labels=job,
        pod_labels=pod,
        pod_spec={"priorityClassName": spec} if spec else None,
        classes=(a_class("high", 200), a_class("low", 10)),
    )

    assert manifest["spec"]["priorityClassName"] == expected


def test_priority_of_a_bare_pod_is_that_of_its_class():
    pod = a_pod("p", spec={"priorityClassName": "high"})

    group = the_group(grouped(a_class("high", 200), pod), "team/p")

    assert (group.priority, group.is_preemptible) == (200, False)


@pytest.mark.parametrize(
    ("job", "pod", "expected"),
    [
        ("non-preemptible", "preemptible", "non-preemptible"),
        ("", "preemptible", "preemptible"),
        ("sometimes", "preemptible", "preemptible"),
        ("", "", None),
    ],
)
def test_preemptibility_comes_from_the_owner_then_the_pod(job, pod, expected):
    key = "kai.scheduler/preemptibility"
    manifest = a_job(labels={key: job} if job else {}, pod_labels={key: pod} if pod else {})

    assert manifest["spec"].get("preemptibility") == expected


def test_label_on_a_bare_pod_decides_whether_it_may_be_preempted():
    pod = a_pod("p", labels={"kai.scheduler/preemptibility": "non-preemptible"})

    assert not the_group(grouped(pod), "team/p").is_preemptible


def test_times_come_from_valid_annotations():
    key, grace = "kai.scheduler/preemption-delay", "kai.scheduler/staleness-grace-period"
    manifest = a_job(annotations={key: "-5s", grace: "-1s"}, pod_annotations={key: "2m", grace: "1h"})

    # A negative delay means nothing, a negative grace means for ever.
    assert manifest["spec"]["preemptionDelay"] == "2m"
    assert manifest["spec"]["stalenessGracePeriod"] == "-1s"


def test_times_of_a_bare_pod_are_honoured():
    pod = a_pod(
        "p",
        annotations={
            "kai.scheduler/preemption-delay": "90s",
            "kai.scheduler/staleness-grace-period": "soon",
        },
    )

    group = the_group(grouped(pod), "team/p")

    assert group.preemption_delay_seconds == 90
    assert group.staleness_grace_seconds is None


TOPOLOGY = {
    "kai.scheduler/topology": "racks",
    "kai.scheduler/topology-required-placement": "rack",
    "kai.scheduler/topology-preferred-placement": "host",
}


def test_topology_of_the_job_is_that_of_the_group():
    manifest = a_job(annotations=TOPOLOGY)

    assert manifest["spec"]["topologyConstraint"] == {
        "topology": "racks",
        "requiredTopologyLevel": "rack",
        "preferredTopologyLevel": "host",
    }


def test_topology_of_a_bare_pod_is_that_of_its_group():
    group = the_group(grouped(a_pod("p", annotations=TOPOLOGY)), "team/p")

    assert group.constraint == TopologyConstraint("racks", "rack", "host")
    assert group.problem == ""


def test_level_without_a_topology_is_a_problem():
    pod = a_pod("p", annotations={"kai.scheduler/topology-required-placement": "rack"})
    job = an_owner("Job", "j", annotations={"kai.scheduler/topology-required-placement": "rack"})

    grouper = grouped(pod, job, a_pod("j-0", owner=reference_to("Job", "j")))

    assert the_group(grouper, "team/p").problem == "metadata.annotations[kai.scheduler/topology]: is missing"
    assert "topology: is missing" in the_group(grouper, "team/pg-j-uid-j").problem


def test_of_pods_that_differ_the_first_by_name_speaks():
    owner = reference_to("Job", "j")
    pods = [
        a_pod("j-1", owner=owner, labels={LABEL: "one"}),
        a_pod("j-0", owner=owner, labels={LABEL: "zero"}),
    ]

    assert the_manifest(grouped(an_owner("Job", "j"), *pods))["spec"]["queue"] == "zero"
