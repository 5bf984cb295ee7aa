"""Volumes that tie pods to nodes: claims, volumes and storage classes."""

from __future__ import annotations

from dataclasses import dataclass

from kai_sched.model.selectors import LabelSelector, NodeSelector


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeClaim:
    """A PersistentVolumeClaim. ``volume`` "" while unbound."""

    key: str
    storage_class: str = ""
    volume: str = ""
    capacity_bytes: int = 0
    access_modes: tuple[str, ...] = ()
    volume_mode: str = "Filesystem"
    selected_node: str = ""
    selector_labels: tuple[tuple[str, str], ...] = ()
    is_deleting: bool = False
    unsupported: str = ""
    """A field that decides about nodes and that we do not honour; pods that use the claim are refused with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A PersistentVolume."""

    name: str
    storage_class: str = ""
    claim: str = ""
    """Key of the claim it is bound or pre-bound to."""
    capacity_bytes: int = 0
    access_modes: tuple[str, ...] = ()
    volume_mode: str = "Filesystem"
    node_affinity: NodeSelector | None = None
    labels: tuple[tuple[str, str], ...] = ()
    csi_driver: str = ""
    csi_handle: str = ""
    phase: str = "Available"
    is_deleting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageClass:
    """A StorageClass; ``waits_for_consumer``: WaitForFirstConsumer."""

    name: str
    provisioner: str = ""
    waits_for_consumer: bool = False
    allowed_topologies: NodeSelector | None = None
    has_capacity_tracking: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageCapacity:
    """A CSIStorageCapacity: how much a class can still provision on some nodes.

    ``nodes`` selects by node labels; None: reachable from no node; no requirement: from all.
    """

    storage_class: str
    nodes: LabelSelector | None
    capacity_bytes: int
    maximum_volume_bytes: int | None = None
