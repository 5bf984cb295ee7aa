"""Writes the PodGroups of workloads: the grouper says what is due, this one keeps asking at a decent pace.

Nothing waits for these writes: until the object exists, the group lives in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from kai_sched.cluster.kube.resources import POD_GROUPS
from kai_sched.cluster.ports import Document
from kai_sched.grouping import GroupWrite
from kai_sched.grouping.grouper import Verb
from kai_sched.model.ids import PodGroupKey
from kai_sched.operator.publisher import Publisher, Saying, Send

_RETRY_SECONDS: Final = (2.0, 5.0, 15.0, 60.0, 300.0)
"""A write stays due until its watch shows it; one that is refused for good is not asked for all the time."""


class GroupCalls(Protocol):
    """The calls that writing pod groups takes."""

    async def post(self, path: str, body: Document) -> Document: ...

    async def patch_merge(self, path: str, body: Document) -> Document: ...


@dataclass(slots=True)
class _Asked:
    write: GroupWrite
    attempts: int
    again_at: float


class GroupWriter:
    """Hands the writes that are due to the publisher, each once until it is time to try again."""

    def __init__(self, calls: GroupCalls, publisher: Publisher, clock: Callable[[], float]) -> None:
        self._calls = calls
        self._publisher = publisher
        self._clock = clock
        self._asked: dict[PodGroupKey, _Asked] = {}

    def offer(self, due: Iterable[GroupWrite]) -> int:
        """Write what is due now; what is due no more is forgotten. Returns how many are due."""
        now = self._clock()
        before, self._asked = self._asked, {}
        for write in due:
            asked = before.get(write.key)
            if asked is None or asked.write != write:
                asked = _Asked(write, 0, now)
            self._asked[write.key] = asked
            if asked.again_at <= now:
                asked.again_at = now + _RETRY_SECONDS[min(asked.attempts, len(_RETRY_SECONDS) - 1)]
                asked.attempts += 1
                self._publisher.once(
                    Saying(
                        subject=("pod group", write.key),
                        namespace=write.key.partition("/")[0],
                        gist=None,
                        send=self._sender(write),
                    )
                )
        return len(self._asked)

    def forget_all(self) -> None:
        """Begin anew: others may have written meanwhile."""
        self._asked.clear()

    def _sender(self, write: GroupWrite) -> Send:
        async def send() -> object:
            if write.verb is Verb.PATCH:
                return await self._calls.patch_merge(POD_GROUPS.item_of_key(write.key), write.document)
            namespace = write.key.partition("/")[0]
            return await self._calls.post(POD_GROUPS.collection(namespace), write.document)

        return send
