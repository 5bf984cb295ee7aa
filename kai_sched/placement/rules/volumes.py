"""Volumes of a pod: which nodes can reach them, by the rules of kube-scheduler's VolumeBinding and VolumeZone.

A bound claim ties the pod to the nodes of its volume. An unbound one must wait for its consumer: then a node
serves if a free volume matches there, or if the class can provision there.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np

from kai_sched.model.ids import NodeName
from kai_sched.model.selectors import Operator, Requirement
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.volumes import StorageCapacity, StorageClass, Volume, VolumeClaim
from kai_sched.model.workloads import PodSpec
from kai_sched.placement.node_table import Mask, NodeTable
from kai_sched.placement.rules.elimination import Rule, Sieve
from kai_sched.placement.rules.matching import selects

NO_PROVISIONER: Final = "kubernetes.io/no-provisioner"
READ_WRITE_ONCE_POD: Final = "ReadWriteOncePod"
_ZONE: Final = "topology.kubernetes.io/zone"
_REGION: Final = "topology.kubernetes.io/region"
_CURRENT_LABEL: Final = {
    _ZONE: _ZONE,
    _REGION: _REGION,
    "failure-domain.beta.kubernetes.io/zone": _ZONE,
    "failure-domain.beta.kubernetes.io/region": _REGION,
}
_ZONE_SEPARATOR: Final = "__"


@dataclass(frozen=True, slots=True)
class Decision:
    """Where an unbound claim gets its volume: ``volume`` is taken, or "" and one is made for the node (an index)."""

    node: int
    volume: str


NOTHING_DECIDED: Final[Mapping[str, Decision]] = MappingProxyType({})
"""Claim key -> decision."""


@dataclass(frozen=True, slots=True)
class VolumesView:
    """The volume objects of a snapshot by name."""

    claims: dict[str, VolumeClaim] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    classes: dict[str, StorageClass] = field(default_factory=dict)
    capacities: tuple[StorageCapacity, ...] = ()

    @classmethod
    def of(cls, snapshot: ClusterSnapshot) -> VolumesView:
        """The view of one snapshot."""
        return cls(
            claims={claim.key: claim for claim in snapshot.volume_claims},
            volumes={
                volume.name: volume for volume in sorted(snapshot.volumes, key=lambda volume: volume.name)
            },
            classes={storage_class.name: storage_class for storage_class in snapshot.storage_classes},
            capacities=snapshot.storage_capacities,
        )

    def claims_of(self, spec: PodSpec) -> tuple[VolumeClaim, ...]:
        """The pod's claims that exist."""
        keys = (f"{spec.namespace}/{name}" for name in spec.volume_claims)
        return tuple(self.claims[key] for key in keys if key in self.claims)

    def keep_reachable(self, table: NodeTable, spec: PodSpec, sieve: Sieve) -> None:
        """Keep the nodes on which all volumes of the pod can be had."""
        if not spec.volume_claims:
            return
        problem = self._problem(spec)
        if problem:
            sieve.drop_all(Rule.VOLUME_BINDING, f"cannot serve it: {problem}")
            return
        for claim in self.claims_of(spec):
            if claim.volume:
                self._keep_bound(table, claim, sieve)
        self.keep_bindable(table, self.unbound_claims(spec), sieve)
        self._keep_equipped(table, spec, sieve)

    def unbound_claims(self, spec: PodSpec) -> tuple[VolumeClaim, ...]:
        """Claims that get a volume once a pod of theirs has a node, smallest first."""
        waiting = [
            claim for claim in self.claims_of(spec) if not claim.volume and not self._problem_of(claim)
        ]
        return tuple(sorted(waiting, key=lambda claim: claim.capacity_bytes))

    def choose(
        self,
        table: NodeTable,
        waiting: Iterable[VolumeClaim],
        node: int,
        decided: Mapping[str, Decision] = NOTHING_DECIDED,
    ) -> dict[str, Decision]:
        """What unbound claims that are not decided get on a node where ``keep_bindable`` lets them be."""
        taken = {decision.volume for decision in decided.values()}
        found: dict[str, Decision] = {}
        for claim in waiting:
            if claim.key in decided:
                continue
            volume = "" if claim.selected_node else self._first_free(table, claim, node, taken)
            taken.add(volume)
            found[claim.key] = Decision(node, volume)
        return found

    def _first_free(self, table: NodeTable, claim: VolumeClaim, node: int, taken: Container[str]) -> str:
        for volume in self.candidates(claim):
            affinity = volume.node_affinity
            if volume.name not in taken and (affinity is None or table.match(affinity)[node]):
                return volume.name
        return ""

    def attachments(self, spec: PodSpec) -> tuple[tuple[str, str], ...]:
        """(CSI driver, volume handle) of every volume that counts against a node's limit.

        A claim without a volume counts under its own key at the driver that will provision it.
        """
        found = set()
        for claim in self.claims_of(spec):
            volume = self.volumes.get(claim.volume)
            if volume is not None:
                if volume.csi_driver:
                    found.add((volume.csi_driver, volume.csi_handle))
            elif claim.storage_class in self.classes:
                driver = self.classes[claim.storage_class].provisioner
                if driver and driver != NO_PROVISIONER:
                    found.add((driver, claim.key))
        return tuple(sorted(found))

    def exclusive_claims(self, spec: PodSpec) -> tuple[str, ...]:
        """Keys of the pod's claims that one pod alone may use (ReadWriteOncePod)."""
        return tuple(claim.key for claim in self.claims_of(spec) if READ_WRITE_ONCE_POD in claim.access_modes)

    def candidates(self, claim: VolumeClaim) -> tuple[Volume, ...]:
        """Free volumes that an unbound claim may take, smallest first; one bound to it beforehand is the only one."""
        fitting = [volume for volume in self.volumes.values() if _is_large_enough(volume, claim)]
        reserved = tuple(volume for volume in fitting if volume.claim == claim.key)
        if reserved:
            return reserved[:1]
        matching = [volume for volume in fitting if _matches(volume, claim)]
        return tuple(sorted(matching, key=lambda volume: volume.capacity_bytes))

    def _problem(self, spec: PodSpec) -> str:
        """What makes the pod's volumes unusable on every node; "" if nothing does."""
        for name in spec.volume_claims:
            key = f"{spec.namespace}/{name}"
            claim = self.claims.get(key)
            if claim is None:
                return f"PersistentVolumeClaim {key} does not exist"
            problem = self._problem_of(claim)
            if problem:
                return f"PersistentVolumeClaim {key} {problem}"
        for name, uid in spec.ephemeral_claims:
            key = f"{spec.namespace}/{name}"
            if self.claims[key].owner_uid != uid:
                return f"PersistentVolumeClaim {key} was not made for it"
        return ""

    def _problem_of(self, claim: VolumeClaim) -> str:
        if claim.is_deleting:
            return "is being deleted"
        if claim.problem:
            return claim.problem
        if claim.volume:
            return (
                "" if claim.volume in self.volumes else f"is bound to missing PersistentVolume {claim.volume}"
            )
        if not claim.storage_class:
            return "has no storage class and is not bound yet"
        storage_class = self.classes.get(claim.storage_class)
        if storage_class is None:
            return f"names storage class {claim.storage_class}, which does not exist"
        return "" if storage_class.waits_for_consumer else "is not bound yet and its class binds at once"

    def _keep_equipped(self, table: NodeTable, spec: PodSpec, sieve: Sieve) -> None:
        if not any(node.missing_drivers for node in table.nodes):
            return
        for driver in dict.fromkeys(driver for driver, _ in self.attachments(spec)):
            equipped = np.array([driver not in node.missing_drivers for node in table.nodes], dtype=bool)
            sieve.keep(equipped, Rule.NODE_VOLUME_LIMITS, f"lack CSI driver {driver}")

    def _keep_bound(self, table: NodeTable, claim: VolumeClaim, sieve: Sieve) -> None:
        volume = self.volumes[claim.volume]
        if volume.node_affinity is not None:
            reason = f"cannot reach PersistentVolume {volume.name}"
            sieve.keep(table.match(volume.node_affinity), Rule.VOLUME_BINDING, reason)
        zones = _zones(table, volume)
        if zones is not None:
            sieve.keep(zones, Rule.VOLUME_ZONE, f"are in another zone than PersistentVolume {volume.name}")

    def keep_bindable(
        self,
        table: NodeTable,
        waiting: Iterable[VolumeClaim],
        sieve: Sieve,
        decided: Mapping[str, Decision] = NOTHING_DECIDED,
    ) -> None:
        """Every node gives its volumes to the smallest claims first; what is left must be provisioned there.

        ``waiting``: sorted so. What is ``decided``, of these claims or of others, stands.
        """
        taken = {
            decision.volume: np.ones(len(table), dtype=bool)
            for decision in decided.values()
            if decision.volume
        }
        for claim in waiting:
            served = np.zeros(len(table), dtype=bool)
            if claim.key in decided:
                self._keep_decided(table, claim, decided[claim.key], sieve)
                continue
            if claim.selected_node:
                chosen = table.index_of.get(NodeName(claim.selected_node), -1)
                reason = f"are not {claim.selected_node}, where {claim.key} is being provisioned"
                sieve.keep(np.arange(len(table)) == chosen, Rule.VOLUME_BINDING, reason)
            else:
                self._bind_existing(table, claim, taken, served)
            self._keep_provisioning(table, claim, served, sieve)

    def _keep_decided(self, table: NodeTable, claim: VolumeClaim, decision: Decision, sieve: Sieve) -> None:
        if not decision.volume:
            reason = f"are not where the volume of {claim.key} is to be made"
            sieve.keep(np.arange(len(table)) == decision.node, Rule.VOLUME_BINDING, reason)
            return
        affinity = self.volumes[decision.volume].node_affinity
        if affinity is not None:
            reason = f"cannot reach PersistentVolume {decision.volume}, which {claim.key} takes"
            sieve.keep(table.match(affinity), Rule.VOLUME_BINDING, reason)

    def _bind_existing(
        self, table: NodeTable, claim: VolumeClaim, taken: dict[str, Mask], served: Mask
    ) -> None:
        for volume in self.candidates(claim):
            here = ~served
            if volume.node_affinity is not None:
                here &= table.match(volume.node_affinity)
            if volume.name in taken:
                here &= ~taken[volume.name]
                taken[volume.name] |= here
            else:
                taken[volume.name] = here
            served |= here

    def _keep_provisioning(self, table: NodeTable, claim: VolumeClaim, served: Mask, sieve: Sieve) -> None:
        storage_class = self.classes[claim.storage_class]
        if storage_class.provisioner in {"", NO_PROVISIONER}:
            sieve.keep(served, Rule.VOLUME_BINDING, f"have no free volume for {claim.key}")
            return
        if storage_class.allowed_topologies is not None:
            allowed = table.match(storage_class.allowed_topologies)
            reason = f"are outside the allowed topologies of storage class {storage_class.name}"
            sieve.keep(served | allowed, Rule.VOLUME_BINDING, reason)
        if storage_class.has_capacity_tracking and claim.capacity_bytes:
            room = self._storage_room(table, claim)
            reason = f"have too little room in storage class {storage_class.name} for {claim.key}"
            sieve.keep(served | room, Rule.VOLUME_BINDING, reason)

    def _storage_room(self, table: NodeTable, claim: VolumeClaim) -> Mask:
        room = np.zeros(len(table), dtype=bool)
        for capacity in self.capacities:
            limit = capacity.maximum_volume_bytes
            if limit is None:
                limit = capacity.capacity_bytes
            if capacity.storage_class == claim.storage_class and limit >= claim.capacity_bytes:
                room |= _match_all(table, None if capacity.nodes is None else capacity.nodes.requirements)
        return room


