"""Nodes, topologies, storage and priority classes of the wire."""

from __future__ import annotations

from typing import Any

import pytest

from kai_sched.api.objects import ObjectSet
from kai_sched.api.snapshot import snapshot_of
from kai_sched.api.translate import (
    PriorityTable,
    Unreadable,
    translate_csi_driver,
    translate_csi_node,
    translate_namespace,
    translate_node,
    translate_storage_capacity,
    translate_storage_class,
    translate_topology,
    translate_volume,
    translate_volume_claim,
)
from kai_sched.model.nodes import Node
from kai_sched.model.policy import Policy
from kai_sched.model.selectors import (
    LabelSelector,
    NodeSelector,
    NodeSelectorTerm,
    Operator,
    Requirement,
    Taint,
)
from kai_sched.model.topology import Level, Topology
from kai_sched.model.volumes import CsiDriver, StorageCapacity, StorageClass, Volume, VolumeClaim
from tests.documents import a_node_document, a_topology_document

GIB = 1 << 30


def named(name: str, namespace: str = "", **parts: Any) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **parts.pop("metadata", {})}
    return {"metadata": metadata, **parts}


def test_a_node_is_read() -> None:
    raw = a_node_document(conditions=[{"type": "Ready", "status": "True"}])
    raw["spec"] = {"unschedulable": True, "taints": [{"key": "gpu", "effect": "NoSchedule"}]}

    node = translate_node(raw)

    assert isinstance(node, Node)
    assert dict(node.allocatable) == {"cpu": 64_000, "memory": 512 * GIB, "pods": 110, "nvidia.com/gpu": 8}
    assert (node.is_cordoned, node.is_ready) == (True, True)
    assert node.taints == (Taint("gpu", "", "NoSchedule"),)


def test_a_node_has_the_drivers_of_its_csi_node_and_lacks_those_that_it_should_have() -> None:
    drivers = [{"name": "csi.example.com", "allocatable": {"count": 16}}, {"name": "here.example.com"}]
    objects = [
        a_node_document("n1"),
        a_node_document("n2"),
        named("n1", apiVersion="storage.k8s.io/v1", kind="CSINode", spec={"drivers": drivers}),
        *(
            named(name, apiVersion="storage.k8s.io/v1", kind="CSIDriver", spec=spec)
            for name, spec in {
                "here.example.com": {"preventPodSchedulingIfMissing": True},
                "gone.example.com": {"preventPodSchedulingIfMissing": True},
                "lax.example.com": {},
            }.items()
        ),
    ]

    one, two = snapshot_of(ObjectSet(objects), now=0.0, policy=Policy()).fleet.nodes

    assert one.attachable == (("csi.example.com", 16),)
    assert one.missing_drivers == ("gone.example.com",)
    assert two.missing_drivers == ("gone.example.com", "here.example.com")


@pytest.mark.parametrize(
    ("conditions", "ready"), [([], True), ([("Ready", "False")], False), ([("Ready", "Unknown")], False)]
)
def test_a_node_is_ready_unless_its_kubelet_says_otherwise(
    conditions: list[tuple[str, str]], ready: bool
) -> None:
    raw = a_node_document(conditions=[{"type": kind, "status": status} for kind, status in conditions])

    node = translate_node(raw)

    assert isinstance(node, Node)
    assert node.is_ready is ready


@pytest.mark.parametrize(("value", "memory"), [("81920", 81920), ("80Gi", 0), ("", 0)])
def test_the_memory_of_a_gpu_is_read_from_the_label_that_the_policy_names(value, memory) -> None:
    raw = a_node_document()
    raw["metadata"]["labels"] |= {"example.com/memory": value, "nvidia.com/gpu.memory": "1"}
    policy = Policy(gpu_memory_label="example.com/memory")

    snapshot = snapshot_of(ObjectSet([raw]), now=0.0, policy=policy)

    assert [node.gpu_memory_mib for node in snapshot.fleet.nodes] == [memory]


