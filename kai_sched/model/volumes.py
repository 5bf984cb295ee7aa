"""Volumes that tie pods to nodes: claims, volumes and storage classes."""

from __future__ import annotations

from dataclasses import dataclass

from kai_sched.model.selectors import LabelSelector, NodeSelector


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeClaim:
    """A PersistentVolumeClaim. ``volume`` "" while unbound."""

    key: str
    uid: str = ""
    owner_uid: str = ""
    """Of its controller: the pod for whose ephemeral volume it was made."""
    storage_class: str = ""
    volume: str = ""
    capacity_bytes: int = 0
    access_modes: tuple[str, ...] = ()
    volume_mode: str = "Filesystem"
    selected_node: str = ""
    selector: LabelSelector | None = None
    """What a volume must be labelled with; None: anything."""
    attributes_class: str = ""
    """VolumeAttributesClass; a volume must have the same."""
    is_deleting: bool = False
    problem: str = ""
    """Why no pod can use it as it stands: its volume is lost, or the volume controller is not done with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A PersistentVolume."""

    name: str
    storage_class: str = ""
    claim: str = ""
    """Key of the claim it is bound or pre-bound to."""
    claim_uid: str = ""
    """Of that very claim; "": whichever has the key."""
    capacity_bytes: int = 0
    access_modes: tuple[str, ...] = ()
    volume_mode: str = "Filesystem"
    node_affinity: NodeSelector | None = None
    labels: tuple[tuple[str, str], ...] = ()
    csi_driver: str = ""
    csi_handle: str = ""
    attributes_class: str = ""
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
class CsiDriver:
    """A CSIDriver.

    ``tracks_capacity``: it publishes how much it can still provision. ``is_awaited``: no pod with one of its volumes may
    come to a node on which it is not installed.
    """

    name: str
    tracks_capacity: bool = False
    is_awaited: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageCapacity:
    """A CSIStorageCapacity: how much a class can still provision on some nodes.

    ``nodes`` selects by node labels; None: reachable from no node; no requirement: from all.
    """

    storage_class: str
    nodes: LabelSelector | None
    capacity_bytes: int
    maximum_volume_bytes: int | None = None
