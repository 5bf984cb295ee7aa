"""A part of a GPU as a claim: what KAI's annotations ask for, said in DRA.

By consumable capacity (KEP-5075) each pod has a claim of its own from a template. ``gpu-memory`` is an amount,
``gpu-fraction`` one of the largest shareable device, so that the pod gets its part wherever it lands. Where a device
goes to one claim only, several pods name one claim and each has a part by the claim's book; the smallest device says
what part an amount is. The annotations move under our own prefix: what they asked for is in the claim now, and counted
there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kai_sched.api.keys import GPU_FRACTION_CONTAINER, SHARE, SHARE_TICKET
from kai_sched.api.kinds import Raw
from kai_sched.api.translate.gpu_share import SHARE_ANNOTATIONS
from kai_sched.model.workloads import GpuShare

CLAIM_NAME: Final = "gpu-share"
OUR_PREFIX: Final = "kai-sched.dev/"
_REQUEST: Final = "share"
_MEBI: Final = 1 << 20
_MILLIS: Final = 1000
_MICROS: Final = 1_000_000

Patch = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """How parts of devices are asked for; vendors are in here and nowhere else."""

    device_class: str
    capacity: str = "memory"
    """The capacity, in bytes, that a part is measured in."""
    distinct_attribute: str = "resource.kubernetes.io/pciBusID"
    """Tells devices apart where a pod wants a part of several."""
    mps: tuple[str, str] | None = None
    """(driver, parameters as JSON) of the configuration that annotation ``mps`` stands for."""
    time_slicing: tuple[str, str] | None = None
    """The configuration of shared claims without that annotation."""


def template_of(share: GpuShare, namespace: str, largest_bytes: int, sharing: Sharing) -> Raw:
    """The claim template for a share; equal shares have one of the same name."""
    spec = _consuming_spec(share, largest_bytes, sharing)
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaimTemplate",
        "metadata": {
            "name": f"gpu-share-{_mark(spec)}",
            "namespace": namespace,
            "labels": {SHARE: "true"},
        },
        "spec": {"spec": spec},
    }


def shared_claim_of(share: GpuShare, namespace: str, name: str, sharing: Sharing) -> Raw:
    """The claim that pods with such shares name together; its label is the mark of what it asks for."""
    spec = _whole_spec(share, sharing)
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": name, "namespace": namespace, "labels": {SHARE: _mark(spec)}},
        "spec": spec,
    }


def part_of(share: GpuShare, smallest_bytes: int) -> int:
    """Thousandths of one device, for a portion rounded down so that what makes one device on paper fits on it.

    An amount is measured by the smallest device, rounded up. 0: nothing to measure it by.
    """
    if share.portion_micros:
        return max(1, share.portion_micros // _MILLIS)
    if not smallest_bytes:
        return 0
    return -(-share.memory_mib * _MEBI * _MILLIS // smallest_bytes)


@dataclass(frozen=True, slots=True)
class Given:
    """What a pod gets in place of its annotations."""

    source: str
    """``resourceClaimName`` or ``resourceClaimTemplateName``."""
    name: str
    ticket: str = ""
    """Its entry in the book of the claim."""


def patch_of(pod: Raw, given: Given) -> Patch:
    """JSON patch that gives the pod its claim in place of its annotations."""
    metadata = pod["metadata"]
    annotations = metadata.get("annotations") or {}
    wanted = annotations.get(GPU_FRACTION_CONTAINER)
    patch = [*_moved_annotations(annotations)]
    if given.ticket:
        path = f"/metadata/annotations/{_escaped(SHARE_TICKET)}"
        patch.append({"op": "add", "path": path, "value": given.ticket})
    if metadata.get("labels") is None:
        patch.append({"op": "add", "path": "/metadata/labels", "value": {}})
    patch.append({"op": "add", "path": f"/metadata/labels/{_escaped(SHARE)}", "value": given.name})
    claim = {"name": CLAIM_NAME, given.source: given.name}
    patch.append(_appended("/spec/resourceClaims", pod["spec"].get("resourceClaims"), claim))
    path, container = _container(pod["spec"], wanted)
    if container.get("resources") is None:
        patch.append({"op": "add", "path": f"{path}/resources", "value": {}})
    claims = (container.get("resources") or {}).get("claims")
    patch.append(_appended(f"{path}/resources/claims", claims, {"name": CLAIM_NAME}))
    return patch


def has_container(pod: Raw) -> bool:
    """Whether the container that the annotations name exists."""
    wanted = (pod["metadata"].get("annotations") or {}).get(GPU_FRACTION_CONTAINER)
    return wanted is None or any(
        container["name"] == wanted
        for part in ("containers", "initContainers")
        for container in pod["spec"].get(part) or ()
    )


def _consuming_spec(share: GpuShare, largest_bytes: int, sharing: Sharing) -> Raw:
    # Rounded down, so that parts that make one device on paper fit on it.
    part = share.portion_micros * largest_bytes // (_MICROS * _MEBI)
    mebibytes = share.memory_mib or max(1, part)
    request = {
        **_request(share, sharing),
        "capacity": {"requests": {sharing.capacity: f"{mebibytes}Mi"}},
    }
    spec = _spec(request, sharing.mps if share.mps else None)
    if share.devices > 1:
        constraint = {"requests": [_REQUEST], "distinctAttribute": sharing.distinct_attribute}
        spec["devices"]["constraints"] = [constraint]
    return spec


def _whole_spec(share: GpuShare, sharing: Sharing) -> Raw:
    return _spec(_request(share, sharing), sharing.mps if share.mps else sharing.time_slicing)


def _request(share: GpuShare, sharing: Sharing) -> dict[str, Any]:
    return {
        "deviceClassName": sharing.device_class,
        "allocationMode": "ExactCount",
        "count": share.devices,
    }


def _spec(request: Raw, config: tuple[str, str] | None) -> dict[str, Any]:
    devices: dict[str, Any] = {"requests": [{"name": _REQUEST, "exactly": request}]}
    if config is not None:
        driver, parameters = config
        opaque = {"driver": driver, "parameters": json.loads(parameters)}
        devices["config"] = [{"requests": [_REQUEST], "opaque": opaque}]
    return {"devices": devices}


def _mark(spec: Raw) -> str:
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:10]


def _moved_annotations(annotations: Raw) -> Iterator[dict[str, Any]]:
    for name in SHARE_ANNOTATIONS:
        if name in annotations:
            yield {"op": "remove", "path": f"/metadata/annotations/{_escaped(name)}"}
            moved = _escaped(f"{OUR_PREFIX}{name}")
            yield {"op": "add", "path": f"/metadata/annotations/{moved}", "value": annotations[name]}


def _container(spec: Raw, wanted: object) -> tuple[str, Raw]:
    for part in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(part) or ()):
            if wanted is None or container["name"] == wanted:
                return f"/spec/{part}/{index}", container
    raise AssertionError("has_container was asked first")


def _appended(path: str, known: Sequence[object] | None, item: Raw) -> dict[str, Any]:
    if known is None:
        return {"op": "add", "path": path, "value": [item]}
    return {"op": "add", "path": f"{path}/-", "value": item}


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
