"""Devices that are given, and what of pools they take together: owners, parts, counters, hardware under two names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Final

from kai_sched.model.devices import Device, DeviceResult
from kai_sched.model.nodes import Node
from kai_sched.placement.checker.pools import PoolKey, Pools, Published, SeenPool
from kai_sched.placement.checker.violation import Violation, ViolationKind

_HARDWARE: Final = ("resource.kubernetes.io/pciBusID", "uuid")


@dataclass(frozen=True, slots=True)
class Given:
    """A device of a claim. ``node``: from where it is used; None: nobody tells."""

    result: DeviceResult
    node: Node | None = None
    is_added: bool = True
    """Given by what is judged; else it was given before."""


def check_given(pools: Pools, given: Iterable[Given]) -> Iterator[Violation]:
    """What is added must leave nothing overdrawn. Devices held for admin access take nothing."""
    by_device: dict[str, list[Given]] = defaultdict(list)
    names_in: dict[PoolKey, dict[str, bool]] = defaultdict(dict)
    views: dict[tuple[PoolKey, str], tuple[SeenPool, set[str]]] = {}
    for one in given:
        if one.result.admin_access:
            continue
        key = (one.result.driver, one.result.pool)
        by_device[one.result.device_id].append(one)
        # Whether the device was taken before: then what is added pays no counters.
        names_in[key][one.result.device] = names_in[key].get(one.result.device, False) or not one.is_added
        if one.is_added:
            where = (key, one.node.name if one.node is not None else "")
            if where not in views:
                views[where] = (_view(pools, key, one.node), set())
            views[where][1].add(one.result.device)
    for (key, _), (view, added) in sorted(views.items(), key=lambda item: item[0]):
        prefix = "/".join(key)
        for name in sorted(added):
            device = view.find(name)
            if device is not None:
                yield from _check_device(f"{prefix}/{name}", device, by_device[f"{prefix}/{name}"])
        yield from _check_counters(prefix, view, names_in[key], added)
        yield from _check_forms(prefix, view, names_in[key], added)


def _view(pools: Pools, key: PoolKey, node: Node | None) -> SeenPool:
    return pools.newest(key) if node is None else pools.seen(key, node)


def _check_device(name: str, device: Device, given: list[Given]) -> Iterator[Violation]:
    if not device.allow_multiple_allocations:
        if len(given) > 1:
            yield Violation(ViolationKind.DEVICE, name, f"is given to {len(given)} claims")
        return
    shares = [one.result.share_id for one in given]
    if len(set(shares)) != len(shares):
        yield Violation(ViolationKind.DEVICE, name, "is given twice under one share id")
    has = {key: capacity.value for key, capacity in device.capacity}
    used: dict[str, Fraction] = defaultdict(Fraction)
    grows: set[str] = set()
    for one in given:
        for key, amount in one.result.consumed_capacity:
            used[key] += amount
            if one.is_added and amount:
                grows.add(key)
    for key in sorted(grows):
        if used[key] > has.get(key, 0):
            message = f"{used[key]} of {key} are given, it has less"
            yield Violation(ViolationKind.DEVICE_CAPACITY, name, message)


def _check_counters(
    prefix: str, view: SeenPool, names: Mapping[str, bool], added: set[str]
) -> Iterator[Violation]:
    """Counters that something added takes from. A device pays once, however many have a part of it."""
    fresh = [name for name in added if not names[name]]
    uses = [use for name in fresh if (device := view.find(name)) for use in device.consumes_counters]
    grows = {(use.counter_set, name) for use in uses for name, amount in use.counters if amount}
    if not uses:
        return
    used: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    groups: dict[str, list[frozenset[str]]] = defaultdict(list)
    for name in _known(view, names):
        device = view.find(name)
        for use in device.consumes_counters if device is not None else ():
            groups[use.counter_set].append(frozenset(use.compatibility_groups))
            for counter, amount in use.counters:
                used[use.counter_set, counter] += amount
    for set_name, counter in sorted(grows):
        there = dict(view.counters[set_name].counters).get(counter, Fraction(0))
        if used[set_name, counter] > there:
            subject = f"{prefix}/{set_name}/{counter}"
            message = f"{used[set_name, counter]} are taken, {there} are there"
            yield Violation(ViolationKind.DEVICE_COUNTER, subject, message)
    for set_name in sorted({use.counter_set for use in uses}):
        sets = groups[set_name]
        if len(sets) > 1 and any(sets) and not frozenset.intersection(*sets):
            message = "devices are given that have no compatibility group in common"
            yield Violation(ViolationKind.DEVICE_COUNTER, f"{prefix}/{set_name}", message)


def _known(view: SeenPool, names: Collection[str]) -> Iterable[str]:
    """The names that a view knows: of a pool that is published under one name everywhere it knows a few of many."""
    return (name for name in (*view.devices, *view.others) if name in names)


def _check_forms(
    prefix: str, view: SeenPool, names: Mapping[str, bool], added: set[str]
) -> Iterator[Violation]:
    """One piece of hardware published under several names is given under one of them only."""
    forms: dict[tuple[str, object], list[str]] = defaultdict(list)
    for name in _known(view, names):
        found = view.devices.get(name)
        if found is None:
            continue
        for key, value in found.device.attributes:
            if key.removeprefix(f"{found.slice.driver}/") in _HARDWARE:
                forms[key.rpartition("/")[2], value].append(name)
    for known in forms.values():
        for name, other in combinations(sorted(known), 2):
            is_new = name in added or other in added
            if is_new and _are_two_forms(view.devices[name], view.devices[other]):
                message = f"is the same hardware as {prefix}/{other}, given too"
                yield Violation(ViolationKind.DEVICE, f"{prefix}/{name}", message)


def _are_two_forms(first: Published, second: Published) -> bool:
    """Of different types, and without counters that tell already what may be had together."""
    kinds = {
        value
        for found in (first, second)
        for key, value in found.device.attributes
        if key.removeprefix(f"{found.slice.driver}/") == "type"
    }
    sets = [{use.counter_set for use in found.device.consumes_counters} for found in (first, second)]
    return len(kinds) == 2 and sets[0].isdisjoint(sets[1])
