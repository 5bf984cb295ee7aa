"""A part of a GPU as a claim: what KAI's annotations ask for, said in DRA with consumable capacity (KEP-5075).

``gpu-memory`` is an amount. ``gpu-fraction`` is one of the largest shareable device, so that the pod gets its part
wherever it lands. The annotations move under our own prefix: what they asked for is in the claim now, and counted
there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kai_sched.api.keys import GPU_FRACTION_CONTAINER
from kai_sched.api.kinds import Raw
from kai_sched.api.translate.gpu_share import SHARE_ANNOTATIONS
from kai_sched.devices.closures import OPEN
from kai_sched.devices.index import DeviceIndex
from kai_sched.model.workloads import GpuShare

CLAIM_NAME: Final = "gpu-share"
OUR_PREFIX: Final = "kai-sched.dev/"
TEMPLATE_LABEL: Final = f"{OUR_PREFIX}gpu-share"
_REQUEST: Final = "share"
_MEBI: Final = 1 << 20
_MILLIS: Final = 1000

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


def largest_shareable(index: DeviceIndex, sharing: Sharing) -> int:
    """Bytes of the largest device of the class that several claims may share; 0 if there is none."""
    key = (sharing.device_class, (), OPEN)
    if sharing.device_class not in index.classes:
        return 0
    found = 0
    for entry in index.devices:
        capacity = dict(entry.device.capacity).get(sharing.capacity)
        if not entry.device.allow_multiple_allocations or capacity is None:
            continue
        verdict = index.verdict_on(key, entry)
        if not isinstance(verdict, str) and verdict.is_match:
            found = max(found, int(capacity.value))
    return found


def template_of(share: GpuShare, namespace: str, largest_bytes: int, sharing: Sharing) -> Raw:
    """The claim template for a share; equal shares have one of the same name."""
    spec = _claim_spec(share, largest_bytes, sharing)
    mark = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:10]
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaimTemplate",
        "metadata": {
            "name": f"gpu-share-{mark}",
            "namespace": namespace,
            "labels": {TEMPLATE_LABEL: "true"},
        },
        "spec": {"spec": spec},
    }


def patch_of(pod: Raw, template: str) -> Patch:
    """JSON patch that gives the pod a claim from the template in place of its annotations."""
    annotations = pod["metadata"].get("annotations") or {}
    wanted = annotations.get(GPU_FRACTION_CONTAINER)
    patch = [*_moved_annotations(annotations)]
    claim = {"name": CLAIM_NAME, "resourceClaimTemplateName": template}
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


def _claim_spec(share: GpuShare, largest_bytes: int, sharing: Sharing) -> Raw:
    # Rounded down, so that parts that make one device on paper fit on it.
    part = share.portion_millis * largest_bytes // (_MILLIS * _MEBI)
    mebibytes = share.memory_mib or max(1, part)
    request: dict[str, Any] = {
        "deviceClassName": sharing.device_class,
        "allocationMode": "ExactCount",
        "count": share.devices,
        "capacity": {"requests": {sharing.capacity: f"{mebibytes}Mi"}},
    }
    devices: dict[str, Any] = {"requests": [{"name": _REQUEST, "exactly": request}]}
    if share.devices > 1:
        devices["constraints"] = [{"requests": [_REQUEST], "distinctAttribute": sharing.distinct_attribute}]
    if share.mps and sharing.mps is not None:
        driver, parameters = sharing.mps
        opaque = {"driver": driver, "parameters": json.loads(parameters)}
        devices["config"] = [{"requests": [_REQUEST], "opaque": opaque}]
    return {"devices": devices}


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
