"""Every field of a Pod that kube-scheduler's default filters read, from the wire to the plan.

Two nodes: a pod that says nothing goes to n1, so each row must name a field that sends it to n2 or makes it wait. The
rules behind the fields have their own table in ``tests/unit/placement/test_every_pod_field.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from kai_sched.api.objects import ObjectSet
from kai_sched.api.snapshot import snapshot_of
from kai_sched.grouping import group_objects
from kai_sched.model.plan import Blocker, Plan
from kai_sched.model.policy import Policy
from kai_sched.planning.cycle import plan_cycle
from tests.documents import Document, a_node_document, a_pod_document, a_queue_document

POLICY = Policy(use_solver=False, default_queue="team-a")
ALLOCATABLE = {
    "cpu": "8",
    "memory": "16Gi",
    "ephemeral-storage": "10Gi",
    "pods": "3",
    "nvidia.com/gpu": "2",
}


def a_node(
    name: str, *, taints: list[Document] | None = None, cordoned: bool = False, **more: str
) -> Document:
    """A node with its rack; ``more``: allocatable beside the usual."""
    node = a_node_document(name, conditions=[{"type": "Ready", "status": "True"}])
    node["metadata"]["labels"]["rack"] = f"r{name[1:]}"
    node["spec"] = {"taints": taints or [], "unschedulable": cordoned}
    node["status"]["allocatable"] = {
        **ALLOCATABLE,
        **{key.replace("__", "/"): value for key, value in more.items()},
    }
    return node


def asks(**requests: str) -> Document:
    """A container that requests these, ``__`` for ``/`` and ``_`` for ``-``."""
    amounts = {key.replace("__", "/").replace("_", "-"): value for key, value in requests.items()}
    extended = {key: value for key, value in amounts.items() if "/" in key}
    return {"name": "main", "resources": {"requests": amounts, "limits": extended}}


def running(name: str, node: str, labels: dict[str, str] | None = None, **spec: Any) -> Document:
    return a_pod_document(name, labels=labels, spec={"nodeName": node, **spec}, status={"phase": "Running"})


def affinity(kind: str, **content: Any) -> Document:
    return {"affinity": {kind: content}}


def near(app: str) -> list[Document]:
    return [{"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": "rack"}]


def a_volume_claim(name: str, **spec: Any) -> Document:
    bound = {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}} if "volumeName" in spec else {}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "team", **bound},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec},
    }


def a_volume(name: str, claim: str, node: str) -> Document:
    required = {
        "nodeSelectorTerms": [
            {"matchExpressions": [{"key": "rack", "operator": "In", "values": [f"r{node[1:]}"]}]}
        ]
    }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "claimRef": {"namespace": "team", "name": claim},
            "nodeAffinity": {"required": required},
        },
        "status": {"phase": "Bound"},
    }


A_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "late"},
    "provisioner": "csi.example.com",
    "volumeBindingMode": "WaitForFirstConsumer",
    "allowedTopologies": [{"matchLabelExpressions": [{"key": "rack", "values": ["r2"]}]}],
}
TAINT = {"key": "dedicated", "value": "infra", "effect": "NoSchedule"}
DATA = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}
SPREAD = {
    "maxSkew": 1,
    "topologyKey": "rack",
    "whenUnsatisfiable": "DoNotSchedule",
    "labelSelector": {"matchLabels": {"app": "web"}},
}


@dataclass(frozen=True)
class Row:
    """``becomes``: the node, or the blocker of a pod that waits; ``naming``: what its message says."""

    path: str
    becomes: str
    spec: Document = field(default_factory=dict)
    objects: tuple[Document, ...] = ()
    n1: Document = field(default_factory=lambda: a_node("n1"))
    n2: Document = field(default_factory=lambda: a_node("n2"))
    naming: str = ""

    def __str__(self) -> str:
        return self.path


FULL = [asks(cpu="7", memory="15Gi", ephemeral_storage="9Gi")]
ROWS = [
    Row("spec.nodeSelector", "n2", {"nodeSelector": {"rack": "r2"}}),
    Row("spec.nodeSelector (nowhere)", "NodeConstraints", {"nodeSelector": {"rack": "r9"}}),
    Row(
        "spec.affinity.nodeAffinity.required",
        "n2",
        affinity(
            "nodeAffinity",
            requiredDuringSchedulingIgnoredDuringExecution={
                "nodeSelectorTerms": [
                    {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]}
                ]
            },
        ),
    ),
    Row(
        "spec.affinity.nodeAffinity.preferred",
        "n2",
        affinity(
            "nodeAffinity",
            preferredDuringSchedulingIgnoredDuringExecution=[
                {
                    "weight": 1,
                    "preference": {"matchExpressions": [{"key": "rack", "operator": "In", "values": ["r2"]}]},
                }
            ],
        ),
    ),
    Row("spec.tolerations (taint)", "n2", n1=a_node("n1", taints=[TAINT])),
    Row("spec.tolerations (cordon)", "n2", n1=a_node("n1", cordoned=True)),
    Row(
        "spec.affinity.podAffinity",
        "n2",
        affinity("podAffinity", requiredDuringSchedulingIgnoredDuringExecution=near("db")),
        (running("db", "n2", {"app": "db"}), running("big", "n1", containers=FULL)),
    ),
    Row(
        "spec.affinity.podAntiAffinity",
        "n2",
        affinity("podAntiAffinity", requiredDuringSchedulingIgnoredDuringExecution=near("db")),
        (running("db", "n1", {"app": "db"}),),
    ),
    Row(
        "spec.topologySpreadConstraints",
        "n2",
        {"topologySpreadConstraints": [SPREAD]},
        (running("a", "n1", {"app": "web"}),),
    ),
    Row(
        "spec.containers.ports.hostPort",
        "n2",
        {"containers": [{**asks(cpu="1"), "ports": [{"containerPort": 80, "hostPort": 80}]}]},
        (
            running(
                "a", "n1", containers=[{**asks(cpu="1"), "ports": [{"containerPort": 80, "hostPort": 80}]}]
            ),
        ),
    ),
    Row(
        "spec.containers.ports with hostNetwork",
        "n2",
        {"hostNetwork": True, "containers": [{**asks(cpu="1"), "ports": [{"containerPort": 80}]}]},
        (
            running(
                "a", "n1", containers=[{**asks(cpu="1"), "ports": [{"containerPort": 80, "hostPort": 80}]}]
            ),
        ),
    ),
    Row(
        "spec.volumes.persistentVolumeClaim (bound)",
        "n2",
        DATA,
        (a_volume_claim("data", volumeName="pv"), a_volume("pv", "data", "n2")),
    ),
    Row(
        "spec.volumes.persistentVolumeClaim (WaitForFirstConsumer)",
        "n2",
        DATA,
        (a_volume_claim("data", storageClassName="late"), A_CLASS),
    ),
    Row("spec.volumes.persistentVolumeClaim (missing)", "NodeConstraints", DATA, naming="data"),
    Row(
        "spec.volumes.ephemeral",
        "n2",
        {"volumes": [{"name": "data", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}]},
        (
            {
                **(claim := a_volume_claim("new-data", storageClassName="late")),
                "metadata": {
                    **claim["metadata"],
                    "ownerReferences": [
                        {
                            "apiVersion": "v1",
                            "kind": "Pod",
                            "name": "new",
                            "uid": "uid-new",
                            "controller": True,
                        }
                    ],
                },
            },
            A_CLASS,
        ),
    ),
    Row(
        "spec.volumes.gcePersistentDisk",
        "n2",
        {"volumes": [{"name": "disk", "gcePersistentDisk": {"pdName": "d"}}]},
        (running("a", "n1", volumes=[{"name": "disk", "gcePersistentDisk": {"pdName": "d"}}]),),
    ),
    Row("spec.schedulingGates", "GangNotReady", {"schedulingGates": [{"name": "example.com/wait"}]}),
    Row(
        "spec.containers.resources (cpu)",
        "n2",
        {"containers": [asks(cpu="2")]},
        (running("a", "n1", containers=FULL),),
    ),
    Row(
        "spec.containers.resources (memory)",
        "n2",
        {"containers": [asks(memory="2Gi")]},
        (running("a", "n1", containers=FULL),),
    ),
    Row(
        "spec.containers.resources (ephemeral-storage)",
        "n2",
        {"containers": [asks(ephemeral_storage="2Gi")]},
        (running("a", "n1", containers=FULL),),
    ),
    Row(
        "spec.containers.resources (extended)",
        "n2",
        {"containers": [asks(**{"example.com__widget": "1"})]},
        n2=a_node("n2", **{"example.com__widget": "1"}),
    ),
    Row(
        "spec.containers (the number of pods)", "n2", objects=tuple(running(f"a{n}", "n1") for n in range(3))
    ),
    Row(
        "spec.containers (their sum)",
        "n2",
        {"containers": [asks(cpu="1"), {**asks(cpu="1"), "name": "second"}]},
        (running("a", "n1", containers=FULL),),
    ),
    Row(
        "spec.initContainers",
        "n2",
        {"initContainers": [{**asks(cpu="2"), "name": "init"}]},
        (running("a", "n1", containers=FULL),),
    ),
    Row(
        "spec.initContainers.restartPolicy (sidecar)",
        "n2",
        {"initContainers": [{**asks(cpu="1"), "name": "side", "restartPolicy": "Always"}]},
        (running("a", "n1", containers=FULL),),
    ),
    Row("spec.overhead", "n2", {"overhead": {"cpu": "1"}}, (running("a", "n1", containers=FULL),)),
    Row(
        "spec.resources",
        "n2",
        {"resources": {"requests": {"cpu": "2"}}},
        (running("a", "n1", containers=FULL),),
    ),
    Row(
        "spec.resourceClaims",
        "GangNotReady",
        {"resourceClaims": [{"name": "gpu", "resourceClaimName": "gone"}]},
        naming="gone",
    ),
    Row(
        "spec.runtimeClassName",
        "NodeConstraints",
        {"runtimeClassName": "kata-qemu-nvidia-gpu-snp"},
        naming="trusted execution environment",
    ),
    Row(
        "spec.hostUsers with hostNetwork",
        "Unsupported",
        {"hostNetwork": True, "hostUsers": False},
        naming="spec.hostUsers",
    ),
    Row("spec.workloadRef", "Unsupported", {"workloadRef": {"name": "w"}}, naming="spec.workloadRef"),
    Row(
        "spec.containers.restartPolicyRules",
        "Unsupported",
        {"containers": [{**asks(cpu="1"), "restartPolicyRules": [{"action": "RestartAllContainers"}]}]},
        naming="spec.containers.restartPolicyRules",
    ),
]


def the_plan(row: Row, spec: Document) -> Plan:
    new = a_pod_document("new", labels={"app": "web"}, spec=spec)
    objects = ObjectSet([row.n1, row.n2, a_queue_document(), new, *row.objects])
    return plan_cycle(snapshot_of(objects, now=1_800_000_000.0, policy=POLICY, group=group_objects), POLICY)


def outcome(plan: Plan) -> tuple[str, str]:
    """(node or blocker, message) of the new pod."""
    verdict = next(verdict for verdict in plan.verdicts if verdict.pod_group == "team/new")
    bind = next((bind for bind in plan.binds if bind.pod == "team/new"), None)
    if bind is not None:
        return bind.node, verdict.message
    return str(verdict.blocker), verdict.message


def test_a_pod_that_says_nothing_goes_to_the_first_node():
    assert outcome(the_plan(Row("", ""), {})) == ("n1", "1 pod placed")


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_field_decides(row: Row):
    becomes, message = outcome(the_plan(row, row.spec))

    assert becomes == row.becomes, message
    assert row.naming in message


@pytest.mark.parametrize("row", [row for row in ROWS if row.spec and row.becomes in {"n1", "n2"}], ids=str)
def test_without_the_field_the_first_node_serves(row: Row):
    assert outcome(the_plan(row, {}))[0] == "n1"


def test_blockers_of_the_table_are_real():
    assert {row.becomes for row in ROWS} - {"n1", "n2"} <= {blocker.value for blocker in Blocker}
