"""Custody: which DRA devices a pod may have on nodes with confidential GPUs, and which only all together.

The rules for nodes (``rules.confidential``) know what a pod counts, not what its claims ask for; here is what its claims
must not get: a GPU that no driver on the host has, a confidential pod's part of a GPU, a part of a node that goes to one
pod as a whole. Fleets without such nodes and pods have no custody: nothing is closed, and nothing is looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kai_sched.devices.closures import OPEN, Closure
from kai_sched.devices.index import DeviceIndex
from kai_sched.devices.pools import PooledDevice
from kai_sched.devices.requests import MAX_RESULTS
from kai_sched.devices.results import pinned_node
from kai_sched.model.devices import AllocationMode, Claim, ClaimAllocation, DeviceRequest
from kai_sched.model.ids import ClaimKey, NodeName
from kai_sched.model.policy import ConfidentialRules, Policy
from kai_sched.model.workloads import PodSpec
from kai_sched.placement.node_table import Mask, NodeTable
from kai_sched.placement.rules.confidential import (
    ConfidentialNodes,
    takes_everything,
    tee_label,
    whole_mode_text,
)

_MOST_KEPT = 10_000
_FABRIC = "no fabric reaches into a confidential pod"
_NOT_PASSED_ON = "only devices that are passed through serve a confidential pod"
_SHARED = "a device that serves many is not given to a confidential pod"
_NO_DRIVER = "the node's GPUs are in a confidential mode, no driver on the host has them"
_NOT_CONFIDENTIAL = "the node is not in a confidential GPU mode"
_CHANGING = "the node is changing its confidential GPU mode"


@dataclass(frozen=True, slots=True)
class Terms:
    """What custody means for one kind of pod: its closure, nodes barred to it, claims that it may share with nobody."""

    closure: int = OPEN
    barred: Mask | None = None
    alone: frozenset[ClaimKey] = frozenset()


NO_TERMS = Terms()
Wanted = tuple[tuple[tuple[str, tuple[str, ...]], int], ...]
"""The alternatives of one request: (what matches, how many at most)."""


@dataclass(frozen=True, slots=True)
class _Gpu:
    """``home``: position of its node, -1 where it belongs to none."""

    entry: PooledDevice
    home: int
    is_passed_on: bool


@dataclass(frozen=True, slots=True)
class _Stock:
    """The devices that have to do with it, by ordinal."""

    gpus: Mapping[int, _Gpu]
    fabric: frozenset[int]
    """Devices that join pods to a fabric."""
    bundles: Mapping[int, frozenset[int]]
    """Node in a whole-node mode -> its GPUs, each piece of hardware once."""


class Custody:
    """The rules over one fleet."""

    def __init__(self, index: DeviceIndex, table: NodeTable, policy: Policy) -> None:
        self.index = index
        self.table = table
        self.rules = policy.confidential
        self._fabric_drivers = policy.fabric_drivers
        self._nodes = ConfidentialNodes.of(table, policy.confidential)
        self._has_nodes = bool(self._nodes.confidential.any())
        self._known: dict[object, tuple[int, Closure]] = {}

    @cached_property
    def _stock(self) -> _Stock:
        index, rules = self.index, self.rules
        fabric = frozenset(one.ordinal for one in index.current_devices if one.driver in self._fabric_drivers)
        gpus = {
            entry.ordinal: _Gpu(entry, _home(self.table, entry), is_passed_on(entry, rules))
            for entry in index.current_devices
            if entry.driver in rules.drivers
        }
        names = {(gpu.home, gpu.entry.device_id): gpu for gpu in gpus.values()}
        bundles: dict[int, set[int]] = {}
        for ordinal, gpu in gpus.items():
            if gpu.home >= 0 and self._nodes.whole[gpu.home] and not _has_twin(index, names, gpu):
                bundles.setdefault(gpu.home, set()).add(ordinal)
        return _Stock(gpus, fabric, {node: frozenset(found) for node, found in bundles.items()})

    def terms(self, spec: PodSpec, claims: Sequence[Claim], backing: Iterable[tuple[str, int]]) -> Terms:
        """The terms of a pod. ``backing``: device classes that stand for extended resources, with what it asks."""
        is_confidential = bool(tee_label(spec, self.rules))
        if not self.index.devices or not (is_confidential or self._has_nodes):
            return NO_TERMS
        wanted = [
            group
            for claim in claims
            for request in (claim.spec.requests if claim.allocation is None else ())
            if (group := _alternatives(request))
        ]
        wanted += [(((name, ()), count),) for name, count in backing]
        held = frozenset(
            ordinal
            for claim in claims
            if claim.allocation is not None
            for ordinal in self.ordinals_of(claim.allocation)
        )
        counted = tuple(part for part in spec.requests if part[0].startswith(self.rules.resource_prefix))
        key = (is_confidential, tuple(wanted), held, counted)
        known = self._known.get(key)
        if known is None:
            closure = self._closure(spec, wanted, held, is_confidential=is_confidential)
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            known = self._known[key] = (self.index.closures.number_of(closure), closure)
        is_single = is_confidential or bool(known[1].bundles)
        return Terms(
            known[0],
            self._barred(spec, known[1]),
            frozenset(claim.key for claim in claims if is_single and self._gives_gpus(claim)),
        )

    def ordinals_of(self, allocation: ClaimAllocation) -> frozenset[int]:
        """GPUs and ways into a fabric of an allocation, those left out that are only looked into."""
        node = pinned_node(allocation)
        found = (self.index.held_device(one, node) for one in allocation.results if not one.admin_access)
        ordinals = frozenset(entry.ordinal for entry in found if entry is not None)
        return ordinals & (self._stock.gpus.keys() | self._stock.fabric)

    def refuses(self, closure: int, allocation: ClaimAllocation) -> bool:
        """Whether a pod with that closure must not use what a claim has been given already."""
        return any(self.index.closures.reason(closure, one) for one in self.ordinals_of(allocation))

    def _closure(
        self, spec: PodSpec, wanted: Sequence[Wanted], held: frozenset[int], *, is_confidential: bool
    ) -> Closure:
        gpus = {
            ordinal
            for ordinal, gpu in self._stock.gpus.items()
            if is_confidential or (gpu.home >= 0 and self._nodes.confidential[gpu.home])
        }
        reached = [self._reached(group, gpus) for group in wanted]
        in_reach = held.union(*(found for part in reached for found, _ in part))
        takes_counted = takes_everything(self.table, spec, self.rules)
        reasons: dict[int, str] = {}
        bundles: dict[NodeName, frozenset[int]] = {}
        for ordinal in in_reach & gpus:
            gpu = self._stock.gpus[ordinal]
            reason = self._reason(gpu, is_confidential=is_confidential)
            bundle = self._stock.bundles.get(gpu.home)
            if not reason and bundle is not None:
                if _most(reached, held, bundle) < len(bundle) or not takes_counted[gpu.home]:
                    reason = (
                        f"the node is {whole_mode_text(self.rules)}, all its GPUs and switches go to one pod"
                    )
                else:
                    bundles[self.table.nodes[gpu.home].name] = bundle
            if reason:
                reasons[ordinal] = reason
        if is_confidential:
            joined = [found for group in wanted for found, _ in self._reached(group, self._stock.fabric)]
            reasons |= dict.fromkeys((held & self._stock.fabric).union(*joined), _FABRIC)
        return Closure(reasons, bundles)

    def _reason(self, gpu: _Gpu, *, is_confidential: bool) -> str:
        home = gpu.home
        if not is_confidential:
            return "" if gpu.is_passed_on else _NO_DRIVER
        if not gpu.is_passed_on:
            return _NOT_PASSED_ON
        if gpu.entry.device.allow_multiple_allocations:
            return _SHARED
        if home < 0:
            return ""
        if not self._nodes.confidential[home]:
            return _NOT_CONFIDENTIAL
        if not self._nodes.settled[home]:
            return _CHANGING
        return "" if self._nodes.ready[home] else f"the node does not have {self.rules.ready_label}=true"

    def _reached(self, group: Wanted, among: Collection[int]) -> list[tuple[frozenset[int], int]]:
        """For each alternative: the devices that it may be given, and how many of them."""
        found: list[tuple[frozenset[int], int]] = []
        for (class_name, selectors), count in group:
            if class_name not in self.index.classes:
                continue
            matching = set()
            for ordinal in among:
                verdict = self.index.verdict_on((class_name, selectors, OPEN), self.index.devices[ordinal])
                # What cannot be told for each device is told by the search, which must find it closed.
                if isinstance(verdict, str) or verdict.is_match:
                    matching.add(ordinal)
            found.append((frozenset(matching), count))
        return found

    def _gives_gpus(self, claim: Claim) -> bool:
        if claim.allocation is not None:
            return bool(self.ordinals_of(claim.allocation))
        groups = filter(None, map(_alternatives, claim.spec.requests))
        return any(found for group in groups for found, _ in self._reached(group, self._stock.gpus))

    def _barred(self, spec: PodSpec, closure: Closure) -> Mask | None:
        """Nodes of whose counted switches or GPUs the pod takes some, but not those that are published as devices."""
        asked = {name for name, _ in spec.requests if name.startswith(self.rules.resource_prefix)}
        if not asked or not self._stock.bundles:
            return None
        mask = np.zeros(len(self.table), dtype=bool)
        columns = [self.table.position_of[name] for name in asked if name in self.table.position_of]
        for node in self._stock.bundles:
            is_claimed = self.table.nodes[node].name in closure.bundles
            mask[node] = not is_claimed and bool((self.table.allocatable[node, columns] > 0).any())
        return mask if mask.any() else None


def is_passed_on(entry: PooledDevice, rules: ConfidentialRules) -> bool:
    """Whether a device is handed to virtual machines as it is."""
    names = (rules.passthrough_attribute, f"{entry.driver}/{rules.passthrough_attribute}")
    return any(
        value in rules.passthrough_values for name, (_, value) in entry.device.attributes if name in names
    )


def _home(table: NodeTable, entry: PooledDevice) -> int:
    return -1 if entry.home is None else table.index_of.get(entry.home, -1)


def _has_twin(index: DeviceIndex, gpus: Mapping[tuple[int, str], _Gpu], gpu: _Gpu) -> bool:
    """Whether the hardware of a device that the host's driver has is published for passing on too."""
    if gpu.is_passed_on:
        return False
    entry = gpu.entry
    names = (f"{entry.driver}/{entry.pool}/{name}" for name in index.aliases_of(entry))
    twins = (gpus.get((gpu.home, name)) for name in names)
    return any(twin is not None and twin.is_passed_on for twin in twins)


def _alternatives(request: DeviceRequest) -> Wanted:
    """What a request may be given; nothing where it only looks into devices."""
    entries = request.first_available or (request,)
    return tuple(
        (
            (entry.device_class, entry.selectors),
            MAX_RESULTS if entry.mode == AllocationMode.ALL else entry.count,
        )
        for entry in entries
        if not entry.admin_access
    )


def _most(
    reached: Sequence[Sequence[tuple[frozenset[int], int]]], held: frozenset[int], bundle: frozenset[int]
) -> int:
    """How many devices of a bundle a pod's claims may have together."""
    return len(held & bundle) + sum(
        max((count for found, count in group if not found.isdisjoint(bundle)), default=0) for group in reached
    )
