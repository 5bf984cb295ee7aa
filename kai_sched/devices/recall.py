"""What a search found on a node serves every node that is alike, so that a fleet is searched once for each kind of node.

Two nodes are alike for some claims if everything that a search for them reads is equal, position by position: verdicts
of selectors, attributes under constraints, taints, counters, capacity, places, and what is held of each device. Only
what was found, plain "no" and "not within so many steps" are kept: an error names a device. The steps of the search are
kept too and counted once in each cycle, so that a decision does not depend on what was decided before.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from kai_sched.devices.attempt import Taken
from kai_sched.devices.capacity import Amounts
from kai_sched.devices.choice import DevicePreference
from kai_sched.devices.closures import OPEN
from kai_sched.devices.constraints import attribute_values
from kai_sched.devices.index import DeviceIndex
from kai_sched.devices.pools import Pool, PooledDevice
from kai_sched.devices.requests import PreparedClaim, PreparedRequest
from kai_sched.devices.state import DeviceState, PoolUse
from kai_sched.model.devices import Claim, ClaimSpec
from kai_sched.model.ids import NodeName
from kai_sched.model.nodes import Node

_MOST_KEPT: Final = 500_000
"""In entries of some hundred bytes; more of them are forgotten all at once."""
_ENTRIES_A_SET: Final = 100
"""Of a set of claims beside what every node is to it: its specs, and what makes nodes alike."""
_ENTRIES_A_KIND: Final = 10
"""Of a node unlike those seen before: what a search reads there. Of another node there is its name only."""
_ENTRIES_AN_ANSWER: Final = 10
"""Of an answer beside the devices that it names and those held when it was asked for."""

Found = tuple[tuple[PreparedClaim, list[PreparedRequest], list[Taken]], ...]
"""For each claim the claim, the alternative chosen for each request, and the devices."""
_Position = tuple[int, int]
"""(pool of the node, device of the pool)."""
_Held = tuple[tuple[int, ...], tuple[tuple[int, Hashable], ...]] | None
"""Of one pool the places of devices held whole, and the places of those held in part with what is held; None: nothing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a search ended with after so many steps; ``found`` None: no devices."""

    steps: int
    found: Found | None
    units: int = 0
    """The work of choosing among devices that serve."""
    is_unfinished: bool = False
    """It takes more steps than these."""


@dataclass(frozen=True, slots=True)
class _Kept:
    steps: int
    claims: tuple[tuple[PreparedClaim, list[PreparedRequest]], ...] | None
    taken: tuple[tuple[tuple[_Position, PreparedRequest, Amounts | None], ...], ...] = ()
    units: int = 0
    is_unfinished: bool = False


@dataclass(slots=True, eq=False)
class _Likeness:
    """Nodes as one set of claim specs sees them, and what was answered to it. Equal to itself only."""

    specs: tuple[ClaimSpec, ...]
    """Kept, so that their ids are not given to others."""
    kind_of: dict[NodeName, int | None] = field(default_factory=dict)
    """None: something about the node that cannot be compared."""
    kinds: dict[Hashable, int] = field(default_factory=dict)
    answers: dict[Hashable, _Kept] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Query:
    """A question to the memory, and the place where the answer belongs."""

    pools: tuple[Pool, ...]
    key: tuple[int, tuple[_Held, ...]]
    likeness: _Likeness
    memory: Recall

    @property
    def identity(self) -> Hashable:
        """Equal for questions that have one answer, also after the memory has forgotten it."""
        return self.likeness, self.key

    def answer(self, claims: Sequence[Claim]) -> Answer | None:
        """What is known; the devices are those of this question's node."""
        kept = self.likeness.answers.get(self.key)
        if kept is None or kept.claims is None:
            if kept is None:
                return None
            return Answer(kept.steps, None, is_unfinished=kept.is_unfinished)
        found = tuple(
            (
                PreparedClaim(claim, prepared.requests, prepared.constraints),
                chosen,
                [
                    Taken(self.pools[pool].devices[place], request, amounts)
                    for (pool, place), request, amounts in taken
                ],
            )
            for claim, (prepared, chosen), taken in zip(claims, kept.claims, kept.taken, strict=True)
        )
        return Answer(kept.steps, found, kept.units)

    def keep(self, answer: Answer) -> None:
        """Remember what a search has answered."""
        found = () if answer.found is None else answer.found
        entries = sum(len(taken) for *_, taken in found) + sum(map(_entries_held, self.key[1]))
        self.memory.make_room(_ENTRIES_AN_ANSWER + entries)
        if answer.found is None:
            self.likeness.answers[self.key] = _Kept(answer.steps, None, is_unfinished=answer.is_unfinished)
            return
        position_of = {
            entry.ordinal: (number, place)
            for number, pool in enumerate(self.pools)
            for place, entry in enumerate(pool.devices)
        }
        self.likeness.answers[self.key] = _Kept(
            answer.steps,
            tuple((prepared, chosen) for prepared, chosen, _ in answer.found),
            tuple(
                tuple((position_of[one.entry.ordinal], one.prepared, one.amounts) for one in taken)
                for _, _, taken in answer.found
            ),
            answer.units,
        )


