"""FleetGraph: the fleet as a graph, from the domains of the node labels down to the partitions of a device.

Every place is contained in one other: cluster, domains (zone, rack, NVLink clique ...), node, NUMA node, PCIe root,
device, partition. NVLink islands inside a node lie across that order, so they are places of their own that reach
their devices by edges that contain nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import networkx as nx

from kai_sched.model.devices import Device, ResourceSlice
from kai_sched.model.nodes import Node
from kai_sched.model.snapshot import Fleet
from kai_sched.topology.places import PCIE_ATTRIBUTES, DevicePlace, place_of

HOSTNAME: Final = "kubernetes.io/hostname"
BOARD: Final = "board:"
"""Begins the key of a device that only its partitions speak of."""


class Kind(StrEnum):
    """What a place is, coarse to fine."""

    CLUSTER = "cluster"
    DOMAIN = "domain"
    NODE = "node"
    POOL = "pool"
    ISLAND = "island"
    NUMA = "numa"
    PCIE = "pcie"
    DEVICE = "device"
    PARTITION = "partition"


@dataclass(frozen=True, slots=True)
class Place:
    """One vertex. ``key`` tells it from others of its kind; ``level``: label of a domain, driver of a device.

    Devices have the key ``driver/pool/device``, GPUs of a device plugin ``resource/node/ordinal``. A device whose
    partitions are published and itself is not has a key that begins with ``BOARD``.
    """

    kind: Kind
    key: str
    name: str
    level: str = ""


CLUSTER: Final = Place(Kind.CLUSTER, "", "cluster")


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphOptions:
    """``topology``: the only one to go by; "": for each node the one with most levels.

    ``plugin_resources``: names of whole GPUs of device plugins.
    """

    topology: str = ""
    clique_label: str = ""
    island_attributes: tuple[str, ...] = ()
    plugin_resources: tuple[str, ...] = ()


class FleetGraph:
    """Places in the order of their names; ``graph`` has an edge from each place to what it contains or joins.

    ``fleet`` has the slices that nodes go by (``DeviceIndex.current_slices``), none of a generation left behind.
    """

    def __init__(self, fleet: Fleet, options: GraphOptions) -> None:
        self.graph: nx.DiGraph[Place] = nx.DiGraph()
        self.graph.add_node(CLUSTER)
        self._options = options
        self._islands = tuple(name for name in options.island_attributes if name not in PCIE_ATTRIBUTES)
        self._place_of: dict[str, Place] = {}
        self.nodes: dict[str, Place] = {}
        for node in fleet.nodes:
            self._add_node(fleet, node)
        for published in fleet.slices:
            self._add_devices(published)

    def children(self, place: Place) -> list[Place]:
        """What a place contains, in the order of names as people count."""
        inside = [child for child in self.graph[place] if self.graph.edges[place, child]["contains"]]
        return sorted(inside, key=lambda child: (child.kind in _LEAVES, _counted(child.name), child.key))

    def parent(self, place: Place) -> Place:
        """What contains a place that is not the cluster."""
        above = self.graph.predecessors(place)
        return next(each for each in above if self.graph.edges[each, place]["contains"])

    def above(self, place: Place) -> Iterator[Place]:
        """The place and all that contain it, from the inside out."""
        yield place
        while place is not CLUSTER:
            place = self.parent(place)
            yield place

    def island(self, device: Place) -> Place | None:
        """The NVLink island of a device inside its node."""
        return next((each for each in self.graph.predecessors(device) if each.kind is Kind.ISLAND), None)

    def device(self, device_id: str) -> Place | None:
        """A device or partition by id."""
        return self._place_of.get(device_id)

    def is_clique(self, place: Place) -> bool:
        """Whether NVLink joins all nodes of this domain."""
        return place.kind is Kind.DOMAIN and place.level == self._options.clique_label

    def _add_node(self, fleet: Fleet, node: Node) -> None:
        labels = dict(node.labels)
        keys = self._levels_of(fleet, labels)
        if keys is None:
            return
        above, path = CLUSTER, ""
        for key in keys:
            path = f"{path}/{key}={labels[key]}"
            above = self._add(above, Place(Kind.DOMAIN, path, labels[key], key))
        place = self._add(above, Place(Kind.NODE, node.name, node.name))
        self.nodes[node.name] = place
        for resource, count in node.allocatable:
            if resource in self._options.plugin_resources:
                for ordinal in range(count):
                    key = f"{resource}/{node.name}/{ordinal}"
                    self._place_of[key] = self._add(
                        place, Place(Kind.DEVICE, key, f"gpu {ordinal}", resource)
                    )

    def _levels_of(self, fleet: Fleet, labels: dict[str, str]) -> list[str] | None:
        """Labels of the domains that hold a node, coarse to fine; None if it is outside the topology asked for."""
        chosen: list[str] = []
        found = False
        for topology in fleet.topologies:
            keys = [level.node_label for level in topology.levels]
            if self._options.topology not in {"", topology.name} or not all(key in labels for key in keys):
                continue
            if not found or len(keys) > len(chosen):
                chosen, found = keys, True
        if self._options.topology and not found:
            return None
        chosen = [key for key in chosen if key != HOSTNAME]
        clique = self._options.clique_label
        return [*chosen, clique] if clique in labels and clique not in chosen else chosen

    def _add_devices(self, published: ResourceSlice) -> None:
        home = self._home_of(published)
        if home is None:
            return
        spots = [(device, place_of(published.driver, device, self._islands)) for device in published.devices]
        for device, spot in sorted(spots, key=lambda entry: entry[1].is_partition):
            self._add_device(home, published, device, spot)

    def _home_of(self, published: ResourceSlice) -> Place | None:
        """The node, or a pool of devices that several nodes can reach."""
        if published.node_name:
            return self.nodes.get(published.node_name)
        if self._options.topology:
            return None
        return self._add(CLUSTER, Place(Kind.POOL, f"{published.driver}/{published.pool}", published.pool))

    def _add_device(self, home: Place, published: ResourceSlice, device: Device, spot: DevicePlace) -> None:
        key = f"{published.driver}/{published.pool}/{device.name}"
        board = f"{BOARD}{home.key}/{spot.board}"
        if spot.is_partition:
            whole = self._place_of.get(board)
            if whole is None:
                inside = self._inside(home, spot)
                whole = self._add(inside, Place(Kind.DEVICE, board, _board_name(spot), published.driver))
                self._place_of[board] = whole
            place = self._add(whole, Place(Kind.PARTITION, key, device.name, published.driver))
        else:
            place = self._add(
                self._inside(home, spot), Place(Kind.DEVICE, key, device.name, published.driver)
            )
            self._place_of[board] = place
        self._place_of[key] = place
        if spot.island:
            hub = Place(Kind.ISLAND, f"{home.key}/{spot.island}", spot.island)
            self.graph.add_edge(hub, place, contains=False)

    def _inside(self, home: Place, spot: DevicePlace) -> Place:
        """The innermost part of a node that holds a device."""
        above = home
        if spot.numa:
            above = self._add(above, Place(Kind.NUMA, f"{above.key}/{spot.numa}", spot.numa))
        if spot.pcie_root:
            above = self._add(above, Place(Kind.PCIE, f"{above.key}/{spot.pcie_root}", spot.pcie_root))
        return above

    def _add(self, above: Place, place: Place) -> Place:
        self.graph.add_edge(above, place, contains=True)
        return place


_LEAVES: Final = (Kind.DEVICE, Kind.PARTITION)


def _board_name(spot: DevicePlace) -> str:
    return spot.board.rsplit("/", 1)[1]


def _counted(name: str) -> tuple[tuple[bool, int, str], ...]:
    """gpu-2 before gpu-10."""
    parts: list[tuple[bool, int, str]] = []
    digits = ""
    for letter in (*name, ""):
        if letter.isdecimal():
            digits += letter
            continue
        if digits:
            parts.append((False, int(digits), ""))
            digits = ""
        parts.append((True, 0, letter))
    return tuple(parts)
