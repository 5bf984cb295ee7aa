"""The quick reading of a pod's event says what the careful one would."""

from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kai_sched.api.membership import Membership
from kai_sched.api.translate import SpecInterner, TranslateContext, translate_pod
from kai_sched.cluster.pod_shelf import PodShelf, quick_reading
from kai_sched.cluster.shelf import Effect
from kai_sched.cluster.sightings import Change, ChangeKind
from kai_sched.grouping.grouper import WorkloadGrouper
from kai_sched.model.ids import PodGroupKey
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import Unreadable
from kai_sched.model.workloads import PodState
from tests.unit.cluster.raw import raw_pod

CONTEXT = TranslateContext()
_CLAIM = {
    "spec": {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "t"}]},
    "status": {"resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "p-gpu"}]},
}
_AFFINITY = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {
                "topologyKey": "kubernetes.io/hostname",
                "labelSelector": {"matchLabels": {"app": "x"}},
                "namespaceSelector": {"matchLabels": {"tier": "gold"}},
            }
        ]
    }
}


def _careful(raw):
    pod = translate_pod(raw, CONTEXT, SpecInterner())
    assert not isinstance(pod, Unreadable)
    return pod


def _modified(raw) -> Change:
    metadata = raw["metadata"]
    return Change(ChangeKind.MODIFIED, f"{metadata['namespace']}/{metadata['name']}", metadata["uid"], raw)


