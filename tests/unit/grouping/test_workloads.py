"""Kind by kind: which pods are one group, which are alone, and which nobody may place."""

import pytest

from kai_sched.model.workloads import GroupOrigin
from tests.unit.grouping.documents import a_pod, an_owner, grouped, reference_to, the_group, the_manifest


def test_bare_pod_is_a_group_of_one_in_memory_and_nothing_is_written():
    grouper = grouped(a_pod("p"))

    group = the_group(grouper, "team/p")

    assert group.origin is GroupOrigin.BARE_POD
    assert (group.min_member, group.priority, group.is_preemptible) == (1, 50, True)
    assert grouper.memberships() == {}
    assert grouper.writes() == []


def test_pods_of_a_job_are_one_group():
    owner = reference_to("Job", "train")
    grouper = grouped(an_owner("Job", "train"), a_pod("train-0", owner=owner), a_pod("train-1", owner=owner))

    memberships = grouper.memberships()

    assert {pod: entry.group for pod, entry in memberships.items()} == {
        "team/train-0": "team/pg-train-uid-train",
        "team/train-1": "team/pg-train-uid-train",
    }
    assert [group.key for group in grouper.groups()] == ["team/pg-train-uid-train"]


def test_job_starts_with_one_pod_unless_it_asks_for_more():
    plain = grouped(an_owner("Job", "j"), a_pod("j-0", owner=reference_to("Job", "j")))
    asking = grouped(
        an_owner("Job", "j", annotations={"kai.scheduler/batch-min-member": "4"}),
        a_pod("j-0", owner=reference_to("Job", "j")),
    )

    assert the_manifest(plain)["spec"]["minMember"] == 1
    assert the_manifest(asking)["spec"]["minMember"] == 4
    assert the_group(asking, "team/pg-j-uid-j").min_member == 4


@pytest.mark.parametrize("value", ["0", "-1", "four", "", "1.5", "3000000000", "²"])
def test_job_with_a_bad_minimum_is_invalid_and_gets_no_object(value):
    grouper = grouped(
        an_owner("Job", "j", annotations={"kai.scheduler/batch-min-member": value}),
        a_pod("j-0", owner=reference_to("Job", "j")),
    )

    problem = the_group(grouper, "team/pg-j-uid-j").problem

    assert problem.startswith("Job j: metadata.annotations[kai.scheduler/batch-min-member]: must be")
    assert grouper.writes() == []


def test_each_run_of_a_cron_job_is_a_group_of_its_own():
    runs = [
        an_owner("Job", name, owner=reference_to("CronJob", "nightly")) for name in ("night-1", "night-2")
    ]
    pods = [a_pod(f"{name}-x", owner=reference_to("Job", name)) for name in ("night-1", "night-2")]

    grouper = grouped(*runs, *pods)

    assert [group.key for group in grouper.groups()] == [
        "team/pg-night-1-uid-night-1",
        "team/pg-night-2-uid-night-2",
    ]


def test_replicas_are_alone():
    owner = reference_to("ReplicaSet", "rs")
    grouper = grouped(an_owner("ReplicaSet", "rs"), a_pod("a", owner=owner), a_pod("b", owner=owner))

    assert [group.key for group in grouper.alone()] == ["team/a", "team/b"]
    assert {group.priority for group in grouper.alone()} == {50}
    assert grouper.writes() == []


def test_replicas_of_a_deployment_serve_and_so_are_not_preempted_by_default():
    for above in (None, reference_to("InferenceService", "llm"), reference_to("Job", "maker")):
        grouper = grouped(
            an_owner("Deployment", "web", owner=above),
            an_owner("ReplicaSet", "web-1", owner=reference_to("Deployment", "web")),
            an_owner("Job", "maker"),
            a_pod("web-1-a", owner=reference_to("ReplicaSet", "web-1")),
        )

        group = the_group(grouper, "team/web-1-a")

        assert (group.origin, group.priority, group.is_preemptible) == (GroupOrigin.BARE_POD, 125, False)