class Recall:
    """The memory of one fleet."""

    def __init__(self) -> None:
        self._known: dict[Hashable, _Likeness] = {}
        self._entries = 0
        self._contents_of: dict[NodeName, int | None] = {}
        self._contents: dict[Hashable, int] = {}

    def __len__(self) -> int:
        """Sets of claims that it knows."""
        return len(self._known)

    def query(
        self,
        index: DeviceIndex,
        state: DeviceState,
        node: Node,
        claims: Sequence[Claim],
        preference: DevicePreference | None,
        closure: int = OPEN,
    ) -> Query | None:
        """The question that a search would answer; None where it cannot be compared with others."""
        # By identity: specs are interned, and hashing one is deep work.
        asked = tuple((id(claim.spec), claim.namespace_allows_admin) for claim in claims)
        key = (asked, preference is None, closure)
        likeness = self._known.get(key)
        if likeness is None:
            self.make_room(_ENTRIES_A_SET)
            likeness = _Likeness(tuple(claim.spec for claim in claims))
            self._known[key] = likeness
        pools = index.pools_of(node)
        if node.name not in likeness.kind_of:
            contents = self._contents_on(index, node, pools)
            signature = _signature(index, pools, contents, likeness.specs, preference, closure)
            known_kinds = len(likeness.kinds)
            kind = None if signature is None else likeness.kinds.setdefault(signature, known_kinds)
            likeness.kind_of[node.name] = kind
            self.make_room(1 if len(likeness.kinds) == known_kinds else _ENTRIES_A_KIND)
        kind = likeness.kind_of[node.name]
        if kind is None:
            return None
        uses = tuple(_held(pool, state.use_of(pool.key)) for pool in pools)
        return Query(pools, (kind, uses), likeness, self)

    def make_room(self, entries: int) -> None:
        """For so many entries, if need be by forgetting all others."""
        self._entries += entries
        if self._entries > _MOST_KEPT:
            self._known.clear()
            self._entries = entries

    def _contents_on(self, index: DeviceIndex, node: Node, pools: Sequence[Pool]) -> int | None:
        """A number for what the node's pools are made of: hashing it is deep work, once a node is enough."""
        if node.name not in self._contents_of:
            contents = _contents(index, pools)
            number = None if contents is None else self._contents.setdefault(contents, len(self._contents))
            self._contents_of[node.name] = number
        return self._contents_of[node.name]


def _held(pool: Pool, use: PoolUse) -> _Held:
    """What is held of a pool, by position."""
    if not use.dedicated and not use.shared:
        return None
    places = pool.places
    whole = sorted(places[name] for name in use.dedicated if name in places)
    shared = sorted(
        (places[name], tuple(sorted(shares.consumed.items())))
        for name, shares in use.shared.items()
        if name in places
    )
    return tuple(whole), tuple(shared)


