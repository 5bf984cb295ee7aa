"""ObjectSet → ClusterSnapshot: what a cycle may know, from raw objects, in the order every snapshot has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, Final, TypeVar

from kai_sched.api import kinds
from kai_sched.api.dra import translate_claim, translate_class, translate_slice, translate_taint_rule
from kai_sched.api.kinds import Kind, Raw
from kai_sched.api.last_resorts import closed, node_taken, what_a_claim_holds
from kai_sched.api.membership import (
    Grouper,
    Membership,
    NamesTaken,
    as_stranger,
    each_alone,
    goes_with,
    with_membership,
)
from kai_sched.api.objects import ObjectSet
from kai_sched.api.shared_gpus import with_held_groups
from kai_sched.api.translate import (
    InstalledDrivers,
    PriorityTable,
    SpecInterner,
    TranslateContext,
    settled,
    translate_csi_driver,
    translate_csi_node,
    translate_namespace,
    translate_node,
    translate_pod,
    translate_pod_group,
    translate_queue,
    translate_storage_capacity,
    translate_storage_class,
    translate_topology,
    translate_volume,
    translate_volume_claim,
    with_drivers,
    with_gpu_memory,
)
from kai_sched.api.translate.fields import readable
from kai_sched.model.devices import Claim
from kai_sched.model.ids import NodeName, PodGroupKey, PodKey, QueueName, Uid
from kai_sched.model.pods import PodTable
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot, Fleet, Unreadable
from kai_sched.model.workloads import GroupOrigin, Pod, PodGroup

ADMIN_ACCESS: Final = "resource.kubernetes.io/admin-access"
Namespaces = Mapping[str, Mapping[str, str]]
T = TypeVar("T")


@dataclass
class _Reader:
    """Reads kinds one by one and keeps what could not be read."""

    objects: ObjectSet
    policy: Policy
    unreadable: list[Unreadable] = field(default_factory=list)

    def all(
        self, kind: Kind, translate: Callable[[Raw], T | Unreadable], raws: Iterable[Raw] | None = None
    ) -> list[T]:
        found: list[T] = []
        for raw in self.objects.of(kind) if raws is None else raws:
            value = translate(raw)
            if isinstance(value, Unreadable):
                self.unreadable.append(value)
            else:
                found.append(value)
        return found

    def of_shard(self, kind: Kind) -> list[Raw]:
        return [raw for raw in self.objects.of(kind) if is_of_shard(raw, self.policy)]


def snapshot_of(
    objects: ObjectSet,
    *,
    now: float,
    policy: Policy,
    group: Grouper = each_alone,
    interner: SpecInterner | None = None,
) -> ClusterSnapshot:
    """The snapshot of these objects at ``now``; ``group`` decides for pods that name no pod group."""
    reader = _Reader(objects, policy)
    namespaces = _namespaces(reader)
    drivers = reader.all(kinds.CSI_DRIVER, translate_csi_driver)
    fleet = _fleet(reader, namespaces, [driver.name for driver in drivers if driver.is_awaited])
    grouping = group(objects, policy)
    homes = {
        f"{_namespace(raw)}/{_name(raw)}": is_of_shard(raw, policy) for raw in objects.of(kinds.POD_GROUP)
    }
    reading = _PodReading(namespaces, homes, grouping.memberships, interner or SpecInterner())
    pods, taken = _pods(reader, reading, fleet, now)
    names = NamesTaken.of(map(PodGroupKey, homes), grouping.groups, pods)
    known = (*_pod_groups(reader), *grouping.groups, *map(names.group, grouping.alone))
    pods = with_held_groups(names.pods(pods), policy.gpu_resources)
    groups = with_missing(known, pods)
    tracking = frozenset(driver.name for driver in drivers if driver.tracks_capacity)
    return ClusterSnapshot(
        now=now,
        fleet=_with_closed(fleet, taken),
        pods=PodTable.sorted_by_key(pods),
        pod_groups=tuple(sorted(groups, key=attrgetter("key"))),
        queues=_sorted(reader.all(kinds.QUEUE, translate_queue, reader.of_shard(kinds.QUEUE)), "name"),
        queues_elsewhere=queues_elsewhere(objects.of(kinds.QUEUE), policy),
        claims=_claims(reader, namespaces),
        volume_claims=_sorted(reader.all(kinds.VOLUME_CLAIM, translate_volume_claim), "key"),
        volumes=_sorted(reader.all(kinds.VOLUME, translate_volume), "name"),
        storage_classes=_sorted(
            reader.all(kinds.STORAGE_CLASS, lambda raw: translate_storage_class(raw, tracking)), "name"
        ),
        storage_capacities=tuple(reader.all(kinds.STORAGE_CAPACITY, translate_storage_capacity)),
        config_maps=_config_maps(objects),
        unreadable=tuple(sorted(reader.unreadable, key=attrgetter("kind", "key"))),
    )


def is_of_shard(raw: Raw, policy: Policy) -> bool:
    """Whether a node, queue, pod group or pod belongs to the policy's shard."""
    metadata = raw.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    value = labels.get(policy.partition_label) if isinstance(labels, dict) else None
    return (value or "") == policy.partition_value