def test_a_node_without_allocatable_offers_its_capacity() -> None:
    node = translate_node({"metadata": {"name": "n"}, "status": {"capacity": {"cpu": "2"}}})

    assert isinstance(node, Node)
    assert node.allocatable == (("cpu", 2000),)


def test_a_bad_quantity_of_a_node_is_named() -> None:
    node = translate_node(a_node_document(allocatable={"cpu": "many"}))

    assert isinstance(node, Unreadable)
    assert str(node) == "Node n1: status.allocatable.cpu: 'many' is not a quantity"


def test_a_driver_of_a_csi_node_may_have_no_limit() -> None:
    raw = named("n1", spec={"drivers": [{"name": "b", "allocatable": {"count": 3}}, {"name": "a"}]})

    assert translate_csi_node(raw) == ("n1", (("a", None), ("b", 3)))


def test_a_topology_keeps_the_order_of_its_levels() -> None:
    topology = translate_topology(
        a_topology_document("t", {"nodeLabel": "zone", "alias": "z"}, {"nodeLabel": "rack"})
    )

    assert topology == Topology("t", (Level("zone", "z"), Level("rack")))


@pytest.mark.parametrize(
    ("levels", "path"),
    [
        ([("a", ""), ("a", "")], "spec.levels[1].nodeLabel"),
        ([("a", "x"), ("b", "x")], "spec.levels[1].alias"),
        ([("a", "b"), ("b", "")], "spec.levels[1].nodeLabel"),
        ([("a", ""), ("b", "a")], "spec.levels[1].alias"),
        ([("kubernetes.io/hostname", ""), ("a", "")], "spec.levels[0].nodeLabel"),
        ([(f"l{index}", "") for index in range(17)], "spec.levels"),
    ],
)
def test_levels_that_contradict_each_other_are_a_problem(levels: list[tuple[str, str]], path: str) -> None:
    documents = [{"nodeLabel": label, **({"alias": alias} if alias else {})} for label, alias in levels]

    topology = translate_topology(a_topology_document("t", *documents))

    assert isinstance(topology, Topology)
    assert topology.problem.startswith(f"{path}: ")


def test_a_volume_claim_is_read() -> None:
    raw = named(
        "data",
        "team",
        metadata={
            "annotations": {
                "volume.kubernetes.io/selected-node": "n1",
                "pv.kubernetes.io/bind-completed": "yes",
            },
            "deletionTimestamp": "2026-11-21T00:00:00Z",
            "ownerReferences": [{"uid": "a"}, {"uid": "b", "controller": True}],
        },
        spec={
            "storageClassName": "fast",
            "volumeName": "pv1",
            "accessModes": ["ReadWriteOncePod"],
            "resources": {"requests": {"storage": "10Gi"}},
            "selector": {
                "matchLabels": {"tier": "a"},
                "matchExpressions": [{"key": "zone", "operator": "Exists"}],
            },
            "volumeAttributesClassName": "gold",
        },
    )

    assert translate_volume_claim(raw) == VolumeClaim(
        key="team/data",
        owner_uid="b",
        storage_class="fast",
        volume="pv1",
        capacity_bytes=10 * GIB,
        access_modes=("ReadWriteOncePod",),
        selected_node="n1",
        selector=LabelSelector(
            (Requirement("tier", Operator.IN, ("a",)), Requirement("zone", Operator.EXISTS))
        ),
        attributes_class="gold",
        is_deleting=True,
    )


@pytest.mark.parametrize(
    ("annotations", "status", "problem"),
    [
        ({"pv.kubernetes.io/bind-completed": "yes"}, {}, ""),
        ({}, {}, "is not bound to PersistentVolume pv1 yet"),
        (
            {"pv.kubernetes.io/bind-completed": "yes"},
            {"phase": "Lost"},
            "is bound to missing PersistentVolume pv1",
        ),
    ],
)
def test_a_volume_claim_is_bound_when_the_volume_controller_is_done(annotations, status, problem) -> None:
    raw = named(
        "data", "team", metadata={"annotations": annotations}, spec={"volumeName": "pv1"}, status=status
    )

    claim = translate_volume_claim(raw)

    assert isinstance(claim, VolumeClaim)
    assert claim.problem == problem


