"""Things of a node, or of the cluster, that pods cannot share: host ports, disks, claims for one pod, places for volumes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from kai_sched.model.nodes import Node
from kai_sched.model.workloads import HostPort, PodSpec
from kai_sched.placement.checker.volume_rules import Shelf

_FOR_ONE_POD: Final = "ReadWriteOncePod"
_NEVER_SHARED: Final = "awsElasticBlockStore"
"""The one disk that not even readers share."""


class Shared:
    """What is taken while pods are put on nodes in turn."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._ports: dict[tuple[str, int, str], list[str]] = defaultdict(list)
        self._disks: dict[tuple[str, str, str], list[bool]] = defaultdict(list)
        self._exclusive: set[str] = set()
        self._attached: dict[str, set[tuple[str, str]]] = defaultdict(set)

    def concerns(self, spec: PodSpec) -> bool:
        """Whether a pod takes anything of the kind."""
        return bool(spec.host_ports or spec.inline_volumes or spec.volume_claims)

    def add(self, spec: PodSpec, node: Node) -> None:
        """A pod comes to a node."""
        for port in spec.host_ports:
            self._ports[node.name, port.port, port.protocol].append(port.host_ip)
        for kind, disk, is_read_only in spec.inline_volumes:
            self._disks[node.name, kind, disk].append(is_read_only)
        if spec.volume_claims:
            self._exclusive.update(self._keys_for_one(spec))
            if node.attachable:
                self._attached[node.name] |= self._shelf.attached(spec)

    def wrong_with(self, spec: PodSpec, node: Node) -> Iterator[str]:
        """What a pod would take on a node that others have."""
        for port in spec.host_ports:
            if any(_overlap(port, other) for other in self._ports[node.name, port.port, port.protocol]):
                yield f"host port {port.port}/{port.protocol} is taken there"
        for kind, disk, is_read_only in spec.inline_volumes:
            for other in self._disks[node.name, kind, disk]:
                if kind == _NEVER_SHARED or not (is_read_only and other):
                    yield f"disk {kind} {disk} is in use there"
        if not spec.volume_claims:
            return
        for key in sorted(self._exclusive.intersection(self._keys_for_one(spec))):
            yield f"PersistentVolumeClaim {key} is for one pod and in use"
        yield from self._wrong_count(spec, node)

    def _keys_for_one(self, spec: PodSpec) -> set[str]:
        # Whoever names such a claim has it; whether it may be had at all is told elsewhere.
        claims = self._shelf.claims_of(spec)
        return {claim.key for claim in claims if _FOR_ONE_POD in claim.access_modes}

    def _wrong_count(self, spec: PodSpec, node: Node) -> Iterator[str]:
        if not node.attachable:
            return
        limits, there = dict(node.attachable), self._attached[node.name]
        new = self._shelf.attached(spec) - there
        for driver in sorted({driver for driver, _ in new} & limits.keys()):
            count = sum(other == driver for other, _ in there | new)
            if count > limits[driver]:
                yield f"it would have {count} volumes of {driver}, {limits[driver]} is the most"


def _overlap(port: HostPort, address: str) -> bool:
    return port.host_ip == address or _is_every_address(port.host_ip) or _is_every_address(address)


def _is_every_address(address: str) -> bool:
    """Nothing, or all zeros as version 4 writes them."""
    return not address.strip("0.")
