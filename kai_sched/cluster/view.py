"""The snapshot of a mirror: parts that have not changed since the last one are the same objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from operator import attrgetter

from kai_sched.api.membership import NamesTaken, as_stranger, goes_with
from kai_sched.api.shared_gpus import with_held_groups
from kai_sched.api.snapshot import is_of_shard, queues_elsewhere, with_missing
from kai_sched.api.translate import settled
from kai_sched.cluster.overlay import Overlay
from kai_sched.cluster.pod_shelf import PodShelf
from kai_sched.cluster.ports import PodGrouper
from kai_sched.cluster.stock import Stock
from kai_sched.model.devices import Claim
from kai_sched.model.ids import PodGroupKey
from kai_sched.model.pods import PodTable
from kai_sched.model.policy import Policy
from kai_sched.model.queues import Queue
from kai_sched.model.snapshot import ClusterSnapshot, Fleet, Unreadable
from kai_sched.model.workloads import Pod, PodGroup, PodSpec


class View:
    """Makes snapshots of one mirror's contents."""

    def __init__(self, stock: Stock, pods: PodShelf, overlay: Overlay, grouper: PodGrouper | None) -> None:
        self._stock = stock
        self._shelf = pods
        self._overlay = overlay
        self._grouper = grouper
        self._fleet = Fleet()
        self._pods: tuple[object, PodTable] = (None, PodTable(()))
        self._groups: tuple[object, PodTable, tuple[PodGroup, ...]] = (None, self._pods[1], ())
        self._homes: tuple[object, dict[str, bool]] = (None, {})
        self._names = NamesTaken(frozenset())

    def snapshot(self, now: float, policy: Policy) -> ClusterSnapshot:
        """Everything that a cycle may know at ``now``."""
        stock = self._stock
        fleet = self._current_fleet(policy)
        pods = self._current_pods(now, policy, fleet)
        return ClusterSnapshot(
            now=now,
            fleet=fleet,
            pods=pods,
            pod_groups=self._current_groups(policy, pods),
            queues=self._current_queues(policy),
            queues_elsewhere=queues_elsewhere(stock.queues.documents.values(), policy),
            claims=self._current_claims(),
            volume_claims=stock.volume_claims.in_order(),
            volumes=stock.volumes.in_order(),
            storage_classes=stock.storage_classes_with_tracking(),
            storage_capacities=stock.capacities.in_order(),
            config_maps=stock.config_map_keys(),
            unreadable=self.unreadable(),
        )

    def unreadable(self) -> tuple[Unreadable, ...]:
        """Every object that could not be read, by kind and key."""
        found = [*self._stock.unreadable(), *self._shelf.unreadable.values()]
        return tuple(sorted(found, key=lambda problem: (problem.kind, problem.key)))

    def _current_fleet(self, policy: Policy) -> Fleet:
        """The same object until a member changes; then under a new version."""
        stock, known = self._stock, self._fleet
        unknown = frozenset(self._shelf.nodes_of_unreadable.values())
        fresh = Fleet(
            version=known.version,
            nodes=stock.nodes_of_shard(policy, unknown),
            slices=stock.slices.in_order(),
            device_classes=stock.classes.in_order(),
            taint_rules=stock.taint_rules.in_order(),
            topologies=stock.topologies.in_order(),
            namespace_labels=stock.namespace_labels(),
        )
        if known.version == 0 or not _has_same_members(known, fresh):
            self._fleet = replace(fresh, version=known.version + 1)
        return self._fleet

    def _current_pods(self, now: float, policy: Policy, fleet: Fleet) -> PodTable:
        homes = self._current_homes(policy)
        grouped = None if self._grouper is None else self._grouper.version
        key = (self._shelf.version, self._overlay.version, fleet.version, policy, id(homes), grouped)
        if self._pods[0] == key:
            return self._pods[1]
        pods: Iterable[Pod] = self._shelf.in_order()
        if len(self._overlay):
            pods = map(self._overlay.pod_view, pods)
        found = list(_pods_of_shard(pods, policy, fleet, homes))
        self._names = NamesTaken.of(
            map(PodGroupKey, homes), () if self._grouper is None else self._grouper.groups(), found
        )
        found = with_held_groups(self._names.pods(found), policy.gpu_resources)
        stuck = policy.stuck_in_releasing_seconds
        table = PodTable([pod if pod.releasing_since is None else settled(pod, now, stuck) for pod in found])
        # A releasing pod changes with time alone; without one the table holds until an event comes.
        is_timeless = all(pod.releasing_since is None for pod in found)
        self._pods = (key if is_timeless else None, table)
        return table

    def _current_homes(self, policy: Policy) -> dict[str, bool]:
        """Which pod groups are of the shard; the same object until that changes."""
        shelf = self._stock.pod_groups
        key = (shelf.version, policy)
        if self._homes[0] != key:
            homes = {str(name): is_of_shard(document, policy) for name, document in shelf.documents.items()}
            self._homes = (key, self._homes[1] if homes == self._homes[1] else homes)
        return self._homes[1]

    def _current_groups(self, policy: Policy, pods: PodTable) -> tuple[PodGroup, ...]:
        grouper, shelf = self._grouper, self._stock.pod_groups
        key = (shelf.version, None if grouper is None else grouper.version, policy)
        if self._groups[0] == key and self._groups[1] is pods:
            return self._groups[2]
        known = [group for name, group in shelf.records.items() if is_of_shard(shelf.documents[name], policy)]
        if grouper is not None:
            known += grouper.groups()
            known += map(self._names.group, grouper.alone())
        groups = tuple(sorted(with_missing(known, pods), key=lambda group: group.key))
        self._groups = (key, pods, groups)
        return groups

    def _current_queues(self, policy: Policy) -> tuple[Queue, ...]:
        shelf = self._stock.queues
        return tuple(queue for queue in shelf.in_order() if is_of_shard(shelf.documents[queue.name], policy))

    def _current_claims(self) -> tuple[Claim, ...]:
        claims = self._stock.claims.in_order()
        if not len(self._overlay):
            return claims
        made = self._overlay.claims_made(self._stock.claims.records)
        found = (*map(self._overlay.claim_view, claims), *made)
        return tuple(sorted(found, key=attrgetter("key"))) if made else found


def _has_same_members(known: Fleet, fresh: Fleet) -> bool:
    return (
        known.nodes is fresh.nodes
        and known.slices is fresh.slices
        and known.device_classes is fresh.device_classes
        and known.taint_rules is fresh.taint_rules
        and known.topologies is fresh.topologies
        and known.namespace_labels is fresh.namespace_labels
    )


def _pods_of_shard(
    pods: Iterable[Pod], policy: Policy, fleet: Fleet, homes: Mapping[str, bool]
) -> Iterable[Pod]:
    """Pods of the shard; those of others only where they take room on its nodes, and then as strangers."""
    nodes = {node.name for node in fleet.nodes}
    is_ours: dict[int, bool] = {}
    for pod in pods:
        spec = pod.spec
        ours = is_ours.get(id(spec))
        if ours is None:
            ours = is_ours[id(spec)] = _label(spec, policy.partition_label) == policy.partition_value
        if goes_with(pod, homes, label_says=ours):
            yield pod
        elif pod.node in nodes:
            yield as_stranger(pod)


def _label(spec: PodSpec, key: str) -> str:
    return next((value for name, value in spec.labels if name == key), "")