def queues_elsewhere(raws: Iterable[Raw], policy: Policy) -> tuple[tuple[QueueName, str], ...]:
    """Queues of other shards, by name, with their node pools."""
    elsewhere = {
        QueueName(_name(raw)): str(
            (raw["metadata"].get("labels") or {}).get(policy.partition_label) or "default"
        )
        for raw in raws
        if not is_of_shard(raw, policy)
    }
    return tuple(sorted(elsewhere.items()))


def with_missing(groups: Iterable[PodGroup], pods: Iterable[Pod]) -> list[PodGroup]:
    """The groups, and one of origin MISSING for every name that pods carry and nobody made."""
    by_key = {group.key: group for group in groups}
    for pod in pods:
        if pod.group is not None and pod.group not in by_key:
            by_key[pod.group] = _missing(pod.group)
    return list(by_key.values())


def fleet_version(fleet: Fleet) -> int:
    """A number that differs where the content does: equal fleets of one process share what was derived from them."""
    return hash(
        (
            fleet.nodes,
            fleet.slices,
            fleet.device_classes,
            fleet.taint_rules,
            fleet.topologies,
            fleet.namespace_labels,
        )
    )


def _missing(key: PodGroupKey) -> PodGroup:
    return PodGroup(
        key=key,
        uid=Uid(f"missing-{key}"),
        queue=QueueName(""),
        origin=GroupOrigin.MISSING,
        detail=f"PodGroup {key} does not exist",
    )


def _namespaces(reader: _Reader) -> Namespaces:
    return dict(reader.all(kinds.NAMESPACE, translate_namespace))


def _fleet(reader: _Reader, namespaces: Namespaces, awaited: Sequence[str]) -> Fleet:
    installed: dict[NodeName, InstalledDrivers] = dict(reader.all(kinds.CSI_NODE, translate_csi_node))
    nodes = [
        with_drivers(node, installed.get(node.name, ()), awaited)
        for node in reader.all(kinds.NODE, translate_node, reader.of_shard(kinds.NODE))
    ]
    slices = reader.all(kinds.RESOURCE_SLICE, lambda raw: readable("ResourceSlice", translate_slice, raw))
    classes = reader.all(kinds.DEVICE_CLASS, lambda raw: readable("DeviceClass", translate_class, raw))
    rules = reader.all(
        kinds.DEVICE_TAINT_RULE, lambda raw: readable("DeviceTaintRule", translate_taint_rule, raw)
    )
    fleet = Fleet(
        nodes=_sorted((with_gpu_memory(node, reader.policy.gpu_memory_label) for node in nodes), "name"),
        slices=tuple(sorted(slices, key=attrgetter("driver", "pool", "name"))),
        device_classes=_sorted(classes, "name"),
        taint_rules=_sorted(rules, "name"),
        topologies=_sorted(reader.all(kinds.TOPOLOGY, translate_topology), "name"),
        namespace_labels=tuple(
            (name, tuple(sorted(labels.items()))) for name, labels in sorted(namespaces.items())
        ),
    )
    return replace(fleet, version=fleet_version(fleet))


