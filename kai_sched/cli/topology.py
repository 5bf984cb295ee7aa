"""``kai-sched topology``: the fleet as a tree, with who holds what and what is free."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import typer

from kai_sched.api.objects import ObjectSet
from kai_sched.cli import options
from kai_sched.cli.output import OutputFormat, console, print_document
from kai_sched.cli.topology_document import view_document
from kai_sched.cli.topology_views import View, print_view
from kai_sched.cli.worlds import Scene, WorldOptions, load_world, world_of
from kai_sched.cluster.snapshots import read_cluster
from kai_sched.devices.allocator import DeviceIndex, DeviceState
from kai_sched.devices.damage import Damage
from kai_sched.errors import InvalidInput
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.topology.graph import CLUSTER, FleetGraph, GraphOptions, Kind
from kai_sched.topology.holders import Holders
from kai_sched.topology.inventory import Entry, Supply, inventory, pruned

MOST_NODES_IN_FULL = 8
"""More nodes are shown as one line each, unless a level is asked for."""
_KINDS = (Kind.NODE, Kind.NUMA, Kind.PCIE, Kind.DEVICE, Kind.PARTITION)


def topology(
    files: Annotated[
        list[Path] | None,
        typer.Option("-f", "--file", help="Snapshot file instead of the live cluster. Repeatable."),
    ] = None,
    kubeconfig: options.Kubeconfig = None,
    context: options.Context = None,
    topology_name: Annotated[
        str,
        typer.Option("--topology", help="Only nodes of this Topology, by its levels. Default: all nodes."),
    ] = "",
    level: Annotated[
        str,
        typer.Option(
            help="How deep: label or alias of a level, or node, numa, pcie, device, partition. "
            f"Default: everything for up to {MOST_NODES_IN_FULL} nodes, else a line a node."
        ),
    ] = "",
    node: Annotated[
        list[str] | None, typer.Option("--node", help="Only this node; * matches any text. Repeatable.")
    ] = None,
    free: Annotated[bool, typer.Option("--free", help="Only what can be had.")] = False,
    shard: options.Shard = None,
    config: options.Config = None,
    output: options.Output = OutputFormat.TABLE,
) -> None:
    """Show the fleet from racks and NVLink cliques down to devices and partitions, who holds what and what is free.

    Example: kai-sched topology -f examples/snapshots/mixed-fleet.yaml --node 'h100-*'
    """
    world_options = WorldOptions(shard=shard, config=config)
    if files and kubeconfig is not None:
        raise InvalidInput("give a snapshot file or a kubeconfig, not both", field="--kubeconfig")
    world = load_world(files, world_options) if files else live_world(kubeconfig, context, world_options)
    view = view_of(world, topology_name)
    depth = _depth(level, view)
    root = _filtered(view.root, node or [], only_free=free)
    view = replace(view, root=root, only_free=free)
    if output is not OutputFormat.TABLE:
        print_document(view_document(view, topology_name), output)
        return
    shown = sum(entry.place.kind is Kind.NODE for entry in root.walk())
    deepest = Kind.PARTITION if shown <= MOST_NODES_IN_FULL else Kind.NODE
    print_view(view, depth or deepest.value, console())


def live_world(kubeconfig: Path | None, context: str | None, world_options: WorldOptions) -> Scene:
    """The cluster as its API server has it now."""
    return world_of(ObjectSet(asyncio.run(read_cluster(kubeconfig, context))), world_options, "cluster")


def view_of(world: Scene, topology_name: str = "") -> View:
    """The fleet of a world with its holders.

    Raises:
        InvalidInput: there is no such topology.
    """
    snapshot, policy = world.snapshot, world.policy
    known = [each.name for each in snapshot.fleet.topologies]
    if topology_name and topology_name not in known:
        there = ", ".join(known) or "none"
        raise InvalidInput(f"no topology {topology_name!r} (there are: {there})", field="--topology")
    index = DeviceIndex.of(snapshot.fleet)
    graph = FleetGraph(
        replace(snapshot.fleet, slices=index.current_slices),
        GraphOptions(
            topology=topology_name,
            clique_label=policy.clique_label,
            island_attributes=policy.island_attributes,
            plugin_resources=policy.gpu_resources,
        ),
    )
    holders = Holders.of(snapshot, policy)
    titles = {policy.clique_label: "clique"} | {
        each.node_label: each.alias or each.node_label.rsplit("/", 1)[-1]
        for known_topology in snapshot.fleet.topologies
        for each in known_topology.levels
    }
    nodes = {str(each.name): each for each in snapshot.fleet.nodes}
    root = inventory(graph, CLUSTER, holders, _supply(snapshot, index))
    return View(root, graph, holders, nodes, titles, world.speeds)


def _supply(snapshot: ClusterSnapshot, index: DeviceIndex) -> Supply:
    damage = Damage(index, DeviceState.from_claims(snapshot.claims))
    return Supply(
        blocked={entry.device_id for entry in index.current_devices if not damage.can_be_had(entry)},
        closed={str(node.name) for node in snapshot.fleet.nodes if node.is_cordoned or not node.is_ready},
        shared={
            entry.device_id: {name: capacity.value for name, capacity in entry.device.capacity}
            for entry in index.current_devices
            if entry.device.allow_multiple_allocations
        },
    )


def _depth(level: str, view: View) -> str:
    if not level:
        return ""
    labels = sorted({entry.place.level for entry in view.root.walk() if entry.place.kind is Kind.DOMAIN})
    titles = [view.titles.get(label, label) for label in labels]
    there = [*dict.fromkeys(titles), *(kind.value for kind in _KINDS)]
    if level not in {*there, *labels}:
        raise InvalidInput(f"no level {level!r} (there are: {', '.join(there)})", field="--level")
    return level


def _filtered(root: Entry, patterns: Sequence[str], *, only_free: bool) -> Entry:
    for pattern in patterns:
        if not any(
            entry.place.kind is Kind.NODE and fnmatchcase(entry.place.name, pattern) for entry in root.walk()
        ):
            raise InvalidInput(f"no node matches {pattern!r}", field="--node")

    def is_asked(entry: Entry) -> bool:
        if patterns and entry.place.kind is Kind.NODE:
            return any(fnmatchcase(entry.place.name, pattern) for pattern in patterns)
        if patterns and entry.place.kind in {Kind.DOMAIN, Kind.POOL}:
            return any(is_asked(child) for child in entry.children)
        return True

    return pruned(root, lambda entry: is_asked(entry) and (entry.is_free() or not only_free))
