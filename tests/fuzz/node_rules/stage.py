"""The stage: puts the objects of a case into the API server, reads them back, and takes them away again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kai_sched.api.trim import trim
from kai_sched.errors import ApiFailure
from kai_sched.localcluster.admin import AdminApi
from kai_sched.localcluster.kinds import kind_of

Document = dict[str, Any]
T = TypeVar("T")

CLAIMS_COME = "example.com/claims-come"
NAMESPACES: dict[str, dict[str, str]] = {
    "team": {"env": "a", "tier": "x"},
    "other": {"env": "b"},
    "third": {"env": "a"},
}
PERMANENT: tuple[Document, ...] = (
    *(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSIDriver",
            "metadata": {"name": name},
            "spec": {"attachRequired": True, **spec},
        }
        for name, spec in {
            "plain.csi.example.com": {},
            "tracked.csi.example.com": {"storageCapacity": True},
            "strict.csi.example.com": {"preventPodSchedulingIfMissing": True},
        }.items()
    ),
    {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": "vm"},
        "handler": "vm",
        "overhead": {"podFixed": {"cpu": "250m", "memory": "64Mi"}},
        "scheduling": {
            "nodeSelector": {"zone": "a"},
            "tolerations": [{"key": "m", "operator": "Exists"}],
        },
    },
)
_HEARD_SECONDS = 0.05
"""Until then kube-scheduler has heard of a claim, which it does by another stream than of the pod."""
_CLEARED = (
    "Pod",
    "PersistentVolumeClaim",
    "PersistentVolume",
    "StorageClass",
    "CSIStorageCapacity",
    "CSINode",
    "Node",
)
_READ = (*_CLEARED, "Namespace", "CSIDriver")


@dataclass
class Case:
    """What there is (in the order of creation), what becomes of it, and the pods to ask about.

    ``layers``: lists of documents; each list is created at once after the one before it. ``statuses``: (kind,
    namespace, name, status) written after that. ``leaving``: (kind, namespace, name) that are deleted and stay.
    """

    seed: int
    layers: list[list[Document]] = field(default_factory=list)
    statuses: list[tuple[str, str, str, Document]] = field(default_factory=list)
    leaving: list[tuple[str, str, str]] = field(default_factory=list)
    probes: list[Document] = field(default_factory=list)
    owners: dict[str, str] = field(default_factory=dict)
    """Probe -> whom the claims of its ephemeral volumes belong to (pod, another, nobody); others have no such claims.

    They can be made only when the pod is there: a scheduling gate holds it until then.
    """


def set_up(api: AdminApi, case: Case) -> None:
    """Creates everything but the probes. What the API server does not take is left out: it is no part of the case."""
    uids: dict[str, str] = {}

    def create(document: Document) -> None:
        claim = document.get("spec", {}).get("claimRef")
        if claim is not None and "uid" in claim:
            key = f"{claim['namespace']}/{claim['name']}"
            claim["uid"] = uids.get(key, "gone") if claim["uid"] == "?" else claim["uid"]
        made = _taken(lambda: api.create(document))
        if made is not None and made["kind"] == "PersistentVolumeClaim":
            uids[f"{made['metadata']['namespace']}/{made['metadata']['name']}"] = made["metadata"]["uid"]

    for layer in case.layers:
        _each(create, layer)
    _each(
        lambda item: _taken(
            lambda: api.patch(item[0], item[2], item[1], body={"status": item[3]}, subresource="status")
        ),
        case.statuses,
    )
    _each(lambda item: api.delete(item[0], item[2], item[1]), case.leaving)


def make_claims(api: AdminApi, pod: Document, owner: str) -> None:
    """Plays the controller of ephemeral volumes for a gated pod, then opens the gate."""
    metadata = pod["metadata"]
    references = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": metadata["name"],
            "uid": metadata["uid"] if owner == "pod" else "another",
            "controller": True,
        }
    ]
    for volume in pod["spec"]["volumes"]:
        if "ephemeral" in volume:
            api.create(
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "metadata": {
                        "name": f"{metadata['name']}-{volume['name']}",
                        "namespace": metadata["namespace"],
                        "ownerReferences": [] if owner == "nobody" else references,
                    },
                    "spec": volume["ephemeral"]["volumeClaimTemplate"]["spec"],
                }
            )
    time.sleep(_HEARD_SECONDS)
    api.patch("Pod", metadata["name"], metadata["namespace"], body={"spec": {"schedulingGates": None}})


def clear(api: AdminApi) -> None:
    """Removes what a case left."""
    for kind in _CLEARED:
        found = [
            item for item in api.list(kind) if not item["metadata"].get("namespace", "").startswith("kube-")
        ]
        _each(lambda item, kind=kind: _remove(api, kind, item), found)


def read_back(api: AdminApi) -> list[Document]:
    """Every object that decisions may depend on, as a snapshot file would hold it."""
    found = []
    for kind in _READ:
        for item in api.list(kind):
            raw = {"apiVersion": kind_of(kind).group_version, "kind": kind, **item}
            kept = trim(raw)
            if kept is not None:
                found.append(kept)
    return found


def _remove(api: AdminApi, kind: str, item: Document) -> None:
    metadata = item["metadata"]
    place = (metadata["name"], metadata.get("namespace", ""))
    if metadata.get("finalizers"):
        _gone(lambda: api.patch(kind, *place, body={"metadata": {"finalizers": None}}))
    _gone(lambda: api.delete(kind, *place, gracePeriodSeconds=0))


def _gone(call: Callable[[], object]) -> None:
    try:
        call()
    except ApiFailure as failure:
        if failure.status != 404:
            raise


def _taken(call: Callable[[], T]) -> T | None:
    try:
        return call()
    except ApiFailure as failure:
        if failure.status in {400, 403, 404, 422}:
            return None
        raise


def _each(do: Callable[[Any], object], items: Iterable[Any]) -> None:
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(do, items):
            pass
