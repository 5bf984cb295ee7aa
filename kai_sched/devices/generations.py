"""Which slices of a pool count, seen from one node: the one definition for everything that decides.

A driver replaces a pool by publishing its next generation beside the old one, slice by slice, and nodes may publish
under one pool name with generations of their own. So a node goes by the newest generation among the slices that reach
it. Are they all of that generation, the pool is used as it is. Only else are the slices of other nodes looked at: a
newer generation among them makes the pool obsolete here, and the rest of this generation may complete it.

Source: GatherPools of k8s.io/dynamic-resource-allocation v0.37.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, Protocol, TypeVar

from kai_sched.devices.node_selection import slice_reaches
from kai_sched.model.devices import ResourceSlice
from kai_sched.model.nodes import Node

PoolKey = tuple[str, str]
"""(driver, pool name)."""


class Part(Protocol):
    """A slice, or something made of one."""

    @property
    def published(self) -> ResourceSlice:
        """The slice."""


PartT = TypeVar("PartT", bound=Part)


class Completeness(Enum):
    """What a node may make of a pool."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    """Slices of its generation are missing: the driver is writing them."""
    OBSOLETE = "obsolete"
    """A newer generation has nothing for this node: the driver is taking the pool away from it."""


@dataclass(frozen=True, slots=True)
class Sight(Generic[PartT]):
    """A pool as one node sees it."""

    here: tuple[PartT, ...]
    """Slices of the newest generation that reaches the node."""
    elsewhere: tuple[PartT, ...]
    """The others of that generation, where those here are not all and something is shared through counters."""
    completeness: Completeness


class WholePool(Generic[PartT]):
    """All slices of one pool in the cluster, whichever nodes they reach."""

    __slots__ = ("_by_generation", "_counted", "parts")

    def __init__(self) -> None:
        self.parts: list[PartT] = []
        self._by_generation: dict[int, list[PartT]] = {}
        self._counted: set[int] = set()

    def add(self, part: PartT) -> None:
        """One slice more."""
        self.parts.append(part)
        self._by_generation.setdefault(part.published.generation, []).append(part)
        if part.published.shared_counters or any(one.consumes_counters for one in part.published.devices):
            self._counted.add(part.published.generation)

    @property
    def newest(self) -> int:
        """The newest generation of all."""
        return max(self._by_generation)

    @property
    def has_generations(self) -> bool:
        """Whether more than one generation is published."""
        return len(self._by_generation) > 1

    def has_counters(self, generation: int) -> bool:
        """Whether devices of a generation share anything with those of other nodes."""
        return generation in self._counted

    def of_generation(self, generation: int) -> Sequence[PartT]:
        """The slices of one generation."""
        return self._by_generation.get(generation, ())


def newest_that_reach(node: Node, candidates: Iterable[PartT]) -> dict[PoolKey, list[PartT]]:
    """Of each pool the slices of the newest generation that reaches the node; ``candidates`` may hold others."""
    labels = dict(node.labels)
    newest: dict[PoolKey, list[PartT]] = {}
    for part in candidates:
        published = part.published
        if not slice_reaches(published, node, labels):
            continue
        group = newest.setdefault((published.driver, published.pool), [])
        if group and published.generation > group[0].published.generation:
            group.clear()
        if not group or published.generation == group[0].published.generation:
            group.append(part)
    return newest


def _everything(_: ResourceSlice) -> bool:
    return True


def sight_of(
    here: Sequence[PartT],
    whole: WholePool[PartT],
    is_considered: Callable[[ResourceSlice], bool] = _everything,
) -> Sight[PartT]:
    """What a node makes of a pool of which these slices are the newest that reach it."""
    first = here[0].published
    parts = tuple(sorted(here, key=lambda part: part.published.name))
    if len(parts) == first.slice_count:
        return Sight(parts, (), Completeness.COMPLETE)
    if whole.newest > first.generation:
        return Sight(parts, (), Completeness.OBSOLETE)
    if not whole.has_counters(first.generation):
        # A pool over thousands of nodes: each of them only has to know that all is there.
        is_complete = len(whole.of_generation(first.generation)) == first.slice_count
        return Sight(parts, (), Completeness.COMPLETE if is_complete else Completeness.INCOMPLETE)
    current = [part for part in whole.of_generation(first.generation) if is_considered(part.published)]
    names = {part.published.name for part in parts}
    rest = tuple(part for part in current if part.published.name not in names)
    is_complete = len(current) == first.slice_count
    return Sight(parts, rest, Completeness.COMPLETE if is_complete else Completeness.INCOMPLETE)
