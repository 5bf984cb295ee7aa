"""Write, then look: where another scheduler gives devices of the same nodes, both may have given the same one.

Nobody else looks, so it is always we who give back. A look is worth something once it shows whatever was written before
our own write, that is once our own write is seen; and the other one may write for a moment more, until it has seen ours.
That moment is taken to be a few times as long as ours was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from kai_sched.binder.ports import KnownObjects
from kai_sched.binder.wait import DeviceWait
from kai_sched.model.ids import PodKey
from kai_sched.model.plan import Placement

FIRST_SECONDS: Final = 0.25
MOST_SECONDS: Final = 3.0
_POLL_SECONDS: Final = 0.05
_TIMES_OURS: Final = 2.0


class LastLook:
    """Of one gang, before its first bind. It costs time only beside another scheduler that is giving devices."""

    __slots__ = ("_has_waited", "_known", "_wait")

    def __init__(self, known: KnownObjects, wait: DeviceWait) -> None:
        self._known = known
        self._wait = wait
        self._has_waited = False

    async def doubly_given(self, placements: Sequence[Placement]) -> Mapping[PodKey, str]:
        """The pods of which a device was given to another claim too, each with which."""
        has_written = any(part.allocation for placement in placements for part in placement.claims)
        if has_written and not self._has_waited and self._known.others_take_devices():
            self._has_waited = True
            await self._until_all_is_seen(placements)
        return self._known.doubly_given(placements)

    async def _until_all_is_seen(self, placements: Sequence[Placement]) -> None:
        began = self._wait.clock()
        while not self._known.shows_claims(placements) and self._wait.clock() - began < MOST_SECONDS:
            await self._wait.pause(_POLL_SECONDS)
        ours = self._wait.clock() - began
        await self._wait.pause(min(MOST_SECONDS, max(FIRST_SECONDS, _TIMES_OURS * ours)))
