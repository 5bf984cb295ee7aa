"""Devices: each one known, reachable from its node, within its taints, and never given beyond what it has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Final

from kai_sched.model.devices import (
    Claim,
    ClaimAllocation,
    CounterSet,
    Device,
    DeviceResult,
    ResourceSlice,
)
from kai_sched.model.ids import ClaimKey
from kai_sched.model.nodes import Node
from kai_sched.model.selectors import NodeSelector, NodeSelectorTerm, Requirement
from kai_sched.model.snapshot import Fleet
from kai_sched.placement.checker.books import Books
from kai_sched.placement.checker.constraints import check_constraints
from kai_sched.placement.checker.violation import Violation, ViolationKind
from kai_sched.placement.node_table import is_well_formed, value_satisfies

_HARDWARE: Final = ("resource.kubernetes.io/pciBusID", "uuid")

Pool = tuple[str, str]
"""(driver, pool)."""


@dataclass(frozen=True, slots=True)
class PublishedDevice:
    """A device of the newest generation of its pool, with the part of the pool it was published in."""

    slice: ResourceSlice
    device: Device


@dataclass(frozen=True, slots=True)
class Inventory:
    """What the pools that a plan touches offer now."""

    devices: Mapping[str, PublishedDevice]
    counters: Mapping[Pool, Mapping[str, CounterSet]]


def check_devices(books: Books, planned: Mapping[ClaimKey, ClaimAllocation]) -> Iterator[Violation]:
    """Every device that the plan allocates, with all that is allocated already."""
    if not planned:
        return
    pools = {(result.driver, result.pool) for allocation in planned.values() for result in allocation.results}
    inventory = inventory_of(books.snapshot.fleet, pools)
    for placement in books.binds + books.pipelined:
        for entry in placement.claims:
            for result in entry.allocation.results if entry.allocation is not None else ():
                message = _unusable(inventory, result, books.nodes[placement.node])
                if message:
                    yield Violation(ViolationKind.DEVICE, result.device_id, message)
    for key, allocation in planned.items():
        if key in books.claims:
            devices = {name: found.device for name, found in inventory.devices.items()}
            yield from check_constraints(books.claims[key], allocation, devices)
    for in_future in (False, True) if books.pipelined or books.evicted else (False,):
        yield from _check_view(books, inventory, pools, in_future=in_future)


def selects(selector: NodeSelector, node: Node) -> bool:
    """Whether a node selector matches one node, read straight from its labels."""
    return any(_term_selects(term, node) for term in selector.terms)


def _term_selects(term: NodeSelectorTerm, node: Node) -> bool:
    def holds(requirement: Requirement, value: str | None) -> bool:
        return is_well_formed(requirement) and value_satisfies(requirement, value)

    if not term.expressions and not term.fields:
        return False
    labels = dict(node.labels)
    return all(holds(one, labels.get(one.key)) for one in term.expressions) and all(
        holds(one, node.name if one.key == "metadata.name" else None) for one in term.fields
    )


def inventory_of(fleet: Fleet, pools: Collection[Pool]) -> Inventory:
    """What some pools offer, by their newest generation."""
    slices = [one for one in fleet.slices if (one.driver, one.pool) in pools]
    newest: dict[Pool, int] = {}
    for one in slices:
        pool = (one.driver, one.pool)
        newest[pool] = max(newest.get(pool, one.generation), one.generation)
    devices: dict[str, PublishedDevice] = {}
    counters: dict[Pool, dict[str, CounterSet]] = defaultdict(dict)
    for one in slices:
        if one.generation != newest[one.driver, one.pool]:
            continue
        for device in one.devices:
            devices[f"{one.driver}/{one.pool}/{device.name}"] = PublishedDevice(one, device)
        counters[one.driver, one.pool].update({group.name: group for group in one.shared_counters})
    return Inventory(devices, counters)


def _unusable(inventory: Inventory, result: DeviceResult, node: Node) -> str:
    found = inventory.devices.get(result.device_id)
    if found is None:
        return "is not published"
    where: ResourceSlice | Device = found.device if found.slice.per_device_node_selection else found.slice
    reachable = (
        where.all_nodes
        or where.node_name == node.name
        or (where.node_selector is not None and selects(where.node_selector, node))
    )
    return "" if reachable else f"cannot be reached from node {node.name}"


def _check_view(
    books: Books, inventory: Inventory, pools: set[Pool], *, in_future: bool
) -> Iterator[Violation]:
    planned, all_results = _results(books, pools, in_future=in_future)
    touched = {result.device_id for result in planned if not result.admin_access}
    by_device: dict[str, list[DeviceResult]] = defaultdict(list)
    for result in all_results:
        if not result.admin_access:
            by_device[result.device_id].append(result)
    touched_pools = {(result.driver, result.pool) for result in planned}
    yield from check_given(inventory, by_device, touched=touched, pools=touched_pools)


def check_given(
    inventory: Inventory,
    by_device: Mapping[str, list[DeviceResult]],
    *,
    touched: Collection[str],
    pools: Collection[Pool],
) -> Iterator[Violation]:
    """Devices among ``touched`` and counters of ``pools`` of which ``by_device``, all that is given, takes too much."""
    for name in sorted(touched):
        found = inventory.devices.get(name)
        if found is not None:
            yield from _check_device(name, found.device, by_device[name])
    yield from _check_counters(inventory, by_device, pools)
    yield from _check_forms(inventory, by_device, touched)


def _results(
    books: Books, pools: set[Pool], *, in_future: bool
) -> tuple[list[DeviceResult], list[DeviceResult]]:
    """Devices that the plan gives, and all devices given in those pools."""
    leaving: set[str] = set()
    if in_future:
        leaving.update(pod.uid for pod in books.snapshot.pods if books.is_leaving(pod))
    given = [
        result
        for claim in books.claims.values()
        if claim.allocation is not None and not _is_coming_free(claim, leaving)
        for result in claim.allocation.results
        if (result.driver, result.pool) in pools
    ]
    fresh: dict[ClaimKey, ClaimAllocation] = {}
    for _, placement in books.newcomers(in_future=in_future):
        for entry in placement.claims:
            if entry.allocation is not None:
                fresh[entry.claim] = entry.allocation
    planned = [result for allocation in fresh.values() for result in allocation.results]
    return planned, given + planned


def _is_coming_free(claim: Claim, leaving: set[str]) -> bool:
    return bool(claim.reserved_for) and all(consumer.uid in leaving for consumer in claim.reserved_for)


def _check_device(name: str, device: Device, results: list[DeviceResult]) -> Iterator[Violation]:
    if len(results) > 1 and not device.allow_multiple_allocations:
        yield Violation(ViolationKind.DEVICE, name, f"is given to {len(results)} claims")
    if device.allow_multiple_allocations:
        shares = [result.share_id for result in results]
        if len(set(shares)) != len(shares):
            yield Violation(ViolationKind.DEVICE, name, "is given twice under one share id")
        capacity = dict(device.capacity)
        used: dict[str, Fraction] = defaultdict(Fraction)
        for result in results:
            for key, amount in result.consumed_capacity:
                used[key] += amount
        for key, amount in sorted(used.items()):
            if key not in capacity or amount > capacity[key].value:
                yield Violation(
                    ViolationKind.DEVICE_CAPACITY, name, f"{amount} of {key} are given, it has less"
                )


def _check_forms(
    inventory: Inventory, by_device: Mapping[str, list[DeviceResult]], touched: Collection[str]
) -> Iterator[Violation]:
    """One piece of hardware published under several names is given under one of them only."""
    forms: dict[tuple[str, str, object], list[str]] = defaultdict(list)
    for name, results in by_device.items():
        found = inventory.devices.get(name)
        if found is None or not results:
            continue
        own = f"{found.slice.driver}/"
        for key, value in found.device.attributes:
            if key.removeprefix(own) in _HARDWARE:
                forms[found.slice.driver, found.slice.pool, (key.removeprefix(own), value)].append(name)
    for names in forms.values():
        for name, other in combinations(sorted(names), 2):
            if not {name, other}.isdisjoint(touched) and _are_two_forms(inventory, name, other):
                yield Violation(ViolationKind.DEVICE, name, f"is the same hardware as {other}, given too")


def _are_two_forms(inventory: Inventory, name: str, other: str) -> bool:
    first, second = inventory.devices[name], inventory.devices[other]
    kinds = {
        value
        for found in (first, second)
        for key, value in found.device.attributes
        if key.removeprefix(f"{found.slice.driver}/") == "type"
    }
    sets = [{use.counter_set for use in found.device.consumes_counters} for found in (first, second)]
    return len(kinds) == 2 and sets[0].isdisjoint(sets[1])


def _check_counters(
    inventory: Inventory, by_device: Mapping[str, list[DeviceResult]], pools: Collection[Pool]
) -> Iterator[Violation]:
    used: dict[tuple[Pool, str, str], Fraction] = defaultdict(Fraction)
    for name, results in by_device.items():
        pool = (results[0].driver, results[0].pool) if results else ("", "")
        found = inventory.devices.get(name)
        if not results or found is None or pool not in pools:
            continue
        for consumption in found.device.consumes_counters:
            for counter, amount in consumption.counters:
                used[pool, consumption.counter_set, counter] += amount
    for (pool, set_name, counter), amount in sorted(used.items()):
        group = inventory.counters[pool].get(set_name)
        there = dict(group.counters).get(counter, Fraction(0)) if group is not None else Fraction(0)
        if amount > there:
            subject = "/".join((*pool, set_name, counter))
            yield Violation(ViolationKind.DEVICE_COUNTER, subject, f"{amount} are taken, {there} are there")
