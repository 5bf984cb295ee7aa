"""Volumes: that a pod's node reaches those that it has, and that those the plan gives it can be had there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from kai_sched.model.nodes import Node
from kai_sched.model.plan import Placement
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.volumes import StorageClass, Volume, VolumeClaim
from kai_sched.model.workloads import Pod, PodSpec
from kai_sched.placement.checker.books import Books
from kai_sched.placement.checker.labels import holds, selects_labels, selects_node
from kai_sched.placement.checker.violation import Violation, ViolationKind

_NO_PROVISIONER: Final = ("", "kubernetes.io/no-provisioner")
_ZONES: Final = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")
_BETA: Final = {
    "failure-domain.beta.kubernetes.io/zone": _ZONES[0],
    "failure-domain.beta.kubernetes.io/region": _ZONES[1],
}


@dataclass(frozen=True, slots=True)
class Shelf:
    """The volume objects of a snapshot by name."""

    snapshot: ClusterSnapshot
    claims: dict[str, VolumeClaim] = field(init=False)
    volumes: dict[str, Volume] = field(init=False)
    classes: dict[str, StorageClass] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "claims", {one.key: one for one in self.snapshot.volume_claims})
        object.__setattr__(self, "volumes", {one.name: one for one in self.snapshot.volumes})
        object.__setattr__(self, "classes", {one.name: one for one in self.snapshot.storage_classes})

    def claims_of(self, spec: PodSpec) -> list[VolumeClaim]:
        """A pod's claims that exist."""
        keys = [f"{spec.namespace}/{name}" for name in spec.volume_claims]
        return [self.claims[key] for key in keys if key in self.claims]

    def attached(self, spec: PodSpec) -> set[tuple[str, str]]:
        """(CSI driver, volume) of what a pod brings to its node; a claim without volume counts under its own key."""
        found: set[tuple[str, str]] = set()
        for claim in self.claims_of(spec):
            volume, storage_class = self.volumes.get(claim.volume), self.classes.get(claim.storage_class)
            if volume is not None:
                if volume.csi_driver:
                    found.add((volume.csi_driver, volume.csi_handle))
            elif storage_class is not None and storage_class.provisioner not in _NO_PROVISIONER:
                found.add((storage_class.provisioner, claim.key))
        return found


def check_volumes(books: Books) -> Iterator[Violation]:
    """Every pod with claims for volumes, then what the plan decides for claims that have none yet."""
    with_volumes = [
        (pod, placement)
        for pod, placement in books.newcomers(in_future=True)
        if pod.spec.volume_claims or placement.volumes
    ]
    if not with_volumes:
        return
    shelf = Shelf(books.snapshot)
    decided: dict[str, tuple[str, str]] = {}
    taken: dict[str, str] = {}
    waiting = {placement.pod for placement in books.pipelined}
    for pod, placement in with_volumes:
        node = books.nodes[placement.node]
        for message in _wrong_with(shelf, pod, node):
            yield Violation(ViolationKind.STATIC_RULE, pod.key, f"node {node.name}: {message}")
        if pod.key not in waiting:
            for message in _wrong_decisions(shelf, pod, placement, node, decided, taken):
                yield Violation(ViolationKind.DYNAMIC_RULE, pod.key, f"node {node.name}: {message}")
        elif placement.volumes:
            yield Violation(ViolationKind.DYNAMIC_RULE, pod.key, "waits, yet volumes are bound for it")


def _wrong_with(shelf: Shelf, pod: Pod, node: Node) -> Iterator[str]:
    spec = pod.spec
    for name in spec.volume_claims:
        claim = shelf.claims.get(f"{spec.namespace}/{name}")
        if claim is None:
            yield f"PersistentVolumeClaim {name} does not exist"
            continue
        yield from (f"PersistentVolumeClaim {name} {text}" for text in _unusable(shelf, claim, node))
    for name, uid in spec.ephemeral_claims:
        claim = shelf.claims.get(f"{spec.namespace}/{name}")
        if claim is not None and claim.owner_uid != uid:
            yield f"PersistentVolumeClaim {name} was not made for it"
    for driver in sorted({driver for driver, _ in shelf.attached(spec)} & set(node.missing_drivers)):
        yield f"it lacks CSI driver {driver}"


def _unusable(shelf: Shelf, claim: VolumeClaim, node: Node) -> Iterator[str]:
    if claim.is_deleting or claim.problem:
        yield claim.problem or "is being deleted"
    elif claim.volume:
        volume = shelf.volumes.get(claim.volume)
        if volume is None:
            yield f"is bound to {claim.volume}, which does not exist"
        elif not _reaches(volume, node):
            yield f"is bound to {claim.volume}, which it does not reach"
    elif not _ways(shelf, claim, node):
        yield "can get no volume there"


