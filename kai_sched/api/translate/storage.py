"""Volumes and storage: what ties pods to nodes."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from kai_sched.api.kinds import Raw
from kai_sched.api.translate.fields import (
    FieldError,
    at,
    name_in,
    readable,
    section,
    sections,
    string_map,
    text,
    texts,
)
from kai_sched.api.translate.requests import quantities
from kai_sched.api.translate.selectors import label_selector_of, node_selector_of
from kai_sched.model.selectors import NodeSelector, NodeSelectorTerm, Operator, Requirement
from kai_sched.model.snapshot import Unreadable
from kai_sched.model.volumes import CsiDriver, StorageCapacity, StorageClass, Volume, VolumeClaim

DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"
SELECTED_NODE: Final = "volume.kubernetes.io/selected-node"
BIND_COMPLETED: Final = "pv.kubernetes.io/bind-completed"
_OLD_CLASS: Final = "volume.beta.kubernetes.io/storage-class"
_STORAGE: Final = "storage"
_WAITS: Final = "WaitForFirstConsumer"


def translate_volume_claim(raw: Raw) -> VolumeClaim | Unreadable:
    """One PersistentVolumeClaim."""
    return readable("PersistentVolumeClaim", _volume_claim, raw)


def translate_volume(raw: Raw) -> Volume | Unreadable:
    """One PersistentVolume."""
    return readable("PersistentVolume", _volume, raw)


def translate_storage_class(raw: Raw, tracking: Container[str] = ()) -> StorageClass | Unreadable:
    """One StorageClass; ``tracking``: CSI drivers that publish their capacity."""
    return readable("StorageClass", _storage_class, raw, tracking)


def translate_storage_capacity(raw: Raw) -> StorageCapacity | Unreadable:
    """One CSIStorageCapacity."""
    return readable("CSIStorageCapacity", _storage_capacity, raw)


def translate_csi_driver(raw: Raw) -> CsiDriver | Unreadable:
    """One CSIDriver."""
    return readable("CSIDriver", _csi_driver, raw)


def _volume_claim(raw: Raw) -> VolumeClaim:
    metadata, spec, status = section(raw, "metadata"), section(raw, "spec"), section(raw, "status")
    annotations = section(metadata, "annotations", "metadata")
    namespace = text(metadata, "namespace", "metadata") or "default"
    wanted = _bytes(section(spec, "resources", "spec"), "requests", "spec.resources")
    volume = text(spec, "volumeName", "spec")
    problem = ""
    if text(status, "phase", "status") == "Lost":
        problem = f"is bound to missing PersistentVolume {volume}"
    elif volume and BIND_COMPLETED not in annotations:
        problem = f"is not bound to PersistentVolume {volume} yet"
    return VolumeClaim(
        key=f"{namespace}/{name_in(metadata, 'name', 'metadata')}",
        uid=text(metadata, "uid", "metadata"),
        owner_uid=_controller_of(metadata),
        storage_class=_class_of(spec, annotations),
        volume=volume,
        capacity_bytes=wanted or _bytes(status, "capacity", "status"),
        access_modes=texts(spec, "accessModes", "spec"),
        volume_mode=text(spec, "volumeMode", "spec") or "Filesystem",
        selected_node=text(annotations, SELECTED_NODE, "metadata.annotations"),
        selector=label_selector_of(spec, "selector", "spec"),
        attributes_class=text(spec, "volumeAttributesClassName", "spec"),
        is_deleting=metadata.get("deletionTimestamp") is not None,
        problem=problem,
    )


def _controller_of(metadata: Raw) -> str:
    path = "metadata.ownerReferences"
    owners = sections(metadata, "ownerReferences", "metadata")
    return next((text(owner, "uid", path) for owner in owners if owner.get("controller") is True), "")


def _class_of(spec: Raw, annotations: Raw) -> str:
    """The storage class of a claim or volume: an annotation of old says it before the field does."""
    return text(annotations, _OLD_CLASS, "metadata.annotations") or text(spec, "storageClassName", "spec")


def _volume(raw: Raw) -> Volume:
    metadata, spec = section(raw, "metadata"), section(raw, "spec")
    claim, csi = section(spec, "claimRef", "spec"), section(spec, "csi", "spec")
    affinity = section(spec, "nodeAffinity", "spec")
    return Volume(
        name=name_in(metadata, "name", "metadata"),
        storage_class=_class_of(spec, section(metadata, "annotations", "metadata")),
        claim=f"{text(claim, 'namespace', 'spec.claimRef')}/{name_in(claim, 'name', 'spec.claimRef')}"
        if claim
        else "",
        claim_uid=text(claim, "uid", "spec.claimRef"),
        capacity_bytes=_bytes(spec, "capacity", "spec"),
        access_modes=texts(spec, "accessModes", "spec"),
        volume_mode=text(spec, "volumeMode", "spec") or "Filesystem",
        node_affinity=node_selector_of(affinity, "required", "spec.nodeAffinity"),
        labels=string_map(metadata, "labels", "metadata"),
        csi_driver=text(csi, "driver", "spec.csi"),
        csi_handle=text(csi, "volumeHandle", "spec.csi"),
        attributes_class=text(spec, "volumeAttributesClassName", "spec"),
        phase=text(section(raw, "status"), "phase", "status") or "Available",
        is_deleting=metadata.get("deletionTimestamp") is not None,
    )


def _storage_class(raw: Raw, tracking: Container[str]) -> StorageClass:
    provisioner = text(raw, "provisioner")
    return StorageClass(
        name=name_in(section(raw, "metadata"), "name", "metadata"),
        provisioner=provisioner,
        waits_for_consumer=text(raw, "volumeBindingMode") == _WAITS,
        allowed_topologies=_allowed_topologies(raw),
        has_capacity_tracking=provisioner in tracking,
    )


def _allowed_topologies(raw: Raw) -> NodeSelector | None:
    terms = []
    for index, term in enumerate(sections(raw, "allowedTopologies")):
        path = f"allowedTopologies[{index}]"
        expressions = tuple(
            Requirement(name_in(item, "key", path), Operator.IN, texts(item, "values", path))
            for item in sections(term, "matchLabelExpressions", path)
        )
        terms.append(NodeSelectorTerm(expressions))
    return NodeSelector(tuple(terms)) if terms else None


def _storage_capacity(raw: Raw) -> StorageCapacity:
    limit = "maximumVolumeSize"
    return StorageCapacity(
        storage_class=name_in(raw, "storageClassName"),
        nodes=label_selector_of(raw, "nodeTopology", ""),
        capacity_bytes=_quantity(raw, "capacity") or 0,
        maximum_volume_bytes=_quantity(raw, limit),
    )


def _csi_driver(raw: Raw) -> CsiDriver:
    spec = section(raw, "spec")
    return CsiDriver(
        name=name_in(section(raw, "metadata"), "name", "metadata"),
        tracks_capacity=spec.get("storageCapacity") is True,
        is_awaited=spec.get("preventPodSchedulingIfMissing") is True,
    )


def _bytes(owner: Raw, key: str, path: str) -> int:
    return quantities(owner, key, path).get(_STORAGE, 0)


def _quantity(owner: Raw, key: str, path: str = "") -> int | None:
    value = owner.get(key)
    if value is None:
        return None
    try:
        return quantities({"value": {_STORAGE: value}}, "value", path)[_STORAGE]
    except FieldError as error:
        raise FieldError(at(path, key), error.reason) from error
