"""Things on a node, or in the cluster, that only one pod may hold: host ports, exclusive disks, single-pod claims."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np

from kai_sched.model.workloads import HostPort, PodSpec
from kai_sched.placement.node_table import NodeTable
from kai_sched.placement.rules.affinity import Forbidden
from kai_sched.placement.rules.elimination import Rule
from kai_sched.placement.rules.tallies import Catalogue, Codes, Tally
from kai_sched.placement.rules.volumes import VolumesView

_ANY_ADDRESS: Final = frozenset({"", "0.0.0.0"})  # noqa: S104 - compared with, never bound to
_NEVER_SHARED: Final = "awsElasticBlockStore"
"""The one in-tree disk that not even readers share."""


def port_rules(table: NodeTable, catalogue: Catalogue, spec: PodSpec) -> list[Forbidden]:
    """Host ports: the same port and protocol on an address that overlaps."""
    return [
        Forbidden(
            tally=_per_node(table, catalogue, ("port", port), _port_clashes(port)),
            rule=Rule.NODE_PORTS,
            reason=f"have host port {port.port}/{port.protocol} in use",
        )
        for port in dict.fromkeys(spec.host_ports)
    ]


def disk_rules(table: NodeTable, catalogue: Catalogue, spec: PodSpec) -> list[Forbidden]:
    """Disks that are mounted once, or by readers only."""
    return [
        Forbidden(
            tally=_per_node(table, catalogue, ("disk", disk), _disk_clashes(disk)),
            rule=Rule.VOLUME_RESTRICTIONS,
            reason=f"have disk {disk[0]} {disk[1]} in use",
        )
        for disk in dict.fromkeys(spec.inline_volumes)
    ]


def exclusive_claim_rules(
    table: NodeTable, catalogue: Catalogue, volumes: VolumesView, spec: PodSpec
) -> list[Forbidden]:
    """ReadWriteOncePod claims: another user anywhere in the cluster rules out every node."""
    rules = []
    for key in volumes.exclusive_claims(spec):
        everywhere = np.zeros(len(table), dtype=np.int32)
        make = _maker(everywhere, 1, _uses_claim(key))
        rules.append(
            Forbidden(
                tally=catalogue.tally(("claim", key), make),
                rule=Rule.VOLUME_RESTRICTIONS,
                reason=f"cannot serve it: PersistentVolumeClaim {key} is for one pod and in use",
            )
        )
    return rules


def ports_clash(one: HostPort, other: HostPort) -> bool:
    """Whether two host ports cannot be open on one node."""
    if (one.port, one.protocol) != (other.port, other.protocol):
        return False
    return one.host_ip == other.host_ip or bool(_ANY_ADDRESS & {one.host_ip, other.host_ip})


def disks_clash(one: tuple[str, str, bool], other: tuple[str, str, bool]) -> bool:
    """Whether two uses (kind, id, read-only) of in-tree disks exclude each other on one node."""
    if one[:2] != other[:2]:
        return False
    return one[0] == _NEVER_SHARED or not (one[2] and other[2])


def _port_clashes(port: HostPort) -> Callable[[PodSpec], int]:
    return lambda spec: _count(ports_clash(port, other) for other in spec.host_ports)


def _disk_clashes(disk: tuple[str, str, bool]) -> Callable[[PodSpec], int]:
    return lambda spec: _count(disks_clash(disk, other) for other in spec.inline_volumes)


def _uses_claim(key: str) -> Callable[[PodSpec], int]:
    namespace, _, name = key.partition("/")
    return lambda spec: int(spec.namespace == namespace and name in spec.volume_claims)


def _count(answers: Iterable[bool]) -> int:
    return sum(answers)


def _per_node(
    table: NodeTable, catalogue: Catalogue, key: tuple[object, ...], weigh: Callable[[PodSpec], int]
) -> Tally:
    nodes = len(table)
    return catalogue.tally(key, _maker(np.arange(nodes, dtype=np.int32), nodes, weigh))


def _maker(codes: Codes, size: int, weigh: Callable[[PodSpec], int]) -> Callable[[], Tally]:
    return lambda: Tally(codes, size, weigh)