def _reaches(volume: Volume, node: Node) -> bool:
    if volume.node_affinity is not None and not selects_node(volume.node_affinity, node):
        return False
    labels = dict(node.labels)
    if not any(key in labels for key in (*_ZONES, *_BETA)):
        return True
    for key, values in volume.labels:
        if key in _ZONES or key in _BETA:
            # A node may say by today's label what the volume says by the old one.
            own = labels.get(key, labels.get(_BETA.get(key, key)))
            if own not in values.split("__"):
                return False
    return True


def _ways(shelf: Shelf, claim: VolumeClaim, node: Node) -> bool:
    """Whether an unbound claim could get a volume on a node at all."""
    storage_class = shelf.classes.get(claim.storage_class)
    if storage_class is None or not storage_class.waits_for_consumer:
        return False
    if _can_be_made(shelf, claim, storage_class, node):
        return True
    return not claim.selected_node and any(
        _fits(volume, claim) and _is_near(volume, node) for volume in shelf.volumes.values()
    )


def _is_near(volume: Volume, node: Node) -> bool:
    return volume.node_affinity is None or selects_node(volume.node_affinity, node)


def _can_be_made(shelf: Shelf, claim: VolumeClaim, storage_class: StorageClass, node: Node) -> bool:
    if storage_class.provisioner in _NO_PROVISIONER or claim.selected_node not in ("", node.name):
        return False
    allowed = storage_class.allowed_topologies
    if allowed is not None and not selects_node(allowed, node):
        return False
    if not storage_class.has_capacity_tracking or not claim.capacity_bytes:
        return True
    labels = dict(node.labels)
    return any(
        one.storage_class == storage_class.name
        and one.nodes is not None
        and all(holds(part, labels.get(part.key)) for part in one.nodes.requirements)
        and claim.capacity_bytes
        <= (one.capacity_bytes if one.maximum_volume_bytes is None else one.maximum_volume_bytes)
        for one in shelf.snapshot.storage_capacities
    )


def _fits(volume: Volume, claim: VolumeClaim) -> bool:
    """Whether a free volume is what a claim asks for; one that names the claim need only be large enough."""
    if (
        volume.is_deleting
        or volume.claim not in ("", claim.key)
        or volume.claim_uid not in ("", claim.uid)
        or volume.capacity_bytes < claim.capacity_bytes
        or (volume.storage_class, volume.volume_mode, volume.attributes_class)
        != (claim.storage_class, claim.volume_mode, claim.attributes_class)
    ):
        return False
    if volume.claim:
        return True
    return (
        volume.phase == "Available"
        and set(claim.access_modes) <= set(volume.access_modes)
        and (claim.selector is None or selects_labels(claim.selector, dict(volume.labels)))
    )


def _wrong_decisions(
    shelf: Shelf,
    pod: Pod,
    placement: Placement,
    node: Node,
    decided: dict[str, tuple[str, str]],
    taken: dict[str, str],
) -> Iterator[str]:
    """``decided``: claim -> (volume, node if one is made); ``taken``: volume -> claim; both so far in the plan."""
    unbound = {claim.key for claim in shelf.claims_of(pod.spec) if not claim.volume}
    named = sorted(entry.claim for entry in placement.volumes)
    if named != sorted(unbound):
        yield f"volumes are bound for claims {named}, those without volume are {sorted(unbound)}"
    for entry in placement.volumes:
        claim, volume = shelf.claims.get(entry.claim), shelf.volumes.get(entry.volume)
        if claim is None:
            continue
        if claim.uid != entry.uid:
            yield f"claim {claim.key} has uid {claim.uid}, the plan means {entry.uid}"
        choice = (entry.volume, "" if entry.volume else node.name)
        if decided.setdefault(claim.key, choice) != choice:
            yield f"claim {claim.key} gets another volume for another pod"
        storage_class = shelf.classes.get(claim.storage_class)
        if not entry.volume:
            if storage_class is None or not _can_be_made(shelf, claim, storage_class, node):
                yield f"no volume can be made there for claim {claim.key}"
        elif volume is None or not _fits(volume, claim) or not _is_near(volume, node):
            yield f"volume {entry.volume} does not serve claim {claim.key} there"
        elif taken.setdefault(volume.name, claim.key) != claim.key:
            yield f"volume {volume.name} is given to {claim.key} and {taken[volume.name]}"
