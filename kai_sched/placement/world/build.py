"""Builds the first world of a cycle from a snapshot: what is free now, and what will be once releases are done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kai_sched.devices.allocator import DeviceState, Options
from kai_sched.model.devices import Claim
from kai_sched.model.ids import ClaimKey
from kai_sched.model.policy import DeviceChoice, Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import ACTIVE, HOLDS_ROOM, Pod, PodState
from kai_sched.placement.rules.dynamic import DynamicRules
from kai_sched.placement.rules.static import StaticRules
from kai_sched.placement.rules.volumes import VolumesView
from kai_sched.placement.site.backing import Backing
from kai_sched.placement.site.base import WorldBase, cpu_column_of
from kai_sched.placement.site.fabrics import fabric_of_pod, fabrics_of
from kai_sched.placement.site.fleet_index import FleetCache, FleetIndex
from kai_sched.placement.site.shapes import ShapeTable, resource_names
from kai_sched.placement.world.gpu_shares import GpuShares, Group, held_groups
from kai_sched.placement.world.homes import Homes
from kai_sched.placement.world.room import Room
from kai_sched.placement.world.stays import stay_of
from kai_sched.placement.world.world import World


def build_world(snapshot: ClusterSnapshot, policy: Policy, cache: FleetCache) -> World:
    """The world before any decision of this cycle."""
    index = cache.index_of(snapshot.fleet, resource_names(snapshot.pods))
    base = _base(snapshot, policy, index)
    base.device_index.meter = base.meter
    world = World(base=base, now=_room(base), homes=_homes(base))
    for position, pod in enumerate(snapshot.pods):
        if pod.state is PodState.RELEASING:
            world.leave(stay_of(base, position))
    world.settle()
    return world


def _base(snapshot: ClusterSnapshot, policy: Policy, index: FleetIndex) -> WorldBase:
    table = index.table
    claims = {claim.key: claim for claim in snapshot.claims}
    has_cliques = bool((index.domains.codes("", policy.clique_label) >= 0).any())
    fabric_of = fabrics_of(snapshot.claims, policy.fabric_drivers) if has_cliques else {}
    custody = index.custody(policy)
    backing = Backing.of(index.devices, table, snapshot.pods)
    gpu_columns = tuple(table.axis.index(name) for name in policy.gpu_resources if name in table.axis)
    gpu_column_of = np.full(len(table.nodes), -1, dtype=np.int64)
    for column in reversed(gpu_columns):
        gpu_column_of[table.allocatable[:, column] > 0] = column
    return WorldBase(
        snapshot=snapshot,
        policy=policy,
        index=index,
        shapes=ShapeTable(table.axis, claims, index.devices, fabric_of, backing, custody),
        claims=claims,
        fabric_of=fabric_of,
        backing=backing,
        custody=custody,
        static_rules=StaticRules.of(table, snapshot, policy),
        device_options=_device_options(snapshot, policy, index),
        has_dynamic_rules=_has_dynamic_rules(snapshot.pods),
        nominated={
            position: table.index_of[pod.nominated_node]
            for position, pod in enumerate(snapshot.pods)
            if pod.nominated_node is not None and pod.nominated_node in table.index_of
        },
        gpu_columns=gpu_columns,
        gpu_column_of=gpu_column_of,
        cpu_column=cpu_column_of(table),
        has_gpus=(gpu_column_of >= 0) | _publishes_devices(index),
        everywhere=np.ones(len(table.nodes), dtype=bool),
        held_claims=_held_claims(snapshot.claims),
        all_nodes=np.arange(len(table.nodes), dtype=np.intp),
    )


def _held_claims(claims: Iterable[Claim]) -> dict[str, tuple[ClaimKey, ...]]:
    held: dict[str, list[ClaimKey]] = {}
    for claim in claims:
        for consumer in claim.reserved_for if claim.allocation is not None else ():
            held.setdefault(consumer.uid, []).append(claim.key)
    return {uid: tuple(dict.fromkeys(keys)) for uid, keys in held.items()}


def _homes(base: WorldBase) -> Homes:
    label = base.policy.fabric_node_label
    marks = (
        [(number, node.label(label)) for number, node in enumerate(base.table.nodes)]
        if base.fabric_of
        else ()
    )
    homes = Homes(
        base.domains.codes("", base.policy.clique_label),
        tuple((number, name) for number, name in marks if name),
    )
    for pod in base.pods if base.fabric_of else ():
        fabric = fabric_of_pod(pod, base.fabric_of)
        if fabric is not None and pod.state in ACTIVE and pod.node in base.table.index_of:
            homes.change(fabric, base.table.index_of[pod.node], +1)
    return homes


def _device_options(snapshot: ClusterSnapshot, policy: Policy, index: FleetIndex) -> Options:
    is_by_topology = policy.device_choice is DeviceChoice.TOPOLOGY
    preference = index.device_preference(policy.island_attributes) if is_by_topology else None
    return Options(
        now=snapshot.now,
        max_steps=policy.solver.search_steps,
        bug_compatible=policy.bug_compatible,
        preference=preference,
    )


def _publishes_devices(index: FleetIndex) -> NDArray[np.bool_]:
    names = {entry.home for entry in index.devices.current_devices}
    return np.array([node.name in names for node in index.table.nodes], dtype=bool)


def _has_dynamic_rules(pods: Iterable[Pod]) -> bool:
    seen: set[int] = set()
    for pod in pods:
        if id(pod.spec) in seen:
            continue
        seen.add(id(pod.spec))
        spec = pod.spec
        if (
            spec.pod_affinity
            or spec.pod_anti_affinity
            or spec.topology_spread
            or spec.host_ports
            or spec.volume_claims
            or spec.inline_volumes
        ):
            return True
    return False


def _room(base: WorldBase) -> Room:
    table, pods = base.table, base.pods
    holders = [pod for pod in pods if pod.state in HOLDS_ROOM and pod.node in table.index_of]
    reserved = _reserved(base, holders)
    shares = _shares(base, holders, reserved)
    volumes = VolumesView.of(base.snapshot) if base.has_dynamic_rules else None
    return Room(
        free=base.backing.open(table.allocatable - _used(base, holders, shares, reserved)),
        devices=DeviceState.from_claims(base.snapshot.claims, base.meter),
        dynamic=DynamicRules.build(table, pods if base.has_dynamic_rules else (), volumes),
        shares=shares,
    )


def _used(
    base: WorldBase, holders: Sequence[Pod], shares: GpuShares, reserved: Mapping[Group, int]
) -> NDArray[np.int64]:
    """int64[N, R] held by pods; a group of shared GPUs holds one whole GPU, by its reservation pod if it has one."""
    table = base.table
    used = np.zeros_like(table.allocatable)
    position = {name: column for column, name in enumerate(table.axis)}
    specs = {id(pod.spec): pod.spec for pod in holders}
    counts = Counter((table.index_of[pod.node], id(pod.spec)) for pod in holders if pod.node is not None)
    rows = {
        key: np.array([dict(spec.requests).get(name, 0) for name in position], dtype=np.int64)
        for key, spec in specs.items()
    }
    for (node, spec_id), count in counts.items():
        used[node] += rows[spec_id] * count
    for node, groups in shares.used.items():
        column = base.gpu_column_of[node]
        if column >= 0:
            used[node, column] += sum((node, group) not in reserved for group in groups)
    return used


def _reserved(base: WorldBase, holders: Sequence[Pod]) -> Counter[Group]:
    """Groups whose GPU reservation pods hold: they ask for a whole one, and have no part themselves."""
    return Counter(
        (base.table.index_of[pod.node], group)
        for pod in holders
        if pod.node is not None and pod.spec.gpu_share is None
        for group in pod.gpu_groups
    )


def _shares(base: WorldBase, holders: Sequence[Pod], reserved: Mapping[Group, int]) -> GpuShares:
    table = base.table
    holding = (
        (table.index_of[pod.node], table.nodes[table.index_of[pod.node]], pod.spec.gpu_share, pod.gpu_groups)
        for pod in holders
        if pod.node is not None and pod.spec.gpu_share is not None and pod.gpu_groups
    )
    return held_groups(holding, reserved)