def _entries_held(held: _Held) -> int:
    return 0 if held is None else len(held[0]) + len(held[1])


def _signature(
    index: DeviceIndex,
    pools: Sequence[Pool],
    contents: int | None,
    specs: Iterable[ClaimSpec],
    preference: DevicePreference | None,
    closure: int,
) -> Hashable | None:
    """Everything but holdings that a search on the node reads; None where it is not all comparable."""
    if contents is None:
        return None
    specs = tuple(specs)
    devices = [entry for pool in pools for entry in pool.devices]
    verdicts = _verdicts(index, devices, specs, closure)
    if verdicts is None:
        return None
    attributes = sorted(
        {part.match_attribute or part.distinct_attribute for spec in specs for part in spec.constraints}
    )
    located = [(entry.driver, entry.device) for entry in devices]
    return (
        contents,
        verdicts,
        tuple(_values(devices, name) for name in attributes),
        None if preference is None else preference.pattern(located),
    )


def _contents(index: DeviceIndex, pools: Sequence[Pool]) -> Hashable | None:
    """What the pools are made of, whoever asks; None where it cannot be compared."""
    if any(pool.is_incomplete or pool.invalid_reason for pool in pools):
        return None
    contents: list[Hashable] = []
    for pool in pools:
        aliases = _aliases(index, pool)
        everything = (*pool.devices, *pool.others)
        # Two devices of one name are held together; no position could tell.
        if aliases is None or len(pool.places) != len(everything):
            return None
        contents.append(
            (
                tuple(_content(entry, pool) for entry in everything),
                len(pool.devices),
                aliases,
                tuple(sorted(pool.counters.items())),
            )
        )
    return tuple(contents)


def _verdicts(
    index: DeviceIndex, devices: Iterable[PooledDevice], specs: Iterable[ClaimSpec], closure: int
) -> Hashable | None:
    """Which devices match which selectors; None where one fails or is expensive: that depends on who gets there."""
    requests = (
        entry for spec in specs for part in spec.requests for entry in part.first_available or (part,)
    )
    keys = {(entry.device_class, entry.selectors, closure) for entry in requests}
    if any(name not in index.classes for name, _, _ in keys):
        return None
    rows: list[Hashable] = []
    for key in sorted(keys):
        row: list[bool] = []
        for entry in devices:
            verdict = index.verdict_on(key, entry)
            if isinstance(verdict, str):
                return None
            row.append(verdict.is_match)
        rows.append(tuple(row))
    return tuple(rows)


def _content(entry: PooledDevice, pool: Pool) -> Hashable:
    device = entry.device
    return (
        device.capacity,
        device.consumes_counters,
        entry.taints,
        device.allow_multiple_allocations,
        bool(device.binding_conditions),
        bool(device.unsupported),
        entry.ordinal in pool.unreachable,
    )


def _aliases(index: DeviceIndex, pool: Pool) -> Hashable | None:
    """Which devices of the pool exclude each other, by position."""
    found: list[tuple[int, ...]] = []
    for entry in pool.devices:
        names = index.aliases_of(entry)
        if not all(name in pool.places for name in names):
            return None
        found.append(tuple(pool.places[name] for name in names))
    return tuple(found)


def _values(devices: Sequence[PooledDevice], attribute: str) -> Hashable:
    """An attribute's values; single ones as numbers, since only their equality counts."""
    values = [attribute_values(entry, attribute) for entry in devices]
    if any(value is not None and isinstance(value[1], tuple) for value in values):
        return tuple(values)
    numbers: Mapping[object, int] = {}
    numbers = {value: number for number, value in enumerate(dict.fromkeys(values)) if value is not None}
    return tuple(None if value is None else numbers[value] for value in values)


def recall_of(index: DeviceIndex) -> Recall:
    """The memory of a fleet; made when first asked for."""
    return index.memory.part(Recall)