@dataclass(frozen=True, slots=True)
class _PodReading:
    """What pods mean besides what they say."""

    namespaces: Namespaces
    homes: Mapping[str, bool]
    """By PodGroup object, whether it is of the shard."""
    memberships: Mapping[PodKey, Membership]
    interner: SpecInterner


def _pods(reader: _Reader, reading: _PodReading, fleet: Fleet, now: float) -> tuple[list[Pod], set[NodeName]]:
    """Pods of the shard and pods of others that take room on its nodes; and where pods run that cannot be read."""
    context = TranslateContext(scheduler_name=reader.policy.scheduler_name, namespaces=reading.namespaces)
    nodes = {node.name for node in fleet.nodes}
    found: list[Pod] = []
    taken: set[NodeName] = set()
    for raw in reader.objects.of(kinds.POD):
        pod = translate_pod(raw, context, reading.interner)
        if isinstance(pod, Unreadable):
            reader.unreadable.append(pod)
            node = node_taken(raw)
            taken.update(() if node is None else (node,))
            continue
        pod = with_membership(pod, reading.memberships.get(pod.key))
        if goes_with(pod, reading.homes, label_says=is_of_shard(raw, reader.policy)):
            found.append(settled(pod, now, reader.policy.stuck_in_releasing_seconds))
        elif pod.node in nodes:
            found.append(as_stranger(pod))
    return found, taken


def _with_closed(fleet: Fleet, taken: set[NodeName]) -> Fleet:
    if not taken:
        return fleet
    fleet = replace(fleet, nodes=tuple(closed(node) if node.name in taken else node for node in fleet.nodes))
    return replace(fleet, version=fleet_version(fleet))


def _pod_groups(reader: _Reader) -> list[PodGroup]:
    priorities, unreadable = PriorityTable.build(reader.objects.of(kinds.PRIORITY_CLASS))
    reader.unreadable.extend(unreadable)
    return reader.all(
        kinds.POD_GROUP, lambda raw: translate_pod_group(raw, priorities), reader.of_shard(kinds.POD_GROUP)
    )


def _claims(reader: _Reader, namespaces: Namespaces) -> tuple[Claim, ...]:
    admins = {name for name, labels in namespaces.items() if labels.get(ADMIN_ACCESS) == "true"}

    found: list[Claim] = []
    for raw in reader.objects.of(kinds.RESOURCE_CLAIM):
        allows = _namespace(raw) in admins
        claim = readable("ResourceClaim", translate_claim, raw, namespace_allows_admin=allows)
        if isinstance(claim, Unreadable):
            reader.unreadable.append(claim)
            rest = what_a_claim_holds(raw)
            found.extend(() if rest is None else (rest,))
        else:
            found.append(claim)
    return _sorted(found, "key")


def _config_maps(objects: ObjectSet) -> frozenset[str] | None:
    """None where the set holds no ConfigMap at all: then it was not saved, and nothing can be said."""
    if not objects.knows(kinds.CONFIG_MAP):
        return None
    return frozenset(f"{_namespace(raw)}/{_name(raw)}" for raw in objects.of(kinds.CONFIG_MAP))


def _sorted(values: Iterable[T], attribute: str) -> tuple[T, ...]:
    key: Callable[[Any], Any] = attrgetter(attribute)
    return tuple(sorted(values, key=key))


def _name(raw: Raw) -> str:
    return str(raw["metadata"]["name"])


def _namespace(raw: Raw) -> str:
    return str(raw["metadata"].get("namespace") or "default")
