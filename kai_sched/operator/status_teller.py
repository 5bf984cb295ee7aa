"""Tells one object's status: offers it to the publisher, or finds that the object says it already."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Protocol

import orjson

from kai_sched.cluster.kube.resources import Resource
from kai_sched.cluster.ports import Document
from kai_sched.operator.amounts import AMOUNTS, says_amounts, with_removals
from kai_sched.operator.pruning import OURS, Pruning
from kai_sched.operator.publisher import Publisher, Saying

REPAIR_SECONDS: Final = 5.0
"""A status that was written and does not show: longer than a watch takes to tell of our own write."""


class MergePatch(Protocol):
    """The call that telling a status takes."""

    async def patch_merge(self, path: str, body: Document) -> Document: ...


@dataclass(frozen=True, slots=True)
class Calm:
    """How long other figures, and a new reason, are held back."""

    seconds: float
    patience_seconds: float = 0.0


class StatusTeller:
    """Judges by what the API server keeps: parts that it prunes are sent along, and never a reason to write."""

    def __init__(self, calls: MergePatch, publisher: Publisher, pruning: Pruning) -> None:
        self._calls = calls
        self._publisher = publisher
        self._pruning = pruning

    def tell(
        self, resource: Resource, key: str, document: Document, status: Document, gist: Hashable, calm: Calm
    ) -> bool:
        """Have the object say ``status``; ``document`` is the object as it is now.

        False: offer it again in the next cycle, it is not known to be written.
        """
        path = resource.item_of_key(key, "status")
        present: Document = document.get("status") or {}
        body = {"status": with_removals(present, status)}

        async def send() -> object:
            answer = await self._calls.patch_merge(path, body)
            self._pruning.learn(resource, status, answer)
            return answer

        kept = _without_ours(status) if self._pruning.is_pruned(resource) else status
        ours = {name: part for name, part in kept.items() if name not in AMOUNTS}
        is_shown = _says(present, ours)
        saying = Saying(
            subject=(resource.plural, document["metadata"]["uid"]),
            namespace=key.rpartition("/")[0],
            gist=gist,
            detail=orjson.dumps(kept, option=orjson.OPT_SORT_KEYS),
            send=send,
            calm_seconds=calm.seconds,
            patience_seconds=calm.patience_seconds,
            repair_seconds=None if is_shown else REPAIR_SECONDS,
        )
        if is_shown and says_amounts(present, kept):
            self._publisher.is_so(saying)
            return True
        return self._publisher.offer(saying)


def _without_ours(status: Document) -> Document:
    return {name: part for name, part in status.items() if name != OURS}


def _says(present: Document, wanted: Document) -> bool:
    """Whether a merge patch with ``wanted`` would change nothing."""
    for key, value in wanted.items():
        if isinstance(value, dict):
            if not _says(present.get(key) or {}, value):
                return False
        elif present.get(key) != value:
            return False
    return True
