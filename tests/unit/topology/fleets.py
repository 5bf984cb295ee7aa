"""Fleets of a few devices, said in words."""

from __future__ import annotations

from fractions import Fraction

from kai_sched.devices.index import DeviceIndex
from kai_sched.model.devices import (
    Claim,
    ClaimAllocation,
    ClaimSpec,
    Consumer,
    Device,
    DeviceResult,
    ResourceSlice,
)
from kai_sched.model.ids import ClaimKey, NodeName, TopologyName, Uid
from kai_sched.model.nodes import Node
from kai_sched.model.snapshot import Fleet
from kai_sched.model.topology import Level, Topology
from kai_sched.model.workloads import Pod
from kai_sched.topology.graph import FleetGraph, GraphOptions

DRIVER = "gpu.example.com"
CLIQUE = "nvidia.com/gpu.clique"
_SHORT = {"numa": "resource.kubernetes.io/numaNode", "root": "resource.kubernetes.io/pcieRoot"}


def a_device(name: str, **attributes: int | str) -> Device:
    """A device; ``numa`` and ``root`` are short for the standard attributes."""
    return Device(
        name=name,
        attributes=tuple(
            (_SHORT.get(key, key), ("int" if isinstance(value, int) else "string", value))
            for key, value in attributes.items()
        ),
    )


def a_slice(node: str, *devices: Device, generation: int = 1, driver: str = DRIVER) -> ResourceSlice:
    """What a driver publishes of one node."""
    return ResourceSlice(
        name=f"{node}-{driver}-{generation}",
        driver=driver,
        pool=node,
        generation=generation,
        slice_count=1,
        devices=devices,
        node_name=NodeName(node),
    )


def a_topology(name: str, *labels: str) -> Topology:
    return Topology(TopologyName(name), tuple(Level(label) for label in labels))


def a_graph(
    nodes: tuple[Node, ...],
    slices: tuple[ResourceSlice, ...] = (),
    topologies: tuple[Topology, ...] = (),
    topology: str = "",
) -> FleetGraph:
    """The graph with NVLink islands by attribute ``nvlink`` and GPUs of device plugin ``nvidia.com/gpu``."""
    options = GraphOptions(
        topology=topology,
        clique_label=CLIQUE,
        island_attributes=("nvlink", "resource.kubernetes.io/pcieRoot"),
        plugin_resources=("nvidia.com/gpu",),
    )
    current = DeviceIndex(slices, (), nodes=nodes).current_slices
    return FleetGraph(Fleet(nodes=nodes, slices=current, topologies=topologies), options)


def a_held_claim(name: str, node: str, *devices: str, users: tuple[Pod, ...] = (), share: int = 0) -> Claim:
    """A claim of namespace team that has these devices; ``share``: GiB that it takes of each."""
    consumed = (("memory", Fraction(share << 30)),) if share else ()
    results = tuple(
        DeviceResult(
            request="gpu",
            driver=DRIVER,
            pool=node,
            device=device,
            consumed_capacity=consumed,
            share_id=f"{name}-{device}" if share else "",
        )
        for device in devices
    )
    return Claim(
        key=ClaimKey(f"team/{name}"),
        uid=Uid(f"uid-{name}"),
        spec=ClaimSpec(),
        allocation=ClaimAllocation(results=results),
        reserved_for=tuple(Consumer("pods", pod.key.split("/")[1], pod.uid) for pod in users),
        queue_label="labelled",
    )