def _match_all(table: NodeTable, requirements: Iterable[Requirement] | None) -> Mask:
    if requirements is None:
        return np.zeros(len(table), dtype=bool)
    mask = np.ones(len(table), dtype=bool)
    for requirement in requirements:
        mask &= table.match(requirement)
    return mask


def _is_large_enough(volume: Volume, claim: VolumeClaim) -> bool:
    return (
        volume.claim in {"", claim.key}
        and volume.claim_uid in {"", claim.uid}
        and volume.attributes_class == claim.attributes_class
        and volume.storage_class == claim.storage_class
        and not volume.is_deleting
        and volume.capacity_bytes >= claim.capacity_bytes
        and volume.volume_mode == claim.volume_mode
    )


def _matches(volume: Volume, claim: VolumeClaim) -> bool:
    return (
        volume.phase == "Available"
        and (claim.selector is None or selects(claim.selector, dict(volume.labels)))
        and set(claim.access_modes) <= set(volume.access_modes)
    )


def _zones(table: NodeTable, volume: Volume) -> Mask | None:
    """Nodes in the volume's zone; nodes without any zone or region label pass. None: the volume names no zone."""
    wanted = [(key, value.split(_ZONE_SEPARATOR)) for key, value in volume.labels if key in _CURRENT_LABEL]
    if not wanted:
        return None
    inside = np.ones(len(table), dtype=bool)
    for key, values in wanted:
        own = table.match(Requirement(key, Operator.IN, tuple(values)))
        has_own = table.label_codes(key).codes >= 0
        current = table.match(Requirement(_CURRENT_LABEL[key], Operator.IN, tuple(values)))
        inside &= np.where(has_own, own, current)
    is_zoned = np.zeros(len(table), dtype=bool)
    for key in _CURRENT_LABEL:
        is_zoned |= table.label_codes(key).codes >= 0
    mask: Mask = inside | ~is_zoned
    return mask
