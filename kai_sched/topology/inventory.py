"""Inventory: the fleet with its holders as one tree of values, which tables, pictures and documents are made of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fractions import Fraction

from kai_sched.topology.graph import FleetGraph, Kind, Place
from kai_sched.topology.holders import Holders, Holding


class State(StrEnum):
    """What may be done with a device."""

    FREE = "free"
    HELD = "held"
    SHARED = "shared"
    """Held in part; it takes more claims while its capacity lasts."""
    PARTLY = "partly"
    """Some of its partitions are held."""
    BLOCKED = "blocked"
    """Nobody holds it, but the hardware that it needs is held through another device."""
    CLOSED = "closed"
    """Nobody holds it, and nobody can: its node is cordoned or not ready."""


@dataclass(frozen=True, slots=True)
class Count:
    """Devices of one driver (or device-plugin resource) in a place; partitions are no devices of their own."""

    driver: str
    total: int
    free: int


@dataclass(frozen=True, slots=True)
class Capacity:
    """One capacity of a device that serves many."""

    name: str
    total: Fraction
    left: Fraction


@dataclass(frozen=True, slots=True)
class Entry:
    """A place, what is in it, and for devices who holds them."""

    place: Place
    children: tuple[Entry, ...] = ()
    state: State | None = None
    holders: tuple[Holding, ...] = ()
    capacity: tuple[Capacity, ...] = ()
    """Of a device that serves many."""
    is_closed: bool = False
    """Part of a node that takes no pods."""

    @property
    def is_device(self) -> bool:
        return self.place.kind in {Kind.DEVICE, Kind.PARTITION}

    def counts(self) -> tuple[Count, ...]:
        """By driver, in the order of names."""
        total: dict[str, int] = {}
        free: dict[str, int] = {}
        for entry in self.walk():
            if entry.place.kind is Kind.DEVICE:
                driver = entry.place.level
                total[driver] = total.get(driver, 0) + 1
                free[driver] = free.get(driver, 0) + (entry.state is State.FREE)
        return tuple(Count(driver, total[driver], free[driver]) for driver in sorted(total))

    def walk(self) -> Iterator[Entry]:
        """This entry and everything below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    def is_free(self) -> bool:
        """Whether anything in here can be had, in whole or in part."""
        return any(entry.state in {State.FREE, State.SHARED} and not entry.is_closed for entry in self.walk())


@dataclass(frozen=True, slots=True)
class Supply:
    """What the graph does not know of devices, by id. ``shared``: capacities of those that serve many.

    ``closed``: nodes that take no pods.
    """

    blocked: Collection[str] = ()
    closed: Collection[str] = ()
    shared: Mapping[str, Mapping[str, Fraction]] = field(default_factory=dict)


def inventory(
    graph: FleetGraph, root: Place, holders: Holders, supply: Supply, *, is_closed: bool = False
) -> Entry:
    """The tree below a place; ``is_closed``: it is part of a node that takes no pods."""
    is_closed = is_closed or (root.kind is Kind.NODE and root.key in supply.closed)
    children = tuple(
        inventory(graph, child, holders, supply, is_closed=is_closed) for child in graph.children(root)
    )
    if root.kind not in {Kind.DEVICE, Kind.PARTITION}:
        return Entry(root, children)
    held_by = holders.by_device.get(root.key, ())
    capacity = _capacity(supply.shared[root.key], held_by) if root.key in supply.shared else None
    state = _state(children, held_by, capacity, is_blocked=root.key in supply.blocked)
    if is_closed and state in {State.FREE, State.BLOCKED}:
        state = State.CLOSED
    return Entry(root, children, state, held_by, capacity or (), is_closed=is_closed)


def _capacity(offered: Mapping[str, Fraction], held_by: tuple[Holding, ...]) -> tuple[Capacity, ...]:
    used: dict[str, Fraction] = {}
    for holding in held_by:
        for name, amount in holding.consumed:
            used[name] = used.get(name, Fraction(0)) + amount
    return tuple(
        Capacity(name, total, total - used.get(name, Fraction(0))) for name, total in sorted(offered.items())
    )


def _state(
    parts: tuple[Entry, ...],
    held_by: tuple[Holding, ...],
    capacity: tuple[Capacity, ...] | None,
    *,
    is_blocked: bool,
) -> State:
    if held_by:
        is_spent = capacity is None or any(each.left <= 0 for each in capacity)
        return State.HELD if is_spent else State.SHARED
    if any(part.holders for part in parts):
        is_cut_up = all(part.state not in {State.FREE, State.SHARED} for part in parts)
        return State.HELD if is_cut_up else State.PARTLY
    return State.BLOCKED if is_blocked else State.FREE


def pruned(entry: Entry, keep: Callable[[Entry], bool]) -> Entry:
    """Without what is not kept; what is kept inside keeps its surroundings."""
    children = tuple(pruned(child, keep) for child in entry.children if keep(child))
    return replace(entry, children=children)
