"""A PodGroup that exists follows its workload and keeps what its users chose."""

from copy import deepcopy

from kai_sched.grouping.updates import updates_for
from tests.unit.grouping.documents import LABEL, a_class, a_pod, an_owner, grouped, reference_to, the_manifest


def a_wanted(**metadata):
    owner = reference_to("Job", "j")
    job = an_owner("Job", "j", **metadata)
    return the_manifest(grouped(job, a_pod("j-0", owner=owner), a_class("low", 10)))


def test_object_as_wanted_is_not_written():
    wanted = a_wanted(labels={"team": "x"})

    assert updates_for(deepcopy(wanted), wanted) is None


def test_queue_markings_and_subgroups_of_an_existing_object_are_kept():
    existing = a_wanted()
    existing["spec"] |= {
        "queue": "moved",
        "markUnschedulable": False,
        "schedulingBackoff": 1,
        "minMember": None,
        "minSubGroup": 1,
        "subGroups": [{"name": "a", "minMember": 2}],
    }
    existing["metadata"]["labels"] = {LABEL: "moved"}

    assert updates_for(existing, a_wanted(labels={LABEL: "first"})) is None


def test_labels_of_queue_and_node_pool_are_not_changed():
    existing = a_wanted(labels={LABEL: "kept"})
    wanted = a_wanted(labels={LABEL: "other", "kai.scheduler/node-pool": "p", "team": "x"})

    assert updates_for(existing, wanted) == {"metadata": {"labels": {"team": "x"}}}


def test_topology_is_kept_where_the_workload_asks_for_none_and_replaced_where_it_does():
    existing = a_wanted()
    existing["spec"]["topologyConstraint"] = {"topology": "racks", "preferredTopologyLevel": "rack"}

    assert updates_for(existing, a_wanted()) is None

    asking = a_wanted(
        annotations={"kai.scheduler/topology": "racks", "kai.scheduler/topology-required-placement": "zone"}
    )
    patch = updates_for(existing, asking)
    assert patch is not None
    assert patch["spec"]["topologyConstraint"] == {
        "topology": "racks",
        "requiredTopologyLevel": "zone",
        "preferredTopologyLevel": None,
    }


def test_minimum_class_and_preemptibility_follow_the_workload():
    existing = a_wanted(labels={"kai.scheduler/preemptibility": "preemptible"})
    wanted = a_wanted(
        labels={"priorityClassName": "low"}, annotations={"kai.scheduler/batch-min-member": "3"}
    )

    patch = updates_for(existing, wanted)

    assert patch is not None
    assert patch["spec"] == {"minMember": 3, "priorityClassName": "low", "preemptibility": None}


def test_owner_listed_beside_others_is_enough():
    wanted = a_wanted()
    existing = deepcopy(wanted)
    existing["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] = True
    existing["metadata"]["ownerReferences"].append({"uid": "another"})
    assert updates_for(existing, wanted) is None

    existing["metadata"]["ownerReferences"] = []
    patch = updates_for(existing, wanted)
    assert patch == {"metadata": {"ownerReferences": wanted["metadata"]["ownerReferences"]}}


def test_annotations_of_others_stay():
    existing = a_wanted()
    existing["metadata"]["annotations"]["kai.scheduler/last-start-timestamp"] = "2026-11-21T00:00:00Z"

    assert updates_for(existing, a_wanted(annotations={"note": "n"})) == {
        "metadata": {"annotations": {"note": "n"}}
    }
