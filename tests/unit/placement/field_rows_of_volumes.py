"""Rows of the fields that name volumes."""

from __future__ import annotations

from dataclasses import replace

from kai_sched.model.selectors import (
    LabelSelector,
    Operator,
    Requirement,
)
from kai_sched.model.volumes import StorageCapacity, StorageClass
from kai_sched.placement.rules.elimination import Rule
from tests.builders import GIB, a_node, a_pod, a_spec
from tests.unit.placement.field_row import CLOUD, LOCAL, Row, a_claim, a_volume, labelled, rack

ROWS_OF_VOLUMES = [
    Row(
        "inline_volumes",
        "a disk is mounted once or by readers only",
        a_spec(inline_volumes=(("gcePersistentDisk", "d", True),)),
        "n1 n2 n3",
        Rule.VOLUME_RESTRICTIONS,
        pods=(
            a_pod("a", a_spec(inline_volumes=(("gcePersistentDisk", "d", False),)), node="n0"),
            a_pod("b", a_spec(inline_volumes=(("gcePersistentDisk", "d", True),)), node="n1"),
        ),
    ),
    Row(
        "inline_volumes",
        "an EBS volume is not even shared by readers",
        a_spec(inline_volumes=(("awsElasticBlockStore", "d", True),)),
        "n0 n2 n3",
        Rule.VOLUME_RESTRICTIONS,
        pods=(a_pod("b", a_spec(inline_volumes=(("awsElasticBlockStore", "d", True),)), node="n1"),),
    ),
    Row(
        "volume_claims",
        "a bound claim goes where its volume is",
        a_spec(volume_claims=("data",)),
        "n2",
        Rule.VOLUME_BINDING,
        world={"volume_claims": (a_claim("data", volume="pv"),), "volumes": (a_volume("pv", "n2"),)},
    ),
    Row(
        "volume_claims",
        "a claim that does not exist serves no node",
        a_spec(volume_claims=("data",)),
        "",
        Rule.VOLUME_BINDING,
    ),
    Row(
        "volume_claims",
        "a claim being deleted serves no node",
        a_spec(volume_claims=("data",)),
        "",
        Rule.VOLUME_BINDING,
        world={
            "volume_claims": (a_claim("data", volume="pv", is_deleting=True),),
            "volumes": (a_volume("pv"),),
        },
    ),
    Row(
        "volume_claims",
        "a claim that its volume is not bound to yet serves no node",
        a_spec(volume_claims=("data",)),
        "",
        Rule.VOLUME_BINDING,
        world={
            "volume_claims": (a_claim("data", volume="pv", problem="is not bound to it yet"),),
            "volumes": (a_volume("pv"),),
        },
    ),
    Row(
        "ephemeral_claims",
        "the claim that an older pod of that name left serves no node",
        a_spec(volume_claims=("p-data",), ephemeral_claims=(("p-data", "new"),)),
        "",
        Rule.VOLUME_BINDING,
        world={
            "volume_claims": (a_claim("p-data", volume="pv", owner_uid="old"),),
            "volumes": (a_volume("pv"),),
        },
    ),
    Row(
        "volume_claims",
        "a volume that was reserved for an earlier claim of that name is not free",
        a_spec(volume_claims=("data",)),
        "n2",
        Rule.VOLUME_BINDING,
        world={
            "storage_classes": (LOCAL,),
            "volume_claims": (a_claim("data", access_modes=("ReadWriteOnce",), uid="new"),),
            "volumes": (
                a_volume("pv1", "n1", claim="team/data", claim_uid="old"),
                a_volume("pv2", "n2", claim="team/data", claim_uid="new"),
            ),
        },
    ),
    Row(
        "volume_claims",
        "a free volume must have the claim's attributes class",
        a_spec(volume_claims=("data",)),
        "n2",
        Rule.VOLUME_BINDING,
        world={
            "storage_classes": (LOCAL,),
            "volume_claims": (a_claim("data", attributes_class="gold"),),
            "volumes": (a_volume("pv1", "n1"), a_volume("pv2", "n2", attributes_class="gold")),
        },
    ),
    Row(
        "volume_claims",
        "a driver that must be on the node keeps pods with its volumes off nodes without it",
        a_spec(volume_claims=("data",)),
        "n1 n2",
        Rule.NODE_VOLUME_LIMITS,
        nodes=(
            a_node("n0", missing_drivers=("csi", "other")),
            a_node("n1", missing_drivers=("other",)),
            a_node("n2"),
        ),
        without_allowed="n0 n1 n2",
        world={
            "volume_claims": (a_claim("data", volume="pv"),),
            "volumes": (a_volume("pv", csi_driver="csi", csi_handle="h"),),
        },
    ),
    Row(
        "volume_claims",
        "an unbound claim whose class binds at once must be bound first",
        a_spec(volume_claims=("data",)),
        "",
        Rule.VOLUME_BINDING,
        world={
            "volume_claims": (a_claim("data", storage_class="now"),),
            "storage_classes": (StorageClass(name="now", provisioner="csi.example.com"),),
        },
    ),
    Row(
        "volume_claims",
        "a claim without class must be bound first",
        a_spec(volume_claims=("data",)),
        "",
        Rule.VOLUME_BINDING,
        world={"volume_claims": (a_claim("data", storage_class=""),)},
    ),
    Row(
        "volume_claims",
        "a waiting claim needs a free volume that fits in size, mode, access and labels",
        a_spec(volume_claims=("data",)),
        "n3",
        Rule.VOLUME_BINDING,
        world={
            "storage_classes": (LOCAL,),
            "volume_claims": (
                a_claim(
                    "data",
                    access_modes=("ReadWriteOnce",),
                    selector=LabelSelector((Requirement("fast", Operator.IN, ("yes",)),)),
                ),
            ),
            "volumes": (
                a_volume("small", "n0", capacity_bytes=GIB, labels=(("fast", "yes"),)),
                a_volume("block", "n1", volume_mode="Block", labels=(("fast", "yes"),)),
                a_volume("slow", "n2", access_modes=("ReadWriteOnce",)),
                a_volume("good", "n3", access_modes=("ReadWriteOnce",), labels=(("fast", "yes"),)),
                a_volume("used", "n0", claim="team/x", access_modes=("ReadWriteOnce",)),
                a_volume("gone", "n1", phase="Released", access_modes=("ReadWriteOnce",)),
            ),
        },
    ),
    Row(
        "volume_claims",
        "a volume reserved for the claim is the only one",
        a_spec(volume_claims=("data",)),
        "n1",
        Rule.VOLUME_BINDING,
        world={
            "storage_classes": (LOCAL,),
            "volume_claims": (a_claim("data"),),
            "volumes": (a_volume("free", "n0"), a_volume("own", "n1", claim="team/data")),
        },
    ),
    Row(
        "volume_claims",
        "two waiting claims need two volumes of one node",
        a_spec(volume_claims=("a", "b")),
        "n1",
        Rule.VOLUME_BINDING,
        world={
            "storage_classes": (LOCAL,),
            "volume_claims": (a_claim("a"), a_claim("b", capacity_bytes=5 * GIB)),
            "volumes": (
                a_volume("x", "n0"),
                a_volume("y", "n1"),
                a_volume("z", "n1", capacity_bytes=5 * GIB),
                a_volume("s1", "n2", capacity_bytes=5 * GIB),
                a_volume("s2", "n2", capacity_bytes=5 * GIB),
            ),
        },
    ),
    Row(
        "volume_claims",
        "a class provisions in its allowed topologies only",
        a_spec(volume_claims=("data",)),
        "n0 n1",
        Rule.VOLUME_BINDING,
        world={
            "storage_classes": (replace(CLOUD, allowed_topologies=rack("r0")),),
            "volume_claims": (a_claim("data", storage_class="cloud"),),
        },
    ),
    Row(
        "volume_claims",
        "a class with capacity tracking provisions where there is room",
        a_spec(volume_claims=("data",)),
        "n2 n3",
        Rule.VOLUME_BINDING,
        world={
            "storage_classes": (replace(CLOUD, has_capacity_tracking=True),),
            "volume_claims": (a_claim("data", storage_class="cloud"),),
            "storage_capacities": (
                StorageCapacity(storage_class="cloud", nodes=labelled(rack="r0"), capacity_bytes=GIB),
                StorageCapacity(storage_class="cloud", nodes=labelled(rack="r1"), capacity_bytes=10 * GIB),
                StorageCapacity(
                    storage_class="cloud",
                    nodes=labelled(rack="r0"),
                    capacity_bytes=90 * GIB,
                    maximum_volume_bytes=GIB,
                ),
                StorageCapacity(storage_class="cloud", nodes=None, capacity_bytes=90 * GIB),
                StorageCapacity(storage_class="other", nodes=LabelSelector(), capacity_bytes=90 * GIB),
            ),
        },
    ),
    Row(
        "volume_claims",
        "a claim whose node is selected stays there",
        a_spec(volume_claims=("data",)),
        "n1",
        Rule.VOLUME_BINDING,
        world={
            "storage_classes": (CLOUD,),
            "volume_claims": (a_claim("data", storage_class="cloud", selected_node="n1"),),
        },
    ),
    Row(
        "volume_claims",
        "a volume of another zone is out of reach; a node without zone is not asked",
        a_spec(volume_claims=("data",)),
        "n0 n2 n3",
        Rule.VOLUME_ZONE,
        nodes=(
            a_node("n0", labels={"topology.kubernetes.io/zone": "a"}),
            a_node("n1", labels={"topology.kubernetes.io/zone": "b"}),
            a_node("n2", labels={"topology.kubernetes.io/zone": "c"}),
            a_node("n3"),
        ),
        world={
            "volume_claims": (a_claim("data", volume="pv"),),
            "volumes": (a_volume("pv", labels=(("failure-domain.beta.kubernetes.io/zone", "a__c"),)),),
        },
    ),
    Row(
        "volume_claims",
        "a ReadWriteOncePod claim in use rules out every node",
        a_spec(volume_claims=("data",)),
        "",
        Rule.VOLUME_RESTRICTIONS,
        pods=(a_pod("user", a_spec(volume_claims=("data",)), node="n0"),),
        world={
            "volume_claims": (a_claim("data", volume="pv", access_modes=("ReadWriteOncePod",)),),
            "volumes": (a_volume("pv"),),
        },
    ),
    Row(
        "volume_claims",
        "a node attaches no more volumes than its CSI driver allows, each counted once",
        a_spec(volume_claims=("b",)),
        "n1 n2 n3",
        Rule.NODE_VOLUME_LIMITS,
        nodes=tuple(a_node(f"n{i}", attachable=(("csi", 1),) if i < 3 else ()) for i in range(4)),
        pods=(
            a_pod("x", a_spec(volume_claims=("a",)), node="n0"),
            a_pod("y", a_spec(volume_claims=("b",)), node="n1"),
            a_pod("z", a_spec(volume_claims=("a",)), node="n3"),
        ),
        world={
            "volume_claims": (a_claim("a", volume="pva"), a_claim("b", volume="pvb")),
            "volumes": (
                a_volume("pva", csi_driver="csi", csi_handle="a"),
                a_volume("pvb", csi_driver="csi", csi_handle="b"),
            ),
        },
    ),
]
