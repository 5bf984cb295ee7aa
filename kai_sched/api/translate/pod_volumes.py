"""What of a pod's volumes decides where it may run: claims, exclusive disks, ConfigMaps that must exist."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kai_sched.api.kinds import Raw
from kai_sched.api.translate.fields import FieldError, flag, name_in, section, sections, text, texts

EVERYWHERE: Final = "kube-root-ca.crt"
"""kube-controller-manager puts this ConfigMap into every namespace."""
InlineDisk = tuple[str, str, bool]
"""(kind, id, read only)."""


def volume_claims_of(spec: Raw, pod_name: str) -> tuple[str, ...]:
    """Names of PersistentVolumeClaims; an ephemeral volume's claim is named after pod and volume."""
    found = []
    for volume in sections(spec, "volumes", "spec"):
        if volume.get("persistentVolumeClaim") is not None:
            claim = section(volume, "persistentVolumeClaim", "spec.volumes")
            found.append(name_in(claim, "claimName", "spec.volumes.persistentVolumeClaim"))
        elif volume.get("ephemeral") is not None:
            found.append(_ephemeral_name(volume, pod_name))
    return tuple(found)


def ephemeral_claims_of(spec: Raw, pod_name: str, pod_uid: str) -> tuple[tuple[str, str], ...]:
    """(claim, uid of the pod that it must belong to) of the pod's ephemeral volumes."""
    volumes = sections(spec, "volumes", "spec")
    return tuple(
        (_ephemeral_name(volume, pod_name), pod_uid)
        for volume in volumes
        if volume.get("persistentVolumeClaim") is None and volume.get("ephemeral") is not None
    )


def _ephemeral_name(volume: Raw, pod_name: str) -> str:
    return f"{pod_name}-{name_in(volume, 'name', 'spec.volumes')}"


def inline_disks_of(spec: Raw) -> tuple[InlineDisk, ...]:
    """In-tree disks that two pods cannot always mount at once (VolumeRestrictions)."""
    found: list[InlineDisk] = []
    for volume in sections(spec, "volumes", "spec"):
        found.extend(_disks(volume))
    return tuple(found)


def config_maps_of(spec: Raw) -> tuple[str, ...]:
    """ConfigMaps without which the pod cannot start (KAI's predicate): volumes and environment, not optional."""
    names = {name for name in _config_map_names(spec) if name and name != EVERYWHERE}
    return tuple(sorted(names))


def _disks(volume: Raw) -> Iterator[InlineDisk]:
    path = "spec.volumes"
    if volume.get("gcePersistentDisk") is not None:
        disk = section(volume, "gcePersistentDisk", path)
        yield "gcePersistentDisk", name_in(disk, "pdName", path), flag(disk, "readOnly", path)
    if volume.get("awsElasticBlockStore") is not None:
        # AWS disks conflict also when both mount read-only.
        yield (
            "awsElasticBlockStore",
            name_in(section(volume, "awsElasticBlockStore", path), "volumeID", path),
            False,
        )
    if volume.get("iscsi") is not None:
        target = section(volume, "iscsi", path)
        yield "iscsi", name_in(target, "iqn", path), flag(target, "readOnly", path)
    if volume.get("rbd") is not None:
        disk = section(volume, "rbd", path)
        image = f"{text(disk, 'pool', path) or 'rbd'}/{name_in(disk, 'image', path)}"
        # One entry a monitor: two clusters are the same where they share one.
        for monitor in texts(disk, "monitors", path):
            yield "rbd", f"{monitor}/{image}", flag(disk, "readOnly", path)


def _config_map_names(spec: Raw) -> Iterator[str]:
    for volume in sections(spec, "volumes", "spec"):
        yield _required_name(section(volume, "configMap", "spec.volumes"))
        projected = section(volume, "projected", "spec.volumes")
        for source in sections(projected, "sources", "spec.volumes.projected"):
            yield _required_name(section(source, "configMap", "spec.volumes.projected.sources"))
    for key in ("containers", "initContainers"):
        for container in sections(spec, key, "spec"):
            for source in sections(container, "envFrom", f"spec.{key}"):
                yield _required_name(section(source, "configMapRef", f"spec.{key}.envFrom"))
            for variable in sections(container, "env", f"spec.{key}"):
                origin = section(variable, "valueFrom", f"spec.{key}.env")
                yield _required_name(section(origin, "configMapKeyRef", f"spec.{key}.env.valueFrom"))


def _required_name(reference: Raw) -> str:
    name = reference.get("name", "")
    if not isinstance(name, str):
        raise FieldError("configMap.name", "must be a string")
    return "" if reference.get("optional") else name
