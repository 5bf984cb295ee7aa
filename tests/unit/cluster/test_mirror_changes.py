"""A world whose objects change in every way that we know of: the mirror ends as the careful reading of its end."""

from __future__ import annotations

from typing import Any

from hypothesis import given

from tests.unit.cluster.agreement import History, Raw, assert_agreement_after, histories
from tests.unit.cluster.raw import raw_claim, raw_node, raw_other, raw_pod

JOB = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "uid-j", "controller": True}
OTHER_JOB = JOB | {"name": "k", "uid": "uid-k"}
RACK = {"kai.scheduler/topology": "racks", "kai.scheduler/topology-required-placement": "rack"}
WAITS_FOR_CLAIM = {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "t"}]}


def _claims(*names: str) -> Raw:
    return {"resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": name} for name in names]}


def _queue(name: str, **spec: Any) -> Raw:
    return raw_other("scheduling.run.ai/v2", "Queue", name, spec=spec)


def _group(**spec: Any) -> Raw:
    return raw_other("scheduling.run.ai/v2alpha2", "PodGroup", "g", namespace="team", spec=spec)


def _slice(*devices: str, generation: int = 1) -> Raw:
    pool = {"name": "n1", "generation": generation, "resourceSliceCount": 1}
    spec = {"driver": "d", "nodeName": "n1", "pool": pool, "devices": [{"name": name} for name in devices]}
    return raw_other("resource.k8s.io/v1", "ResourceSlice", "s1", spec=spec)


def _job(**metadata: Any) -> Raw:
    return raw_other("batch/v1", "Job", "j", namespace="team", metadata={"uid": "uid-j", **metadata})


def _unreadable(claim: Raw) -> Raw:
    return claim | {"spec": {"devices": {"requests": "all"}}}


FORMS: tuple[tuple[Raw, ...], ...] = (
    (
        raw_pod("p", spec=WAITS_FOR_CLAIM),
        raw_pod("p", spec=WAITS_FOR_CLAIM, status=_claims("p-1")),
        raw_pod("p", spec=WAITS_FOR_CLAIM, status=_claims("p-2")),
        raw_pod("p", spec=WAITS_FOR_CLAIM, status=_claims("p-2"), node="n1", phase="Running"),
        raw_pod("p", spec=WAITS_FOR_CLAIM, status=_claims("p-2"), node="n1", phase="Succeeded"),
        raw_pod("p", spec=WAITS_FOR_CLAIM, status=_claims("p-1"), uid="uid-next"),
        raw_pod("p", spec=WAITS_FOR_CLAIM, annotations=RACK),
        raw_pod("p", spec=WAITS_FOR_CLAIM, annotations={"pod-group-name": "g"}),
    ),
    (
        raw_pod("w", ownerReferences=[JOB]),
        raw_pod("w", ownerReferences=[JOB], node="n1"),
        raw_pod("w", ownerReferences=[JOB], node="n1", phase="Failed"),
        raw_pod("w", ownerReferences=[OTHER_JOB]),
        raw_pod("w"),
        raw_pod("w", ownerReferences=[JOB], annotations={"kai.scheduler/skip-podgrouper": "true"}),
        raw_pod("w", ownerReferences=[JOB], labels={"kai.scheduler/queue": "q"}),
        raw_pod("w", ownerReferences=[JOB], deletionTimestamp="2026-11-25T00:00:00Z"),
    ),
    (
        raw_pod("s", annotations={"gpu-fraction": "0.5"}),
        raw_pod("s", annotations={"gpu-fraction": "0.25"}),
        raw_pod("s", annotations={"gpu-fraction": "much"}),
        raw_pod("s", generation=2, spec={"schedulingGates": [{"name": "x"}]}),
        raw_pod("s", generation=3, spec={"nodeSelector": {"a": "b"}}),
        raw_pod("s", uid="u2", scheduler="default-scheduler", node="n2", phase="Running"),
        raw_pod("s", uid="u3", spec={"overhead": "much"}, node="n2"),
        raw_pod("s"),
        raw_pod("s", status={"extendedResourceClaimStatus": {"resourceClaimName": "c"}}, node="n1"),
    ),
    (_job(), _job(annotations=RACK), _job(labels={"kai.scheduler/queue": "q"}), _job(uid="uid-new")),
    (
        raw_node("n1"),
        raw_node("n1", unschedulable=True),
        raw_node("n1", taints=[{"key": "a", "effect": "NoSchedule"}]),
        raw_node("n1", taints="none"),
    ),
    (raw_node("n2"), raw_node("n2", unschedulable=True)),
    (
        raw_claim("c"),
        raw_claim("c", devices=["gpu-0"]),
        raw_claim("c", devices=["gpu-0"], consumers=["p"]),
        raw_claim("c", devices=["gpu-1"], consumers=["w"]),
        _unreadable(raw_claim("c", devices=["gpu-0"])),
        _unreadable(raw_claim("c")),
    ),
    (_slice("gpu-0"), _slice("gpu-0", "gpu-1", generation=2), _slice(generation=3)),
    (
        raw_other("resource.k8s.io/v1", "DeviceClass", "gpu", spec={}),
        raw_other(
            "resource.k8s.io/v1", "DeviceClass", "gpu", spec={"extendedResourceName": "example.com/gpu"}
        ),
        raw_other("resource.k8s.io/v1", "DeviceClass", "gpu", spec={"selectors": "all"}),
    ),
    (
        _queue("q", resources={"gpu": {"quota": 4, "limit": -1}}),
        _queue("q", resources={"gpu": {"quota": 4, "limit": 8}}, parentQueue="top"),
        _queue("q", resources={"gpu": {"quota": "four"}}),
    ),
    (
        _group(queue="q", minMember=2),
        _group(queue="q", minMember=1, priorityClassName="high"),
        _group(queue="q", subGroups=[{"name": "x", "minMember": 1}]),
        _group(queue="q", minMember=-2),
    ),
    (
        raw_other("scheduling.k8s.io/v1", "PriorityClass", "high", value=900),
        raw_other("scheduling.k8s.io/v1", "PriorityClass", "high", value=40, globalDefault=True),
    ),
    (
        raw_other("v1", "Namespace", "team", metadata={"labels": {"tier": "gold"}}),
        raw_other(
            "v1", "Namespace", "team", metadata={"labels": {"resource.kubernetes.io/admin-access": "true"}}
        ),
    ),
    (
        raw_other("kai.scheduler/v1alpha1", "Topology", "racks", spec={"levels": [{"nodeLabel": "rack"}]}),
        raw_other("kai.scheduler/v1alpha1", "Topology", "racks", spec={"levels": [{"nodeLabel": "row"}]}),
    ),
)


@given(histories(FORMS))
def test_however_objects_change_the_mirror_is_the_careful_reading_of_what_they_are_now(
    history: History,
) -> None:
    assert_agreement_after(history, FORMS)
