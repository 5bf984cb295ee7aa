"""How far apart devices are: the smallest place that holds them all, and the slowest link between them.

Figures are what one device moves over its link, in GB/s and one direction, for comparing places with one another;
they are no measurement of this cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kai_sched.topology.graph import FleetGraph, Kind, Place

NVLINK_GBPS: Final = 450.0
LINK_GBPS: Final = {
    Kind.PCIE: 63.0,
    Kind.NUMA: 63.0,
    Kind.NODE: 50.0,
    Kind.DOMAIN: 50.0,
    Kind.POOL: 50.0,
    Kind.CLUSTER: 25.0,
}
"""NVLink 4 a GPU; PCIe 5 x16; a 400 Gb/s network card a GPU, half of it where no switch is shared."""


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


def bandwidth_gbps(graph: FleetGraph, place: Place) -> float | None:
    """What the slowest link inside a meeting place carries; None for a single device, which needs none."""
    if place.kind in {Kind.DEVICE, Kind.PARTITION}:
        return None
    is_joined = place.kind is Kind.ISLAND or any(graph.is_clique(each) for each in graph.above(place))
    return NVLINK_GBPS if is_joined else LINK_GBPS[place.kind]
