"""Numbers of thousands of digits, wherever a text of others may hold one, cost their own object only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from kai_sched.api.objects import ObjectSet
from kai_sched.api.plan_document import plan_document
from kai_sched.api.snapshot import snapshot_of
from kai_sched.grouping import group_objects
from kai_sched.model.policy import Policy
from kai_sched.planning.cycle import plan_cycle
from tests.documents import a_node_document, a_pod_document, a_queue_document
from tests.unit.devices.dra import NOW, a_claim_document, a_class, a_device, a_slice, a_user

Document = dict[str, Any]
ENDLESS = "9" * 5000
VALUES = {
    "digits": ENDLESS,
    "negative": f"-{ENDLESS}",
    "fraction": f"0.{ENDLESS}",
    "exponent": "1e999999999",
    "tiny": "1e-999999999",
    "endless exponent": f"1e{ENDLESS}",
    "foreign digits": "\u0663",
    "twenty digits": "9" * 20,
}
QUEUE = {"kai.scheduler/queue": "team-a"}


def annotated(name: str) -> Callable[[str], list[Document]]:
    return lambda value: [a_pod_document("odd", labels=QUEUE, annotations={name: value})]


def a_labelled_node(name: str) -> Callable[[str], list[Document]]:
    def make(value: str) -> list[Document]:
        node = a_node_document("odd")
        node["metadata"]["labels"][name] = value
        return [node, a_pod_document("odd", labels=QUEUE, annotations={"gpu-memory": "100"})]

    return make


def requesting(value: str) -> list[Document]:
    pod = a_pod_document("odd", labels=QUEUE)
    pod["spec"]["containers"][0]["resources"] = {"requests": {"memory": value}}
    return [pod]


def selecting(value: str) -> list[Document]:
    terms = [{"matchExpressions": [{"key": "rank", "operator": "Gt", "values": [value]}]}]
    node_affinity = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    node = a_node_document("odd")
    node["metadata"]["labels"]["rank"] = value
    spec = {"affinity": {"nodeAffinity": node_affinity}}
    return [node, a_pod_document("odd", labels=QUEUE, spec=spec)]


def offering(value: str) -> list[Document]:
    node = a_node_document("odd")
    node["status"]["allocatable"]["memory"] = value
    return [node]


def publishing(value: str) -> list[Document]:
    return [
        a_slice(a_device("d", capacity={"memory": value}), name="odd"),
        a_claim_document(),
        a_user("odd", "claim"),
    ]


def naming_a_partition(value: str) -> list[Document]:
    pod = a_pod_document("odd", labels=QUEUE)
    limits = {f"nvidia.com/mig-{value}g.80gb": "1", "cpu": "1"}
    pod["spec"]["containers"][0]["resources"] = {"limits": limits}
    return [pod]


def offering_a_partition(value: str) -> list[Document]:
    node = a_node_document("odd")
    node["status"]["allocatable"][f"nvidia.com/mig-{value}g.80gb"] = "1125899906842624"
    return [node, *naming_a_partition(value)]


def publishing_a_partition(value: str) -> list[Document]:
    return [
        a_slice(a_device(f"mig-{value}g", attributes={"profile": {"string": f"{value}g.80gb"}}), name="odd"),
        a_claim_document(),
        a_user("odd", "claim"),
    ]


def ranked(value: str) -> list[Document]:
    return [a_pod_document("odd", labels={**QUEUE, "kai.scheduler/task-priority": value})]


def of_a_job(value: str) -> list[Document]:
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "odd", "uid": "uid-job", "controller": True}
    pod = a_pod_document("odd", labels=QUEUE)
    pod["metadata"]["ownerReferences"] = [owner]
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "odd",
            "namespace": "team",
            "uid": "uid-job",
            "annotations": {"kai.scheduler/batch-min-member": value},
        },
        "spec": {},
    }
    return [job, pod]


PLACES: dict[str, Callable[[str], list[Document]]] = {
    **{
        name: annotated(name)
        for name in (
            "gpu-fraction",
            "gpu-memory",
            "gpu-fraction-num-devices",
            "kai.scheduler/preemption-delay",
            "kai.scheduler/staleness-grace-period",
        )
    },
    "gpu memory label": a_labelled_node("nvidia.com/gpu.memory"),
    "gpu count label": a_labelled_node("nvidia.com/gpu.count"),
    "request": requesting,
    "node affinity": selecting,
    "allocatable": offering,
    "device capacity": publishing,
    "partition": naming_a_partition,
    "partition offered": offering_a_partition,
    "partition published": publishing_a_partition,
    "task priority": ranked,
    "minimum of a job": of_a_job,
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_an_endless_number_harms_nobody_else(place: Callable[[str], list[Document]], value: str) -> None:
    odd = [_typed(document) for document in place(value)]
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}
    good = a_pod_document("good", labels=QUEUE)
    objects = ObjectSet([namespace, a_node_document("n1"), a_queue_document(), _typed(a_class()), good, *odd])

    snapshot = snapshot_of(objects, now=NOW, policy=Policy(), group=group_objects)
    plan = plan_cycle(snapshot, Policy())

    assert "team/good" in {placement.pod for placement in plan.binds}
    assert not any("Exceeds the limit" in str(problem) for problem in snapshot.unreadable)
    orjson.dumps(plan_document(plan))


def _typed(document: Document) -> Document:
    if "kind" in document:
        return document
    kind = "ResourceSlice" if "pool" in document["spec"] else "DeviceClass"
    return {"apiVersion": "resource.k8s.io/v1", "kind": kind, **document}
