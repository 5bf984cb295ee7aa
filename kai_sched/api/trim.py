"""Trimming: what of an object a snapshot file keeps. Only fields that are read; never env values, arguments or secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kai_sched.api import keys, kinds
from kai_sched.api.kinds import Kind, Raw, kind_of
from kai_sched.api.translate.pod_volumes import config_maps_of

Keep = Mapping[str, "Keep | None"]
"""Field name → what to keep below it; None: all of it."""

_METADATA: Final[Keep] = dict.fromkeys(
    (
        "name",
        "namespace",
        "uid",
        "labels",
        "annotations",
        "ownerReferences",
        "creationTimestamp",
        "deletionTimestamp",
        "finalizers",
        "resourceVersion",
        "generateName",
    )
)
_CONTAINER: Final[Keep] = {
    "name": None,
    "resources": None,
    "ports": {"hostPort": None, "containerPort": None, "protocol": None, "hostIP": None},
    "restartPolicy": None,
    "restartPolicyRules": None,
    "volumeMounts": {"bindMountOptions": None},
}
_CONTAINER_STATUS: Final[Keep] = {"name": None, "allocatedResources": None, "resources": None}
_POD_SPEC: Final[Keep] = {
    **dict.fromkeys(
        (
            "schedulerName",
            "nodeName",
            "priority",
            "priorityClassName",
            "preemptionPolicy",
            "nodeSelector",
            "affinity",
            "tolerations",
            "topologySpreadConstraints",
            "overhead",
            "resources",
            "runtimeClassName",
            "hostNetwork",
            "hostUsers",
            "schedulingGates",
            "schedulingGroup",
            "workloadRef",
            "resourceClaims",
            "terminationGracePeriodSeconds",
        )
    ),
    "containers": _CONTAINER,
    "initContainers": _CONTAINER,
    "volumes": {
        "name": None,
        "persistentVolumeClaim": None,
        "ephemeral": None,
        "gcePersistentDisk": None,
        "awsElasticBlockStore": None,
        "iscsi": {"iqn": None, "readOnly": None},
        "rbd": {"monitors": None, "pool": None, "image": None, "readOnly": None},
    },
}
_POD_STATUS: Final[Keep] = {
    **dict.fromkeys(
        (
            "phase",
            "nominatedNodeName",
            "resourceClaimStatuses",
            "extendedResourceClaimStatus",
            "allocatedResources",
            "resources",
            "startTime",
        )
    ),
    "conditions": {"type": None, "status": None, "reason": None, "lastTransitionTime": None},
    "containerStatuses": _CONTAINER_STATUS,
    "initContainerStatuses": _CONTAINER_STATUS,
}
_KEPT: Final[Mapping[Kind, Keep]] = {
    kinds.POD: {"spec": _POD_SPEC, "status": _POD_STATUS},
    kinds.NODE: {
        "spec": {"taints": None, "unschedulable": None},
        "status": {
            "allocatable": None,
            "conditions": {"type": None, "status": None},
            "declaredFeatures": None,
        },
    },
    kinds.CONFIG_MAP: {},
    kinds.NAMESPACE: {},
    kinds.VOLUME: {
        "spec": {
            **dict.fromkeys(
                (
                    "storageClassName",
                    "claimRef",
                    "capacity",
                    "accessModes",
                    "volumeMode",
                    "volumeAttributesClassName",
                    "nodeAffinity",
                )
            ),
            "csi": {"driver": None, "volumeHandle": None},
        },
        "status": {"phase": None},
    },
    kinds.STORAGE_CLASS: dict.fromkeys(("provisioner", "volumeBindingMode", "allowedTopologies")),
    kinds.REPLICA_SET: {"spec": {"replicas": None}},
    kinds.JOB: {"spec": dict.fromkeys(("parallelism", "completions", "completionMode", "suspend"))},
}
_NEVER_SAVED: Final = frozenset({Kind("", "Secret")})
_DROPPED_ANYWHERE: Final = frozenset(
    {
        "managedFields",
        "env",
        "envFrom",
        "args",
        "command",
        "data",
        "stringData",
        "binaryData",
        "imagePullSecrets",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "lifecycle",
        "securityContext",
    }
)
_READ: Final = frozenset(
    {
        keys.POD_GROUP,
        keys.GPU_FRACTION,
        keys.GPU_MEMORY,
        keys.GPU_FRACTION_DEVICES,
        keys.GPU_FRACTION_CONTAINER,
        keys.MPS,
        keys.GPU_GROUP,
    }
)
_READ_PREFIXES: Final = ("kai.scheduler/", "kai-sched.dev/", "grove.io/", "scheduling.k8s.io/")
"""KAI's, ours, and those of the workloads that name their gangs."""
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def trim(raw: Raw) -> Raw | None:
    """The object as a snapshot keeps it; None where its kind is never saved."""
    kind = kind_of(raw)
    if kind in _NEVER_SAVED:
        return None
    kept = _KEPT.get(kind)
    body = _scrub(raw) if kept is None else _select(raw, kept)
    body["metadata"] = _metadata(raw)
    if kind == kinds.POD:
        _keep_config_map_names(raw, body)
        _keep_annotations_that_are_read(body["metadata"])
    return {"apiVersion": raw["apiVersion"], "kind": raw["kind"], **body}


def _metadata(raw: Raw) -> Raw:
    metadata = _select(raw["metadata"], _METADATA)
    annotations = metadata.get("annotations")
    if isinstance(annotations, dict):
        metadata["annotations"] = {key: value for key, value in annotations.items() if key != _LAST_APPLIED}
    return metadata


def _keep_annotations_that_are_read(metadata: Raw) -> None:
    """Of a pod's own annotations decisions read a few; the others are its owner's business."""
    annotations = metadata.get("annotations")
    if isinstance(annotations, dict):
        kept = {
            key: value for key, value in annotations.items() if key in _READ or key.startswith(_READ_PREFIXES)
        }
        metadata["annotations"] = kept
        if not kept:
            del metadata["annotations"]


def _keep_config_map_names(raw: Raw, body: Raw) -> None:
    """Which ConfigMaps the pod needs, in the one form that says nothing about what is in them."""
    names = config_maps_of(raw.get("spec") or {})
    volumes = [
        {"name": f"config-map-{index}", "configMap": {"name": name}} for index, name in enumerate(names)
    ]
    if volumes:
        body["spec"]["volumes"] = [*body["spec"].get("volumes", ()), *volumes]


def _select(raw: Raw, keep: Keep) -> Raw:
    present = {name: below for name, below in keep.items() if raw.get(name) is not None}
    return {name: raw[name] if below is None else _below(raw[name], below) for name, below in present.items()}


def _below(value: Any, keep: Keep) -> Any:
    """The selection of an object, or of every object of a list; what is left empty says nothing and goes."""
    if isinstance(value, list):
        selected = [_select(item, keep) if isinstance(item, dict) else item for item in value]
        return [item for item in selected if item]
    return _select(value, keep) if isinstance(value, dict) else value


def _scrub(value: Any) -> Any:
    """A kind of object we have no list for: everything but what may hold secrets or is only noise."""
    if isinstance(value, dict):
        return {key: _scrub(item) for key, item in value.items() if key not in _DROPPED_ANYWHERE}
    if isinstance(value, list):
        return [_scrub(item) for item in value]
    return value