def test_the_annotation_of_old_names_the_class_before_the_field_does() -> None:
    annotations = {"volume.beta.kubernetes.io/storage-class": "old"}
    raw = named("data", "team", metadata={"annotations": annotations}, spec={"storageClassName": "new"})

    claim, volume = translate_volume_claim(raw), translate_volume(raw)

    assert isinstance(claim, VolumeClaim)
    assert isinstance(volume, Volume)
    assert claim.storage_class == volume.storage_class == "old"


def test_a_volume_is_read() -> None:
    affinity = {
        "required": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["z"]}]}]
        }
    }
    raw = named(
        "pv1",
        metadata={"labels": {"topology.kubernetes.io/zone": "z"}},
        spec={
            "capacity": {"storage": "1Gi"},
            "claimRef": {"namespace": "team", "name": "data", "uid": "u"},
            "csi": {"driver": "d", "volumeHandle": "h"},
            "nodeAffinity": affinity,
            "storageClassName": "fast",
            "volumeMode": "Block",
        },
        status={"phase": "Bound"},
    )

    assert translate_volume(raw) == Volume(
        name="pv1",
        storage_class="fast",
        claim="team/data",
        claim_uid="u",
        capacity_bytes=GIB,
        volume_mode="Block",
        node_affinity=NodeSelector((NodeSelectorTerm((Requirement("zone", Operator.IN, ("z",)),)),)),
        labels=(("topology.kubernetes.io/zone", "z"),),
        csi_driver="d",
        csi_handle="h",
        phase="Bound",
    )


def test_a_storage_class_is_read() -> None:
    raw = named(
        "fast",
        provisioner="d",
        volumeBindingMode="WaitForFirstConsumer",
        allowedTopologies=[{"matchLabelExpressions": [{"key": "zone", "values": ["a", "b"]}]}],
    )

    assert translate_storage_class(raw, {"d"}) == StorageClass(
        name="fast",
        provisioner="d",
        waits_for_consumer=True,
        allowed_topologies=NodeSelector((NodeSelectorTerm((Requirement("zone", Operator.IN, ("a", "b")),)),)),
        has_capacity_tracking=True,
    )


def test_a_csi_driver_is_read() -> None:
    raw = named("d", spec={"storageCapacity": True, "preventPodSchedulingIfMissing": True})

    assert translate_csi_driver(raw) == CsiDriver(name="d", tracks_capacity=True, is_awaited=True)
    assert translate_csi_driver(named("e")) == CsiDriver(name="e")


def test_a_storage_capacity_is_read() -> None:
    raw = named(
        "c",
        "kube-system",
        storageClassName="fast",
        capacity="5Gi",
        nodeTopology={"matchLabels": {"zone": "a"}},
    )

    assert translate_storage_capacity(raw) == StorageCapacity(
        storage_class="fast",
        nodes=LabelSelector((Requirement("zone", Operator.IN, ("a",)),)),
        capacity_bytes=5 * GIB,
    )


def test_a_namespace_has_its_name_as_a_label() -> None:
    assert translate_namespace(named("a", metadata={"labels": {"x": "1"}})) == (
        "a",
        {"kubernetes.io/metadata.name": "a", "x": "1"},
    )


def test_the_global_default_is_the_priority_of_groups_without_class() -> None:
    table, unreadable = PriorityTable.build(
        [named("normal", value=70, globalDefault=True), named("high", value=900), named("bad", value="x")]
    )

    assert (table.value(""), table.value("high"), table.value("train")) == (70, 900, 50)
    assert [problem.key for problem in unreadable] == ["bad"]
    assert PriorityTable().value("") == 50
