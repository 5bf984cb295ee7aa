"""What devices of the class there are: the sizes that parts are measured by."""

from __future__ import annotations

from dataclasses import dataclass

from kai_sched.devices.closures import OPEN
from kai_sched.devices.index import DeviceIndex
from kai_sched.webhook.share import Sharing


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Devices of one class, by whether several claims may have a part of them or one claim has them whole."""

    shareable: int = 0
    largest_shareable_bytes: int = 0
    exclusive: int = 0
    smallest_exclusive_bytes: int = 0
    """0 where none says how much it has."""


def survey(index: DeviceIndex, sharing: Sharing) -> Survey:
    """The devices of the class as they are published."""
    if sharing.device_class not in index.classes:
        return Survey()
    key = (sharing.device_class, (), OPEN)
    shareable: list[int] = []
    exclusive: list[int] = []
    for entry in index.current_devices:
        verdict = index.verdict_on(key, entry)
        if isinstance(verdict, str) or not verdict.is_match:
            continue
        capacity = dict(entry.device.capacity).get(sharing.capacity)
        size = 0 if capacity is None else int(capacity.value)
        (shareable if entry.device.allow_multiple_allocations else exclusive).append(size)
    return Survey(
        shareable=len(shareable),
        largest_shareable_bytes=max(shareable, default=0),
        exclusive=len(exclusive),
        smallest_exclusive_bytes=min((size for size in exclusive if size), default=0),
    )
