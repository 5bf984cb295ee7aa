"""The part of a pod that decides where it may run, as an interned ``PodSpec``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import orjson

from kai_sched.api.keys import WHOLE_GPU
from kai_sched.api.kinds import Raw
from kai_sched.api.translate.affinity import (
    Namespaces,
    pod_affinity_terms,
    preferred_node_affinity,
    required_node_affinity,
    topology_spread,
)
from kai_sched.api.translate.fields import FieldError, Labels, integer, section, sections, string_map, text
from kai_sched.api.translate.gpu_share import SHARE_ANNOTATIONS, gpu_share_of
from kai_sched.api.translate.interner import SpecInterner
from kai_sched.api.translate.pod_volumes import (
    config_maps_of,
    ephemeral_claims_of,
    inline_disks_of,
    volume_claims_of,
)
from kai_sched.api.translate.requests import effective_requests, extended_requests, is_sidecar
from kai_sched.api.translate.selectors import tolerations_of
from kai_sched.api.translate.unsupported import unsupported_fields
from kai_sched.model.resources import amount_of
from kai_sched.model.workloads import HostPort, PodSpec

_PLAIN: Final = (
    "nodeSelector",
    "affinity",
    "tolerations",
    "topologySpreadConstraints",
    "overhead",
    "resources",
    "runtimeClassName",
    "hostNetwork",
    "hostUsers",
    "schedulingGroup",
    "workloadRef",
)
_VOLUMES: Final = (
    "persistentVolumeClaim",
    "configMap",
    "projected",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "iscsi",
    "rbd",
)
_LISTS: Final = ("containers", "initContainers", "volumes")
_CONTAINER: Final = ("name", "resources", "ports", "restartPolicy", "restartPolicyRules", "envFrom")
POD_TEXT_BYTES: Final = 64 * 1024
"""A decision reads no more of one pod: whoever needs more pays for it by not being scheduled, not with our memory."""
MOST_LABELS: Final = 256
_ANY_LABEL_KEYS: Final = b"abelKeys"
_NAMESPACE_SELECTOR: Final = b"namespaceSelector"


class TooMuchText(FieldError):
    """A pod says more than a decision may read of it."""


def spec_of(raw: Raw, namespaces: Namespaces, interner: SpecInterner) -> PodSpec:
    """The spec of one pod, shared with all alike."""
    metadata = raw["metadata"]
    labels = interner.labels(metadata.get("labels") or {})
    try:
        key = _key_of(raw, labels, namespaces)
    except (AttributeError, TypeError, ValueError):
        # Some field has a wrong type: the careful reading says which.
        build_spec(raw, labels, namespaces)
        raise
    if len(key) > POD_TEXT_BYTES:
        raise TooMuchText(
            _longest(raw["spec"]), f"is too long: a decision reads {POD_TEXT_BYTES // 1024} KiB of a pod"
        )
    if len(labels) > MOST_LABELS:
        raise TooMuchText("metadata.labels", f"are {len(labels)}, more than {MOST_LABELS}")
    return interner.spec(key, labels, lambda: build_spec(raw, labels, namespaces))


def build_spec(raw: Raw, labels: Labels, namespaces: Namespaces) -> PodSpec:
    """Read every field; labels are left out, the interner adds them.

    Raises:
        FieldError: a field has a value that it cannot have.
    """
    metadata = section(raw, "metadata")
    spec, status = section(raw, "spec"), section(raw, "status")
    namespace = text(metadata, "namespace", "metadata") or "default"
    name = text(metadata, "name", "metadata")
    affinity = section(spec, "affinity", "spec")
    requests = effective_requests(spec, status)
    share, _ = gpu_share_of(section(metadata, "annotations", "metadata"), amount_of(requests, WHOLE_GPU))
    return PodSpec(
        namespace=namespace,
        requests=requests,
        gpu_share=share,
        node_selector=string_map(spec, "nodeSelector", "spec"),
        required_node_affinity=required_node_affinity(affinity),
        preferred_node_affinity=preferred_node_affinity(affinity),
        tolerations=tolerations_of(spec, "tolerations", "spec"),
        pod_affinity=pod_affinity_terms(affinity, "podAffinity", namespace, labels, namespaces),
        pod_anti_affinity=pod_affinity_terms(affinity, "podAntiAffinity", namespace, labels, namespaces),
        topology_spread=topology_spread(spec, labels),
        host_ports=_host_ports(spec),
        volume_claims=volume_claims_of(spec, name),
        ephemeral_claims=ephemeral_claims_of(spec, name, text(metadata, "uid", "metadata")),
        inline_volumes=inline_disks_of(spec),
        config_maps=config_maps_of(spec),
        runtime_class=text(spec, "runtimeClassName", "spec"),
        extended=extended_requests(spec),
        unsupported=unsupported_fields(spec),
    )


def _key_of(raw: Raw, labels: Labels, namespaces: Namespaces) -> bytes:
    """Everything that ``build_spec`` reads, and nothing that differs between alike pods."""
    metadata, spec = raw["metadata"], raw["spec"]
    annotations = metadata.get("annotations") or {}
    parts = [
        metadata.get("namespace"),
        [spec.get(name) for name in _PLAIN],
        [_container_parts(container) for container in spec.get("containers") or ()],
        [_container_parts(container) for container in spec.get("initContainers") or ()],
        list(_volume_parts(spec.get("volumes") or [], metadata)),
        [annotations.get(name) for name in SHARE_ANNOTATIONS],
        _resize_parts(raw.get("status") or {}) if spec.get("nodeName") else None,
    ]
    key = orjson.dumps(parts)
    if _ANY_LABEL_KEYS in key:
        key += orjson.dumps(labels)
    if _NAMESPACE_SELECTOR in key:
        key += orjson.dumps(namespaces, option=orjson.OPT_SORT_KEYS)
    return key


def _longest(spec: Raw) -> str:
    """The field that most of the text is in."""
    sizes = {name: len(orjson.dumps(spec[name])) for name in (*_PLAIN, *_LISTS) if spec.get(name)}
    return f"spec.{max(sizes, key=lambda name: sizes[name])}" if sizes else "metadata.annotations"


def _container_parts(container: Raw) -> list[object]:
    parts: list[object] = [container.get(name) for name in _CONTAINER]
    env = container.get("env")
    if env:
        parts.append([variable["valueFrom"] for variable in env if "valueFrom" in variable])
    mounts = container.get("volumeMounts")
    if mounts:
        parts.append([mount for mount in mounts if "bindMountOptions" in mount])
    return parts


def _volume_parts(volumes: list[Raw], metadata: Raw) -> Iterator[object]:
    for volume in volumes:
        if "ephemeral" in volume:
            yield [metadata["name"], metadata.get("uid"), volume["name"]]
        for name in _VOLUMES:
            if name in volume:
                yield [name, volume[name]]


def _resize_parts(status: Raw) -> list[object]:
    """What the kubelet holds for the pod, which differs from the spec while it is being resized."""
    return [
        status.get("resources"),
        status.get("allocatedResources"),
        [condition.get("reason") for condition in status.get("conditions") or () if _is_resize(condition)],
        [
            (item.get("name"), item.get("allocatedResources"), (item.get("resources") or {}).get("requests"))
            for key in ("containerStatuses", "initContainerStatuses")
            for item in status.get(key) or ()
        ],
    ]


def _is_resize(condition: Raw) -> bool:
    return condition.get("type") == "PodResizePending"


def _host_ports(spec: Raw) -> tuple[HostPort, ...]:
    """Ports of containers that run all the time; with hostNetwork every port is one, as the API server defaults it."""
    on_host = spec.get("hostNetwork") is True
    running = list(sections(spec, "containers", "spec"))
    running += [item for item in sections(spec, "initContainers", "spec") if is_sidecar(item)]
    found = []
    for container in running:
        for index, raw in enumerate(sections(container, "ports", "spec.containers")):
            path = f"spec.containers.ports[{index}]"
            port = integer(raw, "hostPort", path) or (integer(raw, "containerPort", path) if on_host else 0)
            if not port:
                continue
            if not 0 < port < 1 << 16:
                raise FieldError(f"{path}.hostPort", f"must be 1 to 65535, is {port}")
            found.append(HostPort(port, text(raw, "protocol", path) or "TCP", text(raw, "hostIP", path)))
    return tuple(found)
