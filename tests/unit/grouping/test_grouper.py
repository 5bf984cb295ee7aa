"""Grouping while things come and go: the same answer as from a snapshot, and no write twice."""

from hypothesis import given
from hypothesis import strategies as st

from kai_sched.api import kinds
from kai_sched.api.kinds import kind_of
from kai_sched.grouping.grouper import Verb, WorkloadGrouper
from kai_sched.model.policy import Policy
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

JOB = an_owner("Job", "j", labels={LABEL: "q"})
GROUP = "team/pg-j-uid-j"


def pod_of_job(number):
    return a_pod(f"j-{number}", owner=reference_to("Job", "j"))


def tell(grouper, document):
    """Show a document of any kind."""
    kind, metadata = kind_of(document), document["metadata"]
    key = f"{metadata.get('namespace', 'default')}/{metadata['name']}"
    moved = list(grouper.owner_seen(kind, key, document))
    if kind == kinds.POD:
        grouper.pod_seen(document)
    return moved


def test_pod_seen_before_its_job_joins_the_group_but_nothing_is_written_yet():
    grouper = WorkloadGrouper(Policy())

    membership = grouper.pod_seen(pod_of_job(0))

    assert membership is not None
    assert membership.group == GROUP
    assert grouper.writes() == []
    tell(grouper, JOB)
    assert the_manifest(grouper)["spec"]["queue"] == "q"
    assert the_group(grouper, GROUP).queue == "q"


def test_replica_set_that_turns_out_to_be_of_a_deployment_changes_its_pods():
    grouper = WorkloadGrouper(Policy())
    grouper.pod_seen(a_pod("web-1-a", owner=reference_to("ReplicaSet", "web-1")))
    assert the_group(grouper, "team/pg-web-1-uid-web-1").detail == "ReplicaSet team/web-1"

    tell(grouper, an_owner("ReplicaSet", "web-1", owner=reference_to("Deployment", "web")))
    assert the_group(grouper, "team/pg-web-uid-web").detail == "Deployment team/web"

    moved = tell(grouper, an_owner("Deployment", "web", labels={LABEL: "serving"}))
    assert moved == [("team/web-1-a", None)]
    assert the_group(grouper, "team/web-1-a").priority == 125
    assert the_group(grouper, "team/web-1-a").queue == "serving"


def test_job_that_turns_out_to_be_part_of_a_larger_workload_moves_its_pods_out():
    grouper = WorkloadGrouper(Policy())
    grouper.pod_seen(pod_of_job(0))

    moved = tell(grouper, an_owner("Job", "j", owner=reference_to("JobSet", "js")))

    assert moved == [("team/j-0", None)]
    assert grouper.memberships() == {}


def test_object_that_exists_replaces_the_group_in_memory():
    grouper = grouped(JOB, pod_of_job(0))
    (write,) = grouper.writes()
    before = grouper.version

    tell(grouper, write.document)

    assert list(grouper.groups()) == []
    assert grouper.version > before
    assert grouper.writes() == []


def test_write_stays_due_until_it_is_seen():
    grouper = grouped(JOB, pod_of_job(0))

    assert grouper.writes() == grouper.writes()
    assert len(grouper.writes()) == 1


def test_object_that_was_deleted_is_made_again():
    grouper = grouped(JOB, pod_of_job(0))
    tell(grouper, the_manifest(grouper))

    grouper.owner_seen(kinds.POD_GROUP, GROUP, None)

    assert the_manifest(grouper)["metadata"]["name"] == "pg-j-uid-j"


def test_change_of_the_job_is_patched_into_its_object():
    grouper = grouped(JOB, pod_of_job(0))
    tell(grouper, the_manifest(grouper))

    tell(grouper, an_owner("Job", "j", labels={LABEL: "q", "team": "x"}))

    (write,) = grouper.writes()
    assert write.verb is Verb.PATCH
    assert write.document == {"metadata": {"labels": {"team": "x"}}}


def test_change_of_a_job_that_nobody_reads_changes_nothing():
    grouper = grouped(JOB, pod_of_job(0))
    before = grouper.version

    assert tell(grouper, {**JOB, "status": {"active": 1}}) == []
    assert grouper.version == before


def test_group_ends_with_its_last_pod():
    grouper = grouped(JOB, pod_of_job(0), pod_of_job(1))

    grouper.pod_gone("team/j-0")
    assert len(grouper.groups()) == 1
    grouper.pod_gone("team/j-1")

    assert list(grouper.groups()) == []
    assert grouper.writes() == []


def test_new_priority_class_is_taken_up():
    grouper = grouped(a_pod("p", spec={"priorityClassName": "high"}), JOB, pod_of_job(0))
    assert the_group(grouper, "team/p").priority == 50

    tell(grouper, a_class("high", 300))

    assert the_group(grouper, "team/p").priority == 300
    grouper.owner_seen(kinds.PRIORITY_CLASS, "high", None)
    assert the_group(grouper, "team/p").priority == 50


WORLD = (
    JOB,
    an_owner("ReplicaSet", "web-1", owner=reference_to("Deployment", "web")),
    an_owner("Deployment", "web", labels={LABEL: "serving"}),
    an_owner("Job", "js-0", owner=reference_to("JobSet", "js")),
    an_owner("StatefulSet", "db"),
    a_class("high", 300),
    {
        "apiVersion": "scheduling.run.ai/v2alpha2",
        "kind": "PodGroup",
        "metadata": {"name": "lone", "namespace": "team"},
    },
    pod_of_job(0),
    pod_of_job(1),
    a_pod("web-1-a", owner=reference_to("ReplicaSet", "web-1")),
    a_pod("js-0-x", owner=reference_to("Job", "js-0")),
    a_pod("db-0", owner=reference_to("StatefulSet", "db")),
    a_pod("lone", spec={"priorityClassName": "high"}),
    a_pod("other", owner=reference_to("PyTorchJob", "t")),
)


@given(st.permutations(WORLD))
def test_order_of_arrival_does_not_matter(documents):
    grouper = WorkloadGrouper(Policy())
    for document in documents:
        tell(grouper, document)
    expected = grouped(*WORLD)

    assert grouper.memberships() == expected.memberships()
    assert sorted(grouper.groups(), key=str) == sorted(expected.groups(), key=str)
    assert sorted(grouper.alone(), key=str) == sorted(expected.alone(), key=str)
    assert grouper.writes() == expected.writes()
