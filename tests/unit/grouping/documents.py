"""Workloads and their pods as the API server sends them, small."""

from __future__ import annotations

from typing import Any

from kai_sched.api.objects import ObjectSet
from kai_sched.grouping.grouper import WorkloadGrouper, grouper_of
from kai_sched.model.policy import Policy

Document = dict[str, Any]

VERSION_OF = {"Job": "batch/v1", "CronJob": "batch/v1", "Pod": "v1", "PyTorchJob": "kubeflow.org/v1"}
LABEL = "kai.scheduler/queue"


def reference_to(kind: str, name: str, **more: Any) -> Document:
    """A controller reference."""
    return {
        "apiVersion": VERSION_OF.get(kind, "apps/v1"),
        "kind": kind,
        "name": name,
        "uid": f"uid-{name}",
        "controller": True,
        **more,
    }


def an_owner(kind: str, name: str, *, owner: Document | None = None, **metadata: Any) -> Document:
    """An owner of pods; only its metadata matters."""
    return {
        "apiVersion": VERSION_OF.get(kind, "apps/v1"),
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": "team",
            "uid": f"uid-{name}",
            **({"ownerReferences": [owner]} if owner else {}),
            **metadata,
        },
        "spec": {},
    }


def a_pod(
    name: str, *, owner: Document | None = None, spec: Document | None = None, **metadata: Any
) -> Document:
    """A pod of ours."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "team",
            "uid": f"uid-{name}",
            **({"ownerReferences": [owner]} if owner else {}),
            **metadata,
        },
        "spec": {"schedulerName": "kai-scheduler", "containers": [{"name": "main"}], **(spec or {})},
    }


def a_class(name: str, value: int, **more: Any) -> Document:
    """A PriorityClass."""
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name},
        "value": value,
        **more,
    }


def grouped(*documents: Document, policy: Policy | None = None) -> WorkloadGrouper:
    """A grouper that has seen these."""
    return grouper_of(ObjectSet(documents), policy or Policy())


def the_group(grouper: WorkloadGrouper, key: str):
    """The group in memory of that key."""
    (found,) = (group for group in (*grouper.groups(), *grouper.alone()) if group.key == key)
    return found


def the_manifest(grouper: WorkloadGrouper) -> Document:
    """The only PodGroup that is to be created."""
    (write,) = grouper.writes()
    assert write.verb == "create"
    return write.document
