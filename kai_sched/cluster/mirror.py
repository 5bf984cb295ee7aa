"""Mirror: what the API server holds, as model records, with the commands in flight laid over it.

Watches feed it (``sink`` for reflectors, ``event`` for other sources), ``snapshot`` reads it. What has not changed
since the last snapshot is the same object in the next, so that a quiet cluster costs nothing and the solving child
keeps what it derived from the fleet.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from kai_sched.api import kinds
from kai_sched.api.keys import SCHEDULER_NAME
from kai_sched.api.kinds import Kind
from kai_sched.api.membership import keys_alone
from kai_sched.api.translate import TranslateContext
from kai_sched.cluster.contained import Contained
from kai_sched.cluster.device_book import DeviceBook
from kai_sched.cluster.overlay import Overlay
from kai_sched.cluster.pod_shelf import PodShelf
from kai_sched.cluster.ports import Document, PodGrouper
from kai_sched.cluster.shelf import Effect
from kai_sched.cluster.sightings import Change, ChangeKind, Sightings
from kai_sched.cluster.stock import Stock
from kai_sched.cluster.view import View
from kai_sched.model.commands import BindGang
from kai_sched.model.ids import ClaimKey, NodeName, PodGroupKey, PodKey
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot, Unreadable
from kai_sched.model.workloads import Pod, PodState

_ON_NODE = frozenset({PodState.BOUND, PodState.RUNNING})


@dataclass(slots=True)
class Dirty:
    """What changed since it was last asked: kinds by name, and the pod groups whose pods changed."""

    kinds: set[str] = field(default_factory=set)
    groups: set[PodGroupKey] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.kinds or self.groups)


class Mirror:
    """The one view of the cluster that decisions are made from. Belongs to one event loop."""

    def __init__(
        self,
        scheduler_name: str = SCHEDULER_NAME,
        grouper: PodGrouper | None = None,
        contained: Contained | None = None,
    ) -> None:
        self._contained = contained or Contained()
        self.stock = Stock()
        self.pods = PodShelf(TranslateContext(scheduler_name=scheduler_name), grouper)
        self.wake = asyncio.Event()
        """Set when something changed that could change a decision."""
        self._grouper = grouper
        self.device_book = DeviceBook(time.monotonic)
        self._overlay = Overlay()
        self._view = View(self.stock, self.pods, self._overlay, grouper)
        self._dirty = Dirty()
        self._unsynced: set[Kind] = set()
        self._sightings: dict[Kind, Sightings] = {}

    def sink(self, kind: Kind) -> KindSink:
        """Where a list and watch of this kind delivers; the mirror waits for its first complete list."""
        self._unsynced.add(kind)
        return KindSink(self, kind)

    def sightings(self, kind: Kind) -> Sightings:
        """What has been seen of a kind that ``event`` feeds, for a comparison with a list."""
        return self._sightings.setdefault(kind, Sightings())

    def event(self, kind: Kind, event_type: str | None, document: Document) -> None:
        """One watch event of a kind that no reflector follows; the type None is an object that was there."""
        self.apply(kind, self.sightings(kind).see(event_type or "ADDED", document))

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """Kinds that have not been listed completely yet; no decision before this is empty."""
        return tuple(sorted(str(kind) for kind in self._unsynced))

    def mark_synced(self, kind: Kind) -> None:
        """The kind has been listed completely."""
        self._unsynced.discard(kind)
        self._note(kind)

    def take_dirty(self) -> Dirty:
        """What changed since the last call; ``wake`` is cleared."""
        taken, self._dirty = self._dirty, Dirty()
        self.wake.clear()
        return taken

    def apply(self, kind: Kind, changes: Sequence[Change]) -> None:
        """Take changes of one kind, in order."""
        if kind == kinds.POD:
            for change in changes:
                self._apply_pod(change)
            return
        effect = Effect.NOTHING
        for change in changes:
            with self._contained.guard("reading", f"{kind} {change.key}"):
                effect = max(effect, self._apply_one(kind, change))
        if effect is not Effect.NOTHING:
            effect = max(effect, self._follow_up(kind))
        if effect is Effect.MATERIAL:
            self._note(kind)

    def assume(self, command: BindGang) -> None:
        """Count a command as done until the watches show what became of it."""
        self._overlay.assume(command, self.pods.records, self.stock.claims.records)

    def forget(self, pods: Iterable[PodKey]) -> None:
        """These pods are not being bound any more: their command failed."""
        self._overlay.forget(pods)
        self._note(kinds.POD)

    def snapshot(self, now: float, policy: Policy) -> ClusterSnapshot:
        """Everything that a cycle may know at ``now``."""
        return self._view.snapshot(now, policy)

    def unreadable(self) -> tuple[Unreadable, ...]:
        """Every object that could not be read, by kind and key."""
        return self._view.unreadable()

    def _apply_pod(self, change: Change) -> None:
        key = PodKey(change.key)
        before = self.pods.records.get(key)
        assumed = self._overlay.node_of(key)
        effect = Effect.MATERIAL
        with self._contained.guard("reading", f"Pod {key}") as attempt:
            effect = self.pods.apply(change)
        if attempt.failure:
            effect = self.pods.give_up(change, attempt.failure)
        after = self.pods.records.get(key)
        self._overlay.pod_seen(key, after)
        self.device_book.pod_seen(key, after)
        if effect is not Effect.MATERIAL:
            return
        for pod in (before, after):
            if pod is not None and pod.group is not None:
                self._dirty.groups.update(keys_alone(pod.key) if pod.is_alone else (pod.group,))
        if not _is_expected(before, after, assumed):
            self._note(kinds.POD)

    def _apply_one(self, kind: Kind, change: Change) -> Effect:
        shelf = self.stock.by_kind.get(kind)
        effect = Effect.NOTHING if shelf is None else shelf.apply(change)
        if kind == kinds.RESOURCE_CLAIM:
            key = ClaimKey(change.key)
            claim = self.stock.claims.records.get(key)
            self._overlay.claim_seen(key, claim)
            self.device_book.claim_seen(key, claim)
        if self._grouper is not None and kind in self._grouper.kinds:
            # A watch says how an object looked when it went; for the grouper it is gone.
            document = None if change.kind is ChangeKind.DELETED else change.document
            before = self._grouper.version
            for pod, membership in self._grouper.owner_seen(kind, change.key, document):
                effect = max(effect, self.pods.regroup(pod, membership))
            if self._grouper.version != before:
                # A group may mean something else though all its pods stay in it.
                effect = Effect.MATERIAL
        if kind == kinds.POD_GROUP and effect is Effect.MATERIAL:
            # Its pods may have their nodes already: what there is to say of them is said on the new object.
            self._dirty.groups.add(PodGroupKey(change.key))
        return effect

    def _follow_up(self, kind: Kind) -> Effect:
        """Read again the records of other kinds whose meaning depends on this one."""
        if kind == kinds.NAMESPACE:
            labels = {name: dict(values) for name, values in self.stock.namespaces.records.values()}
            context = replace(self.pods.context, namespaces=labels)
            return max(self.stock.namespaces_changed(), self.pods.namespaces_changed(context))
        if kind == kinds.PRIORITY_CLASS:
            return self.stock.priorities_changed()
        return Effect.NOTHING

    def _note(self, kind: Kind) -> None:
        self._dirty.kinds.add(str(kind))
        self.wake.set()


class KindSink:
    """The mirror as the sink of one kind."""

    def __init__(self, mirror: Mirror, kind: Kind) -> None:
        self._mirror = mirror
        self._kind = kind

    def apply(self, changes: Sequence[Change]) -> None:
        """Take changes in order."""
        self._mirror.apply(self._kind, changes)

    def synced(self) -> None:
        """Everything that exists has been told."""
        self._mirror.mark_synced(self._kind)


def _is_expected(before: Pod | None, after: Pod | None, assumed: NodeName | None) -> bool:
    """Whether a change of a pod leaves every decision as it is."""
    if after is None:
        return before is not None and before.group is None and before.node is None
    if before is None:
        return after.group is None and after.node is None
    if after.group != before.group or after.spec != before.spec:
        return False
    if after.group is None and before.node is None and after.node is None:
        return True
    if before.node is None:
        return assumed is not None and after.node == assumed and after.state in _ON_NODE
    return before.state in _ON_NODE and after.state in _ON_NODE and before.node == after.node
