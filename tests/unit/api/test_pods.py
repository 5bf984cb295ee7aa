"""Identity, state, membership and claims of pods; sharing of specs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kai_sched.api.translate import SpecInterner, TranslateContext, settled, translate_pod
from kai_sched.model.workloads import Pod, PodClaimRef, PodState
from tests.documents import a_pod_document

BOUND = {"nodeName": "n1"}
LATER = {"deletionTimestamp": "2026-11-21T00:00:00Z"}
AT = 1_795_219_200.0


def read(interner: SpecInterner | None = None, **parts: Any) -> Pod:
    shared = SpecInterner() if interner is None else interner
    pod = translate_pod(a_pod_document(**parts), TranslateContext(), shared)
    assert isinstance(pod, Pod), str(pod)
    return pod


@pytest.mark.parametrize(
    ("spec", "phase", "metadata", "state"),
    [
        ({}, "Pending", {}, PodState.PENDING),
        ({}, "", {}, PodState.PENDING),
        ({"schedulingGates": [{"name": "g"}]}, "Pending", {}, PodState.GATED),
        (BOUND, "Pending", {}, PodState.BOUND),
        (BOUND, "Running", {}, PodState.RUNNING),
        (BOUND, "Unknown", {}, PodState.RUNNING),
        (BOUND, "Running", LATER, PodState.RELEASING),
        (BOUND, "Pending", LATER, PodState.RELEASING),
        (BOUND, "Succeeded", LATER, PodState.SUCCEEDED),
        (BOUND, "Failed", {}, PodState.FAILED),
        ({}, "Failed", {}, PodState.FAILED),
    ],
)
def test_the_state_is_told_from_the_object_alone(
    spec: dict[str, Any], phase: str, metadata: dict[str, Any], state: PodState
) -> None:
    assert read(spec=spec, status={"phase": phase}, **metadata).state is state


def test_a_pod_that_releases_longer_than_the_threshold_is_stuck() -> None:
    pod = read(spec=BOUND, status={"phase": "Running"}, **LATER)

    assert settled(pod, AT + 120, 120).state is PodState.RELEASING
    assert settled(pod, AT + 121, 120).state is PodState.STUCK_RELEASING
    assert settled(settled(pod, AT + 121, 120), AT, 120).state is PodState.RELEASING
    assert settled(replace(pod, state=PodState.SUCCEEDED), AT + 999, 120).state is PodState.SUCCEEDED


def test_a_pod_of_ours_names_its_group_or_is_its_own() -> None:
    assert read(annotations={"pod-group-name": "pg"}).group == "team/pg"
    assert read().group == "team/p0"


@pytest.mark.parametrize("name", ["default-scheduler", None])
def test_a_pod_of_another_scheduler_has_no_group(name: str | None) -> None:
    assert read(spec={"schedulerName": name}, annotations={"pod-group-name": "pg"}).group is None


def test_labels_and_annotations_say_how_the_pod_is_treated() -> None:
    pod = read(
        labels={
            "kai.scheduler/subgroup-name": "workers",
            "kai.scheduler/task-priority": "7",
            "runai-gpu-group": "g1",
            "runai-gpu-group/g2": "g2",
        },
        spec={"priority": 75},
        finalizers=["x"],
        creationTimestamp="2026-11-21T00:00:00Z",
        resourceVersion="12",
        status={"phase": "Pending", "nominatedNodeName": "n9"},
    )

    assert (pod.subgroup, pod.task_priority, pod.priority) == ("workers", 7, 75)
    assert pod.gpu_groups == ("g1", "g2")
    assert (pod.has_finalizers, pod.created_at, pod.resource_version) == (True, AT, "12")
    assert pod.nominated_node == "n9"


@pytest.mark.parametrize(
    ("labels", "is_leader"),
    [
        ({"training.kubeflow.org/job-role": "master"}, True),
        ({"training.kubeflow.org/job-role": "launcher"}, True),
        ({"training.kubeflow.org/job-role": "worker"}, False),
        ({"ray.io/node-type": "head"}, True),
        ({}, False),
    ],
)
def test_masters_launchers_and_ray_heads_lead(labels: dict[str, str], is_leader: bool) -> None:
    assert read(labels=labels).is_leader is is_leader


def test_a_task_priority_that_is_no_number_is_none() -> None:
    assert read(labels={"kai.scheduler/task-priority": "high"}).task_priority == 0


def test_claims_are_those_that_the_controller_made() -> None:
    pod = read(
        spec={
            "resourceClaims": [
                {"name": "direct", "resourceClaimName": "shared"},
                {"name": "made", "resourceClaimTemplateName": "t"},
                {"name": "waiting", "resourceClaimTemplateName": "t"},
                {"name": "needless", "resourceClaimTemplateName": "t"},
            ]
        },
        status={
            "phase": "Pending",
            "resourceClaimStatuses": [
                {"name": "made", "resourceClaimName": "p0-made-x1"},
                {"name": "needless"},
            ],
        },
    )

    assert pod.claims == (
        PodClaimRef("direct", "team/shared", is_own=False),
        PodClaimRef("made", "team/p0-made-x1", is_own=True, template="t"),
        PodClaimRef("waiting", None, is_own=True, template="t"),
    )


def test_the_claim_of_extended_resources_counts_once_the_pod_has_a_node() -> None:
    status = {
        "phase": "Pending",
        "extendedResourceClaimStatus": {"resourceClaimName": "p0-extended", "requestMappings": []},
    }

    assert read(spec=BOUND, status=status).claims == (
        PodClaimRef("<extended-resources>", "team/p0-extended", is_own=True),
    )
    assert read(status=status).claims == (), "what a failed attempt left behind"


def test_a_wrong_share_is_a_problem_of_our_pods_only() -> None:
    wrong = {"gpu-fraction": "2"}

    assert read(annotations=wrong).problem.startswith("metadata.annotations[gpu-fraction]: ")
    assert read(annotations=wrong, spec={"schedulerName": "other"}).problem == ""


def test_alike_pods_share_one_spec() -> None:
    interner = SpecInterner()
    volume = {"name": "kube-api-access-1", "projected": {"sources": []}}
    other = {**volume, "name": "kube-api-access-2"}

    first = read(interner, name="p0", spec={"volumes": [volume]}, labels={"app": "x"})
    second = read(interner, name="p1", spec={"volumes": [other]}, labels={"app": "x"})

    assert first.spec is second.spec


def test_pods_that_differ_in_labels_share_everything_else() -> None:
    interner = SpecInterner()

    first = read(interner, name="p0", labels={"index": "0"})
    second = read(interner, name="p1", labels={"index": "1"})

    assert first.spec != second.spec
    assert first.spec.requests is second.spec.requests
    assert replace(first.spec, labels=()) == replace(second.spec, labels=())


def test_label_keys_make_a_difference_where_constraints_read_them() -> None:
    interner = SpecInterner()
    spread = {
        "topologySpreadConstraints": [{"topologyKey": "z", "labelSelector": {}, "matchLabelKeys": ["rev"]}]
    }

    first = read(interner, spec=spread, labels={"rev": "1"})
    second = read(interner, spec=spread, labels={"rev": "2"})

    assert first.spec.topology_spread != second.spec.topology_spread


def test_a_resize_in_place_makes_another_spec() -> None:
    interner = SpecInterner()
    held = {"phase": "Running", "containerStatuses": [{"name": "main", "allocatedResources": {"cpu": "9"}}]}

    before = read(interner, spec=BOUND, status={"phase": "Running"})
    after = read(interner, spec=BOUND, status=held)

    assert (dict(before.spec.requests)["cpu"], dict(after.spec.requests)["cpu"]) == (1000, 9000)


def test_specs_that_nobody_uses_are_forgotten() -> None:
    interner = SpecInterner()
    kept = read(interner, labels={"a": "1"})
    read(interner, labels={"a": "2"})
    read(interner, spec={"nodeSelector": {"x": "y"}})

    interner.keep_only([kept.spec])

    assert len(interner) == 1
    assert read(interner, labels={"a": "1"}).spec is kept.spec


def long_affinity(size_bytes: int) -> dict[str, object]:
    """A node affinity of about so many bytes of text."""
    values = [f"{number:08d}" + "x" * 50 for number in range(size_bytes // 60)]
    terms = [{"matchExpressions": [{"key": "a", "operator": "In", "values": values}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {"affinity": {"nodeAffinity": required}}


def test_a_pod_that_says_too_much_waits_with_the_field_named_and_nothing_of_it_is_kept() -> None:
    interner = SpecInterner()

    pod = read(interner, spec=long_affinity(1_000_000))

    assert pod.problem == "spec.affinity: is too long: a decision reads 64 KiB of a pod"
    assert (pod.spec.required_node_affinity, interner.text_bytes < 1000) == (None, True)


def test_of_a_pod_on_a_node_that_says_too_much_what_it_holds_counts() -> None:
    pod = read(SpecInterner(), spec={**BOUND, **long_affinity(100_000)}, status={"phase": "Running"})

    assert (pod.node, dict(pod.spec.requests)["cpu"], pod.state) == ("n1", 1000, PodState.RUNNING)


def test_a_pod_with_hundreds_of_labels_waits_with_that_said() -> None:
    pod = read(SpecInterner(), labels={f"l{number}": "x" for number in range(300)})

    assert pod.problem == "metadata.labels: are 300, more than 256"


def test_a_group_name_longer_than_any_object_has_is_no_group() -> None:
    pod = read(SpecInterner(), annotations={"pod-group-name": "g" * 254})

    assert pod.problem.startswith("metadata.annotations.pod-group-name: is longer than 253")


def test_text_is_counted_until_the_specs_of_pods_that_are_gone_are_forgotten() -> None:
    interner = SpecInterner()
    for number in range(10):
        read(interner, spec={"nodeSelector": {"x": f"y{number}"}})
    counted = interner.text_bytes

    interner.keep_only([])

    assert counted > 1000
    assert (interner.text_bytes, len(interner)) == (0, 0)