def test_replicas_stay_alone_whoever_made_the_replica_set():
    grouper = grouped(
        an_owner("ReplicaSet", "web-1", owner=reference_to("Rollout", "web")),
        a_pod("web-1-a", owner=reference_to("ReplicaSet", "web-1")),
    )

    assert the_group(grouper, "team/web-1-a").origin is GroupOrigin.BARE_POD


def test_pods_of_a_stateful_set_are_one_group_that_starts_with_its_first():
    owner = reference_to("StatefulSet", "db")
    grouper = grouped(an_owner("StatefulSet", "db"), a_pod("db-0", owner=owner), a_pod("db-1", owner=owner))

    assert the_manifest(grouper)["spec"]["minMember"] == 1
    assert len(grouper.memberships()) == 2


def test_pod_of_an_unknown_kind_is_not_to_be_placed_and_says_which():
    grouper = grouped(a_pod("worker-0", owner=reference_to("PyTorchJob", "train")))

    group = the_group(grouper, "team/worker-0")

    assert group.origin is GroupOrigin.UNKNOWN_KIND
    assert group.detail == "PyTorchJob.kubeflow.org"
    assert grouper.writes() == []


def test_job_inside_an_unknown_workload_is_part_of_something_larger():
    grouper = grouped(
        an_owner("Job", "js-0", owner=reference_to("JobSet", "js", apiVersion="jobset.x-k8s.io/v1alpha2")),
        a_pod("js-0-x", owner=reference_to("Job", "js-0")),
    )

    assert the_group(grouper, "team/js-0-x").detail == "JobSet.jobset.x-k8s.io"


def test_job_of_another_api_group_is_another_kind():
    grouper = grouped(a_pod("p", owner=reference_to("Job", "j", apiVersion="batch.volcano.sh/v1alpha1")))

    assert the_group(grouper, "team/p").detail == "Job.batch.volcano.sh"


def test_reference_that_is_no_controller_does_not_make_a_workload():
    grouper = grouped(a_pod("p", owner=reference_to("ConfigMap", "c", controller=False)))

    assert the_group(grouper, "team/p").origin is GroupOrigin.BARE_POD


def test_pod_that_names_its_group_is_left_alone():
    grouper = grouped(
        a_pod("p", annotations={"pod-group-name": "mine"}, owner=reference_to("PyTorchJob", "train"))
    )

    assert list(grouper.groups()) == []
    assert grouper.memberships() == {}


def test_pod_of_another_scheduler_is_left_alone():
    assert list(grouped(a_pod("p", spec={"schedulerName": "default-scheduler"})).groups()) == []


def test_pod_of_another_shard_is_left_alone():
    assert list(grouped(a_pod("p", labels={"kai.scheduler/node-pool": "other"})).groups()) == []


@pytest.mark.parametrize("where", ["pod", "owner"])
def test_pod_whose_grouping_is_left_to_others_waits_for_them(where):
    skip = {"kai.scheduler/skip-podgrouper": "true"}
    grouper = grouped(
        an_owner("Job", "j", annotations=skip if where == "owner" else {}),
        a_pod("p", owner=reference_to("Job", "j"), annotations=skip if where == "pod" else {}),
    )

    group = the_group(grouper, "team/p")

    assert group.origin is GroupOrigin.MISSING
    assert "names no pod group yet" in group.detail
    assert grouper.writes() == []


def test_owners_that_refer_to_each_other_do_not_hang():
    grouper = grouped(
        an_owner("Job", "a", owner=reference_to("Job", "b")),
        an_owner("Job", "b", owner=reference_to("Job", "a")),
        a_pod("p", owner=reference_to("Job", "a")),
    )

    assert grouper.memberships()["team/p"].group == "team/pg-a-uid-a"


def test_malformed_metadata_harms_only_its_own_object():
    broken = a_pod("broken")
    broken["metadata"]["annotations"] = "text"
    nameless = a_pod("strange")
    nameless["metadata"]["ownerReferences"] = [None, "x", {"controller": True}]

    grouper = grouped(broken, nameless, a_pod("fine"))

    assert "team/fine" in {group.key for group in grouper.alone()}
    assert "team/broken" not in {group.key for group in grouper.alone()}
