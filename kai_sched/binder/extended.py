"""The claim that we make ourselves: for extended resources that a node serves by DRA (KEP-5004).

Made under a name that follows from the pod, so that what an attempt left behind before a crash is found again, and
told in the pod's status before the pod is bound. An attempt that fails takes both back: first the status, then the
claim, because a status that names no claim would hold the pod for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kai_sched.api.dra import EXTENDED_RESOURCE_ANNOTATION
from kai_sched.cluster.ports import Document
from kai_sched.model.plan import ClaimCreation, ClaimPlacement, Placement

FINALIZER: Final = "resource.kubernetes.io/delete-protection"


@dataclass(frozen=True, slots=True)
class PostClaim:
    """Create the claim."""

    document: Document


@dataclass(frozen=True, slots=True)
class DeleteClaim:
    """Delete the claim if it is still this one."""

    uid: str


def document_of(placement: Placement, part: ClaimPlacement, creation: ClaimCreation) -> Document:
    """The claim as it is created."""
    namespace, _, name = part.claim.partition("/")
    requests = [
        {
            "name": request.name,
            "exactly": {
                "deviceClassName": request.device_class,
                "allocationMode": request.mode,
                "count": request.count,
            },
        }
        for request in creation.spec.requests
    ]
    owner = {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": placement.pod.partition("/")[2],
        "uid": placement.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "annotations": {EXTENDED_RESOURCE_ANNOTATION: "true"},
            "ownerReferences": [owner],
        },
        "spec": {"devices": {"requests": requests}},
    }


def is_as_made(wanted: Document, found: Document) -> bool:
    """Whether a claim of that name is the one that we would make now."""
    return _essence(wanted) == _essence(found)


def is_special(document: Document) -> bool:
    """Whether a claim was made by a scheduler for extended resources."""
    annotations = document["metadata"].get("annotations") or {}
    return annotations.get(EXTENDED_RESOURCE_ANNOTATION) == "true"


def told_status(placement: Placement) -> Document | None:
    """Patch of the pod's status that names the claim; None where nothing was made for the pod."""
    for part in placement.claims:
        if part.creation is not None:
            mappings = [
                {
                    "containerName": mapping.container,
                    "resourceName": mapping.resource,
                    "requestName": mapping.request,
                }
                for mapping in part.creation.mappings
            ]
            told = {"resourceClaimName": part.claim.partition("/")[2], "requestMappings": mappings}
            return _status_patch(placement.uid, told)
    return None


def is_told(pod: Document) -> bool:
    """Whether a pod names a claim that was made for it."""
    return bool((pod.get("status") or {}).get("extendedResourceClaimStatus"))


def untold_status(uid: str) -> Document:
    """Patch of the pod's status that takes it back."""
    return _status_patch(uid, None)


def without_finalizer(document: Document) -> Document | None:
    """The claim without the finalizer that keeps it while it is allocated; None if it has none."""
    metadata = document["metadata"]
    finalizers = metadata.get("finalizers") or []
    if FINALIZER not in finalizers:
        return None
    return {
        **document,
        "metadata": {**metadata, "finalizers": [name for name in finalizers if name != FINALIZER]},
    }


def _status_patch(uid: str, told: Document | None) -> Document:
    return {"metadata": {"uid": uid}, "status": {"extendedResourceClaimStatus": told}}


def _essence(document: Document) -> tuple[str, list[tuple[str, str, int]]]:
    owners = document["metadata"].get("ownerReferences") or ()
    owner = next((one["uid"] for one in owners if one.get("controller")), "")
    requests = document["spec"].get("devices", {}).get("requests") or ()
    exact = [(request["name"], request.get("exactly") or {}) for request in requests]
    return owner, sorted(
        (name, str(one.get("deviceClassName")), int(one.get("count") or 1)) for name, one in exact
    )