_VARIANTS = st.fixed_dictionaries(
    {
        "node": st.sampled_from(["", "n1", "n2"]),
        "phase": st.sampled_from(["", "Pending", "Running", "Succeeded", "Failed", "Unknown"]),
        "labels": st.sampled_from([None, {"a": "b"}, {"a": "c"}, {"kai.scheduler/subgroup-name": "x"}]),
        "annotations": st.sampled_from(
            [None, {"pod-group-name": "g"}, {"pod-group-name": "h"}, {"gpu-fraction": "0.5"}, {"note": "1"}]
        ),
        "generation": st.sampled_from([None, 1, 2]),
        "uid": st.sampled_from(["u1", "u2"]),
        "scheduler": st.sampled_from(["kai-scheduler", "default-scheduler"]),
        "spec": st.sampled_from([None, {"schedulingGates": [{"name": "g"}]}, _CLAIM["spec"]]),
        "status": st.sampled_from(
            [
                None,
                {"nominatedNodeName": "n3"},
                _CLAIM["status"],
                {"resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "p-gpu-again"}]},
                {"resourceClaimStatuses": [{"name": "gpu"}]},
                {"extendedResourceClaimStatus": {"resourceClaimName": "p-extended"}},
                {"extendedResourceClaimStatus": {"resourceClaimName": "p-extended-again"}},
                {"conditions": [{"type": "Ready"}]},
            ]
        ),
        "finalizers": st.sampled_from([[], ["x/y"]]),
        "deletionTimestamp": st.sampled_from([None, "2026-11-25T02:00:00Z"]),
    }
)


@given(_VARIANTS, _VARIANTS, st.integers(2, 9))
def test_where_the_quick_reading_answers_it_is_the_careful_one(before, after, version):
    first = raw_pod("p", **{**_some(before), "generation": 1})
    second = raw_pod("p", version=version, **_some(after))
    if before["uid"] == after["uid"] and after["generation"] == 1:
        # What the API server guarantees: the spec of one generation is one spec, but for the node.
        second["spec"] = first["spec"] | ({"nodeName": after["node"]} if after["node"] else {})
    known = _careful(first)

    quick = quick_reading(known, second)

    assert quick is None or quick == _careful(second)


def _some(variant):
    return {key: value for key, value in variant.items() if value is not None or key == "generation"}


@pytest.mark.parametrize(
    "status",
    [{"phase": "Running"}, {"phase": "Succeeded"}, {"phase": "Pending", "conditions": [{"type": "Ready"}]}],
)
def test_events_of_a_running_pod_take_the_quick_way(status):
    known = _careful(raw_pod("p", node="n1", annotations={"pod-group-name": "g"}, **_CLAIM))
    event = raw_pod("p", version=7, node="n1", annotations={"pod-group-name": "g"}, **_CLAIM)
    event["status"] |= status

    assert quick_reading(known, event) == _careful(event)


def test_a_claim_that_was_made_again_is_the_one_that_the_pod_waits_for():
    shelf = PodShelf(CONTEXT)
    shelf.apply(_modified(raw_pod("p", **_CLAIM)))
    again = {"resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "p-gpu-again"}]}

    effect = shelf.apply(_modified(raw_pod("p", version=2, spec=_CLAIM["spec"], status=again)))

    assert effect is Effect.MATERIAL
    assert [one.claim for one in shelf.records["team/p"].claims] == ["team/p-gpu-again"]


def test_a_pod_without_generation_that_gets_its_first_with_a_change_is_read_with_care():
    shelf = PodShelf(CONTEXT)
    shelf.apply(_modified(raw_pod("p", generation=None, spec={"schedulingGates": [{"name": "g"}]})))
    changed = raw_pod("p", version=2, spec={"nodeSelector": {"a": "b"}})

    shelf.apply(_modified(changed))

    assert shelf.records["team/p"] == _careful(changed)


def test_a_pod_that_cannot_be_read_is_reported_and_its_node_is_marked():
    shelf = PodShelf(CONTEXT)
    bad = raw_pod("p", node="n1")
    bad["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "lots"

    assert shelf.apply(_modified(bad)) is Effect.MATERIAL
    assert shelf.unreadable["team/p"].field.endswith("cpu")
    assert shelf.nodes_of_unreadable == {"team/p": "n1"}
    assert shelf.apply(_modified(bad)) is Effect.NOTHING

    shelf.apply(_modified(raw_pod("p", version=2, node="n1", generation=2)))
    assert not shelf.unreadable
    assert not shelf.nodes_of_unreadable


def test_a_malformed_status_of_a_known_pod_is_noticed():
    shelf = PodShelf(CONTEXT)
    shelf.apply(_modified(raw_pod("p", node="n1")))
    bad = deepcopy(raw_pod("p", version=2, node="n1"))
    bad["status"] = ["no", "object"]

    shelf.apply(_modified(bad))

    assert list(shelf.unreadable) == ["team/p"]
    assert not shelf.records


def test_keys_stay_in_order_through_additions_and_removals():
    shelf = PodShelf(CONTEXT)
    for name in ("m", "c", "x", "a"):
        shelf.apply(_modified(raw_pod(name)))
    shelf.apply(Change(ChangeKind.DELETED, "team/c", "uid-c", None))
    shelf.apply(_modified(raw_pod("b")))

    assert [pod.key for pod in shelf.in_order()] == ["team/a", "team/b", "team/m", "team/x"]


def test_namespace_selectors_are_resolved_again_when_labels_of_namespaces_change():
    shelf = PodShelf(TranslateContext(namespaces={"team": {}, "gold": {"tier": "gold"}}))
    shelf.apply(_modified(raw_pod("p", spec={"affinity": _AFFINITY})))
    assert shelf.records["team/p"].spec.pod_anti_affinity[0].namespaces == ("gold",)

    both = {"team": {"tier": "gold"}, "gold": {"tier": "gold"}}
    effect = shelf.namespaces_changed(TranslateContext(namespaces=both))

    assert effect is Effect.MATERIAL
    assert shelf.records["team/p"].spec.pod_anti_affinity[0].namespaces == ("gold", "team")


class _ByOwner:
    """Puts every pod that names no group into the group of its owner."""

    version = 0
    kinds = ()

    def __init__(self):
        self.gone = []

    def pod_seen(self, document):
        owners = document["metadata"].get("ownerReferences")
        return Membership(PodGroupKey(f"team/pg-{owners[0]['name']}"), "workers") if owners else None

    def pod_gone(self, key):
        self.gone.append(key)

    def owner_seen(self, kind, key, document):
        return ()

    def groups(self):
        return ()


def test_the_group_that_the_grouper_told_survives_status_events():
    grouper = _ByOwner()
    shelf = PodShelf(CONTEXT, grouper)
    owners = {"ownerReferences": [{"kind": "Job", "name": "j", "controller": True}]}
    shelf.apply(_modified(raw_pod("p", **owners)))

    shelf.apply(_modified(raw_pod("p", version=2, node="n1", **owners)))
    shelf.apply(_modified(raw_pod("p", version=3, node="n1", phase="Running", **owners)))

    pod = shelf.records["team/p"]
    assert (pod.group, pod.subgroup, pod.state) == ("team/pg-j", "workers", PodState.RUNNING)


def test_a_pod_that_names_its_group_itself_is_no_concern_of_the_grouper():
    grouper = _ByOwner()
    shelf = PodShelf(CONTEXT, grouper)
    owners = {"ownerReferences": [{"kind": "Job", "name": "j", "controller": True}]}
    shelf.apply(_modified(raw_pod("p", **owners)))

    shelf.apply(_modified(raw_pod("p", version=2, annotations={"pod-group-name": "mine"}, **owners)))

    assert shelf.records["team/p"].group == "team/mine"
    assert grouper.gone == ["team/p"]


def _real_shelf() -> tuple[PodShelf, WorkloadGrouper]:
    grouper = WorkloadGrouper(Policy())
    return PodShelf(CONTEXT, grouper), grouper


_JOB = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u-j", "controller": True}


def test_a_pod_that_lost_its_owner_is_a_group_of_its_own():
    shelf, _ = _real_shelf()
    shelf.apply(_modified(raw_pod("p", ownerReferences=[_JOB])))
    assert shelf.records["team/p"].group == "team/pg-j-u-j"

    effect = shelf.apply(_modified(raw_pod("p", version=2)))

    assert effect is Effect.MATERIAL
    assert shelf.records["team/p"].group == "team/p"


def test_an_annotation_that_grouping_reads_counts_also_once_the_pod_is_known():
    shelf, grouper = _real_shelf()
    shelf.apply(_modified(raw_pod("p")))
    level = {"kai.scheduler/topology": "t", "kai.scheduler/topology-required-placement": "rack"}

    effect = shelf.apply(_modified(raw_pod("p", version=2, annotations=level)))

    assert effect is Effect.MATERIAL
    (group,) = grouper.alone()
    assert group.constraint is not None
    assert group.constraint.required_level == "rack"


def test_events_that_mean_nothing_to_grouping_leave_the_groups_alone():
    shelf, grouper = _real_shelf()
    shelf.apply(_modified(raw_pod("p", ownerReferences=[_JOB])))
    version = grouper.version

    shelf.apply(_modified(raw_pod("p", version=2, node="n1", ownerReferences=[_JOB])))

    assert grouper.version == version


def test_a_wrong_annotation_that_is_taken_away_is_forgotten():
    shelf = PodShelf(CONTEXT)
    shelf.apply(_modified(raw_pod("p", annotations={"gpu-fraction": "0.5"})))
    assert shelf.records["team/p"].problem

    effect = shelf.apply(_modified(raw_pod("p", version=2)))

    assert effect is Effect.MATERIAL
    assert not shelf.records["team/p"].problem
