"""Replays what happened, in the order of revisions, and judges each step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kai_sched.localcluster.conformance.rules import Violation, judge_allocation, judge_bind
from kai_sched.localcluster.conformance.state import State, allocation_of, holds_room, key_of, node_of

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one object."""

    revision: int
    kind: str
    document: Document
    is_gone: bool = False


@dataclass(slots=True)
class Replay:
    """The state so far, what was found wrong, and how much was looked at."""

    state: State = field(default_factory=State)
    violations: list[Violation] = field(default_factory=list)
    binds_seen: int = 0
    allocations_seen: int = 0
    reached: int = 0
    """The newest revision judged."""

    def advance(self, events: Iterable[Event]) -> None:
        """Takes over events, which are of one stretch of history and complete in it.

        Complete but for objects that came and went so fast that no list ever showed them: an event of such a one may
        be late, and what was true around it is no longer known.
        """
        for event in sorted(events, key=lambda event: event.revision):
            self._step(event)

    def restart(self, documents: Mapping[str, Iterable[Document]], revision: int) -> None:
        """Takes over a whole picture of one revision; what is new in it is judged once all of it is known."""
        before, self.state, self.reached = self.state, State(), revision
        for kind, items in documents.items():
            for document in items:
                self.state.apply(kind, document, is_gone=False)
        for kind in ("ResourceClaim", "Pod"):
            for key, document in self.state.objects[kind].items():
                self.violations += self._judge(kind, before.objects[kind].get(key), document, revision)

    def _step(self, event: Event) -> None:
        before = self.state.objects[event.kind].get(key_of(event.document))
        self.state.apply(event.kind, event.document, is_gone=event.is_gone)
        if event.revision < self.reached:
            return
        self.reached = event.revision
        if not event.is_gone:
            self.violations += self._judge(event.kind, before, event.document, event.revision)

    def _judge(
        self, kind: str, before: Document | None, after: Document, revision: int
    ) -> Iterator[Violation]:
        same = before is not None and before["metadata"]["uid"] == after["metadata"]["uid"]
        previous = before if same else None
        if kind == "Pod" and holds_room(after) and not (previous and node_of(previous)):
            self.binds_seen += 1
            yield from judge_bind(self.state, after, revision)
        if kind == "ResourceClaim" and _is_new(allocation_of(after), previous):
            self.allocations_seen += 1
            yield from judge_allocation(self.state, after, revision)


def _is_new(allocation: Document | None, previous: Document | None) -> bool:
    """Whether a claim got devices now; ``previous`` is the claim before, where it was there."""
    return allocation is not None and (previous is None or allocation_of(previous) != allocation)
