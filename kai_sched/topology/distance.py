"""How far apart devices are: the smallest place that holds them all, and what the links between them carry.

Figures are for comparing places with one another; they are no measurement of this cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

from kai_sched.topology.graph import FleetGraph, Kind, Place


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpeeds:
    """GB/s of one device in one direction, by the narrowest link on the way to another.

    The defaults: NVLink 4; what is left of PCIe 5 x16 (63) after its overhead, and less past each host bridge and
    between sockets; a 400 Gb/s network card a GPU. ``by_level``: node label of a topology level -> between the nodes
    of one such domain.
    """

    nvlink_gbps: float = 450.0
    pcie_gbps: float = 55.0
    numa_gbps: float = 40.0
    node_gbps: float = 30.0
    network_gbps: float = 50.0
    by_level: Mapping[str, float] = field(default_factory=dict, hash=False)


def meeting_place(graph: FleetGraph, devices: Sequence[Place]) -> Place:
    """The smallest place that holds all the devices: an NVLink island if they are in one."""
    first, *others = devices
    islands = {graph.island(device) for device in devices}
    island = next(iter(islands))
    if len(islands) == 1 and island is not None and others:
        return island
    common = list(graph.above(first))
    for device in others:
        known = set(graph.above(device))
        common = [place for place in common if place in known]
    return common[0]


def link_gbps(graph: FleetGraph, one: Place, other: Place, speeds: LinkSpeeds) -> float:
    """What the narrowest link between two devices carries."""
    place = meeting_place(graph, (one, other))
    if place.kind is Kind.ISLAND:
        return speeds.nvlink_gbps
    is_between_nodes = place.kind in {Kind.DOMAIN, Kind.POOL, Kind.CLUSTER}
    clique = next((each for each in graph.above(place) if graph.is_clique(each)), None)
    # A MIG partition has no peer-to-peer access, so the NVLink of its board is none of its own.
    if clique is not None and Kind.PARTITION not in {one.kind, other.kind}:
        nvlink = speeds.nvlink_gbps
        return speeds.by_level.get(clique.level, nvlink) if is_between_nodes else nvlink
    if is_between_nodes:
        return _network_gbps(graph, place, (one, other), speeds)
    inside = {Kind.NODE: speeds.node_gbps, Kind.NUMA: speeds.numa_gbps}
    return inside.get(place.kind, speeds.pcie_gbps)


def all_reduce_gbps(graph: FleetGraph, devices: Sequence[Place], speeds: LinkSpeeds) -> float | None:
    """Estimated bus bandwidth of a ring all-reduce among devices; None for fewer than two.

    In a ring of ``n`` devices each sends ``2 (n - 1) / n`` times the data to its neighbour, all at once, so the
    slowest link, of ``B`` GB/s, sets the time: ``t = S / B * 2 (n - 1) / n`` for ``S`` gigabytes. ``B`` is the *bus
    bandwidth* of nccl-tests (its doc/PERFORMANCE.md), which does not depend on ``n``; the gigabytes reduced in a
    second are ``S / t = B * n / (2 (n - 1))``.

    It is one ring, in the order of the tree. Libraries run several at once through nodes with several network cards:
    between nodes the estimate is the share of one card.
    """
    ring = ring_order(graph, devices)
    if len(ring) < 2:
        return None
    return min(link_gbps(graph, one, other, speeds) for one, other in pairwise((*ring, ring[0])))


def ring_order(graph: FleetGraph, devices: Sequence[Place]) -> tuple[Place, ...]:
    """The devices, each once, so that every domain, node, island, NUMA node and PCIe root is entered only once.

    Islands lie across NUMA nodes, so every second one is walked backwards: the step to the next is then a short one.
    """
    located = sorted((*_spot(graph, device), device.key, device) for device in set(devices))
    ring: list[Place] = []
    for number, (_, island) in enumerate(groupby(located, key=lambda entry: entry[:2])):
        members = [entry[-1] for entry in island]
        ring += reversed(members) if number % 2 else members
    return tuple(ring)


Path = tuple[tuple[str, str], ...]


def _spot(graph: FleetGraph, device: Place) -> tuple[Path, str, Path]:
    """What holds the device down to its node, its island there, and what holds it inside the node."""
    above = [*graph.above(device)][::-1]
    inner = {Kind.NUMA, Kind.PCIE, Kind.DEVICE, Kind.PARTITION}
    home = tuple((str(each.kind), each.key) for each in above if each.kind not in inner)
    inside = tuple((str(each.kind), each.key) for each in above if each.kind in inner)
    island = graph.island(device)
    return home, island.key if island is not None else "", inside


def _network_gbps(graph: FleetGraph, place: Place, devices: Sequence[Place], speeds: LinkSpeeds) -> float:
    """The meeting place's own figure, or a narrower one of the domains that the way to it leaves."""
    found = [speeds.by_level.get(place.level, speeds.network_gbps)]
    for device in devices:
        for left in graph.above(device):
            if left == place:
                break
            # The way out of a clique is the network's: what NVLink carries inside says nothing of it.
            if left.kind is Kind.DOMAIN and left.level in speeds.by_level and not graph.is_clique(left):
                found.append(speeds.by_level[left.level])
    return min(found)
