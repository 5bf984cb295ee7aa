"""Who holds what: the claims and pods behind every device that is not free, and counted resources by node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from kai_sched.model.devices import Claim
from kai_sched.model.ids import PodKey
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import HOLDS_ROOM, Pod


@dataclass(frozen=True, slots=True)
class Holding:
    """One holder of a device. ``claim`` "": a GPU of a device plugin. ``group`` "": nobody that we schedule."""

    claim: str
    pods: tuple[PodKey, ...]
    group: str
    queue: str
    consumed: tuple[tuple[str, Fraction], ...] = ()
    """What it takes of a device that serves many."""
    more_groups: tuple[str, ...] = ()
    """Of a claim that pods of several groups share: the others."""

    @property
    def name(self) -> str:
        """What stands for the holder in pictures and lists; every group that shares it."""
        if self.group:
            return " + ".join((self.group, *self.more_groups))
        return self.pods[0] if self.pods else f"claim {self.claim}"


@dataclass(frozen=True, slots=True)
class Holders:
    """``by_device``: device id -> holders. ``used``: (node, resource) -> amount held by pods."""

    by_device: Mapping[str, tuple[Holding, ...]]
    used: Mapping[tuple[str, str], int]

    @classmethod
    def of(cls, snapshot: ClusterSnapshot, policy: Policy) -> Holders:
        """Everything that pods and allocated claims of a snapshot hold."""
        queue_of = {str(group.key): str(group.queue) for group in snapshot.pod_groups}
        by_device: dict[str, list[Holding]] = {}
        for device, holding in (
            *_of_claims(snapshot, queue_of),
            *_of_plugins(snapshot, policy.gpu_resources, queue_of),
        ):
            by_device.setdefault(device, []).append(holding)
        return cls({device: tuple(found) for device, found in by_device.items()}, _used(snapshot))


def _of_claims(snapshot: ClusterSnapshot, queue_of: Mapping[str, str]) -> Iterator[tuple[str, Holding]]:
    pod_of = {str(pod.uid): pod for pod in snapshot.pods}
    for claim in snapshot.claims:
        if claim.allocation is None:
            continue
        pods, groups = _consumers(claim, pod_of)
        group = groups[0] if groups else ""
        queue = queue_of.get(group, claim.queue_label)
        for result in claim.allocation.results:
            if not result.admin_access:
                holding = Holding(
                    str(claim.key), pods, group, queue, result.consumed_capacity, tuple(groups[1:])
                )
                yield result.device_id, holding


def _consumers(claim: Claim, pod_of: Mapping[str, Pod]) -> tuple[tuple[PodKey, ...], list[str]]:
    """(pods, their groups) that a claim is reserved for."""
    pods = [pod_of[entry.uid] for entry in claim.reserved_for if entry.uid in pod_of]
    groups = dict.fromkeys(str(pod.group) for pod in pods if pod.group is not None)
    return tuple(pod.key for pod in pods), list(groups)


def _of_plugins(
    snapshot: ClusterSnapshot, resources: Sequence[str], queue_of: Mapping[str, str]
) -> Iterator[tuple[str, Holding]]:
    offered = {
        str(node.name): next((name for name, count in node.allocatable if name in resources and count), "")
        for node in snapshot.fleet.nodes
    }
    on_node: dict[str, list[Pod]] = {}
    for pod in snapshot.pods:
        if pod.state in HOLDS_ROOM and pod.node is not None and offered.get(pod.node):
            on_node.setdefault(pod.node, []).append(pod)
    for node, pods in sorted(on_node.items()):
        for pod, ordinals in _ordinals(pods, offered[node]):
            group = str(pod.group or "")
            holding = Holding("", (pod.key,), group, queue_of.get(group, ""))
            yield from ((f"{offered[node]}/{node}/{ordinal}", holding) for ordinal in ordinals)


def _ordinals(pods: Iterable[Pod], resource: str) -> Iterator[tuple[Pod, tuple[int, ...]]]:
    """The GPUs of each pod: those recorded, else the lowest that nobody has, in the order of keys."""
    taken: set[int] = set()
    spot_of: dict[str, int] = {}
    for pod in sorted(pods, key=lambda pod: (not pod.gpu_indices, pod.key)):
        recorded = list(pod.gpu_indices)
        wanted = dict(pod.spec.requests).get(resource, 0)
        names: Sequence[str] = pod.gpu_groups or [""] * wanted
        ordinals: list[int] = []
        for position, name in enumerate(names):
            spot = spot_of.get(name) if name else None
            if spot is None:
                spot = recorded[position] if position < len(recorded) else _lowest(taken)
            if name:
                spot_of[name] = spot
            taken.add(spot)
            ordinals.append(spot)
        if ordinals:
            yield pod, tuple(ordinals)


def _lowest(taken: set[int]) -> int:
    ordinal = 0
    while ordinal in taken:
        ordinal += 1
    return ordinal


def _used(snapshot: ClusterSnapshot) -> dict[tuple[str, str], int]:
    used: dict[tuple[str, str], int] = {}
    for pod in snapshot.pods:
        if pod.state in HOLDS_ROOM and pod.node is not None:
            for resource, amount in pod.spec.requests:
                key = str(pod.node), resource
                used[key] = used.get(key, 0) + amount
    return used
