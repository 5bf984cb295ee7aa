"""Hardware partitions of a device: which there can be, what each takes, and where an admin's layout puts them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kai_sched.errors import InvalidInput
from kai_sched.localcluster.fleet.profile import Partitioning, PartitionProfile, Profile
from kai_sched.localcluster.fleet.spec import Devices


@dataclass(frozen=True, slots=True)
class Cut:
    """A partition at a place."""

    profile: PartitionProfile
    start: int

    @property
    def slots(self) -> range:
        return range(self.start, self.start + self.profile.slots)

    @property
    def variables(self) -> dict[str, str]:
        """For templates."""
        return {
            "profile": self.profile.profile,
            "flat": self.profile.profile.replace(".", "").replace("+", "-"),
            "id": str(self.profile.id),
            "start": str(self.start),
        }


def partitioning_of(profile: Profile, devices: Devices) -> Partitioning:
    """How the devices can be cut. Raises ``InvalidInput`` where they cannot."""
    if profile.partitioning is None:
        raise InvalidInput(
            f"devices of profile {devices.profile!r} cannot be partitioned", field="partitions"
        )
    return profile.partitioning


def all_cuts(partitioning: Partitioning) -> Iterator[Cut]:
    """Every partition at every place."""
    for profile in partitioning.profiles:
        for start in profile.starts:
            yield Cut(profile, start)


def static_cuts(partitioning: Partitioning, layout: Sequence[str]) -> list[Cut]:
    """Places for all partitions of a layout. Raises ``InvalidInput`` where one is unknown or they do not fit."""
    known = {profile.profile: profile for profile in partitioning.profiles}
    for name in layout:
        if name not in known:
            raise InvalidInput(
                f"no partition {name!r}; there are {', '.join(known)}", field="partitionLayout"
            )
    found = _seat([known[name] for name in layout], frozenset(range(partitioning.slots)))
    if found is None:
        raise InvalidInput(f"{', '.join(layout)} do not fit on one device", field="partitionLayout")
    return found


def static_counts(profile: Profile, devices: Devices, whole: int) -> dict[str, int]:
    """Extended resource -> count of a node whose device plugin offers static partitions."""
    partitioning = partitioning_of(profile, devices)
    static_cuts(partitioning, devices.partition_layout)
    names = (partitioning.resource.format(profile=name) for name in devices.partition_layout)
    return {name: count * whole for name, count in Counter(names).items()}


def counter_set(partitioning: Partitioning, variables: Mapping[str, str]) -> dict[str, Any]:
    """The counters of one whole device."""
    return {
        "name": partitioning.counter_set.format_map(variables),
        "counters": _counters(partitioning, partitioning.capacity, range(partitioning.slots)),
    }


def consumption(
    partitioning: Partitioning, variables: Mapping[str, str], cut: Cut | None
) -> list[dict[str, Any]]:
    """What a partition takes of its device's counters; None: the whole device, which takes all."""
    capacity = partitioning.capacity if cut is None else cut.profile.capacity
    slots = range(partitioning.slots) if cut is None else cut.slots
    name = partitioning.counter_set.format_map(variables)
    return [{"counterSet": name, "counters": _counters(partitioning, capacity, slots)}]


def _counters(
    partitioning: Partitioning, capacity: Mapping[str, str], slots: range
) -> dict[str, dict[str, str]]:
    counters = {_kebab(name): {"value": value} for name, value in capacity.items()}
    for slot in slots:
        counters[partitioning.slot_counter.format(slot=slot)] = {"value": "1"}
    return counters


def _seat(wanted: Sequence[PartitionProfile], free: frozenset[int]) -> list[Cut] | None:
    """First fit with backtracking: an early partition may have to make room for a later one."""
    if not wanted:
        return []
    for start in wanted[0].starts:
        cut = Cut(wanted[0], start)
        if free.issuperset(cut.slots):
            rest = _seat(wanted[1:], free - frozenset(cut.slots))
            if rest is not None:
                return [cut, *rest]
    return None


def _kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
