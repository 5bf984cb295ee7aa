"""Pods as records: the many events that change nothing but a pod's status skip the careful reading.

``metadata.generation`` (Kubernetes 1.33) is 1 until somebody changes the pod's spec; binding does not count. While
it is 1 and the labels are the same, the interned spec of the known record still holds.
"""

from __future__ import annotations

import sys
from bisect import insort
from dataclasses import replace
from operator import attrgetter

from kai_sched.api import keys
from kai_sched.api.kinds import POD, Raw
from kai_sched.api.last_resorts import node_taken
from kai_sched.api.membership import Membership, is_scheduled_by, names_its_group, with_membership
from kai_sched.api.translate import SpecInterner, TranslateContext, translate_pod
from kai_sched.api.translate.gpu_share import SHARE_ANNOTATIONS
from kai_sched.api.translate.pods import outside_of
from kai_sched.api.trim import trim
from kai_sched.cluster.ports import Document, PodGrouper
from kai_sched.cluster.shelf import Effect
from kai_sched.cluster.sightings import Change, ChangeKind
from kai_sched.model.ids import NodeName, PodGroupKey, PodKey
from kai_sched.model.snapshot import Unreadable
from kai_sched.model.workloads import EXTENDED_RESOURCES, Pod, PodState

_UNTOUCHED = 1
_ANNOTATION_KEPT = 1024
"""Characters; those that are read are names and numbers."""
_SHARES = frozenset(SHARE_ANNOTATIONS)
_PHASES = {"Succeeded": PodState.SUCCEEDED, "Failed": PodState.FAILED}
_status_of = attrgetter("state", "node", "nominated_node", "has_finalizers")
_TEXT_KEPT_BYTES = 8 << 20
"""Text of specs that were read since those of pods that are gone were forgotten."""


class PodShelf:
    """Pods by key, and their keys in order."""

    def __init__(self, context: TranslateContext, grouper: PodGrouper | None = None) -> None:
        self.records: dict[PodKey, Pod] = {}
        self.unreadable: dict[str, Unreadable] = {}
        self.nodes_of_unreadable: dict[str, str] = {}
        """Where pods run that we cannot read: nobody can say what room is left there."""
        self.version = 0
        self.context = context
        self._grouper = grouper
        self._assigned: set[PodKey] = set()
        """Pods whose group was told by the grouper."""
        self._interner = SpecInterner()
        self._order: list[PodKey] = []
        self._order_is_stale = False
        self._touched: set[PodKey] = set()
        """Pods whose spec was changed after their creation, or whose generation is not told."""
        self._with_selectors: dict[PodKey, Document] = {}
        """What is read of pods whose meaning depends on the labels of namespaces; few."""

    def apply(self, change: Change) -> Effect:
        """Take one change."""
        key, document = PodKey(change.key), change.document
        if change.kind is ChangeKind.DELETED or document is None:
            return self._remove(key)
        known = self.records.get(key)
        if known is None or key in self._touched or key in self._with_selectors:
            return self._read(key, document)
        quick = quick_reading(known, document, is_assigned=key in self._assigned)
        if quick is None:
            return self._read(key, document)
        self.records[key] = quick
        self.version += 1
        effect = Effect.BOOKKEEPING if _status_of(quick) == _status_of(known) else Effect.MATERIAL
        return max(effect, self._seen_as_owner(key, document))

    def _seen_as_owner(self, key: PodKey, document: Document | None) -> Effect:
        """What the grouper reads of a pod may be news: for its own group, and for those of pods that it controls."""
        grouper = self._grouper
        if grouper is None:
            return Effect.NOTHING
        before = grouper.version
        for pod, membership in grouper.owner_seen(POD, key, document):
            self.regroup(pod, membership)
        return Effect.NOTHING if grouper.version == before else Effect.MATERIAL

    def in_order(self) -> list[Pod]:
        """All pods by key."""
        if self._order_is_stale:
            self._order = sorted(self.records)
            self._order_is_stale = False
        records = self.records
        return [records[key] for key in self._order]

    def namespaces_changed(self, context: TranslateContext) -> Effect:
        """Labels of namespaces changed: read again what depends on them."""
        self.context = context
        effects = [self._take(key, kept) for key, kept in list(self._with_selectors.items())]
        return max(effects, default=Effect.NOTHING)

    def _read(self, key: PodKey, document: Document) -> Effect:
        if _has_namespace_selector(document):
            self._with_selectors[key] = _kept_of(document)
        else:
            self._with_selectors.pop(key, None)
        if document["metadata"].get("generation") == _UNTOUCHED:
            self._touched.discard(key)
        else:
            self._touched.add(key)
        return self._take(key, document)

    def _take(self, key: PodKey, document: Document) -> Effect:
        record = translate_pod(document, self.context, self._interner)
        led = self._seen_as_owner(key, document)
        if isinstance(record, Unreadable):
            return max(led, self._cannot_read(key, document, record))
        if key in self.unreadable:
            self._forget_problem(key)
        return max(led, self._put(key, self._grouped(record, document)))

    def regroup(self, key: PodKey, membership: Membership | None) -> Effect:
        """The grouper found another group for a pod that it was shown before; None: the pod is alone."""
        known = self.records.get(key)
        if known is None or (key not in self._assigned and not known.is_alone):
            return Effect.NOTHING
        if membership is None:
            self._assigned.discard(key)
            return self._put(key, replace(known, group=PodGroupKey(key), is_alone=True))
        self._assigned.add(key)
        subgroup = membership.subgroup or known.subgroup
        return self._put(key, replace(known, group=membership.group, subgroup=subgroup, is_alone=False))

    def _grouped(self, record: Pod, document: Document) -> Pod:
        self._assigned.discard(record.key)
        if self._grouper is None:
            return record
        if not record.is_alone:
            self._grouper.pod_gone(record.key)
            return record
        membership = self._grouper.pod_seen(document)
        if membership is None:
            return record
        self._assigned.add(record.key)
        return with_membership(record, membership)

    def _put(self, key: PodKey, record: Pod) -> Effect:
        known = self.records.get(key)
        if known is None:
            self._note_key(key)
            effect = Effect.MATERIAL
        elif known == record:
            return Effect.NOTHING
        elif replace(known, resource_version=record.resource_version) == record:
            effect = Effect.BOOKKEEPING
        else:
            effect = Effect.MATERIAL
        self.records[key] = record
        self.version += 1
        return effect

    def _note_key(self, key: PodKey) -> None:
        if self._order_is_stale:
            return
        if not self._order or key > self._order[-1]:
            self._order.append(key)
        else:
            insort(self._order, key)

    def _remove(self, key: PodKey) -> Effect:
        self._assigned.discard(key)
        self._touched.discard(key)
        led = self._seen_as_owner(key, None)
        if self._grouper is not None:
            self._grouper.pod_gone(key)
        self._with_selectors.pop(key, None)
        had_problem = key in self.unreadable
        if had_problem:
            self._forget_problem(key)
        if self.records.pop(key, None) is None:
            return Effect.MATERIAL if had_problem else led
        self._order_is_stale = True
        self.version += 1
        if self._interner.text_bytes > _TEXT_KEPT_BYTES:
            self._interner.keep_only(pod.spec for pod in self.records.values())
        return Effect.MATERIAL

    def _cannot_read(self, key: PodKey, document: Document, problem: Unreadable) -> Effect:
        is_news = self.unreadable.get(key) != problem
        self.unreadable[key] = problem
        node = node_taken(document)
        if node:
            self.nodes_of_unreadable[key] = node
        else:
            self.nodes_of_unreadable.pop(key, None)
        self._assigned.discard(key)
        self._with_selectors.pop(key, None)
        if self._grouper is not None:
            self._group_unread(self._grouper, key, document)
        if self.records.pop(key, None) is not None:
            self._order_is_stale = True
        elif not is_news:
            return Effect.NOTHING
        self.version += 1
        return Effect.MATERIAL

    def give_up(self, change: Change, failure: str) -> Effect:
        """Reading a pod failed with an error of ours: it is nothing that we know, and its node takes no more."""
        key, document = PodKey(change.key), change.document
        self.unreadable.pop(key, None)
        self.nodes_of_unreadable.pop(key, None)
        if change.kind is not ChangeKind.DELETED and document is not None:
            self.unreadable[key] = Unreadable("Pod", key, "", f"reading failed: {failure}")
            if node := node_taken(document):
                self.nodes_of_unreadable[key] = node
        self._assigned.discard(key)
        self.records.pop(key, None)
        self._order_is_stale = True
        self.version += 1
        return Effect.MATERIAL

    def _group_unread(self, grouper: PodGrouper, key: PodKey, document: Document) -> None:
        """Its workload is one all the same: the group is made, and says what is wrong."""
        if is_scheduled_by(document, self.context.scheduler_name) and not names_its_group(document):
            grouper.pod_seen(document)
        else:
            grouper.pod_gone(key)

    def _forget_problem(self, key: PodKey) -> None:
        del self.unreadable[key]
        self.nodes_of_unreadable.pop(key, None)
        self.version += 1


def quick_reading(known: Pod, raw: Raw, *, is_assigned: bool = False) -> Pod | None:
    """The record after an event that left the spec alone; None: the pod must be read with care.

    ``known`` was read at generation 1 too: pods older than that counting get their 1 with their first change.
    ``is_assigned``: the pod's group does not come from the pod itself.
    """
    try:
        metadata, wire, status = raw["metadata"], raw["spec"], raw["status"]
        if not _same_identity(known, metadata, wire, is_assigned=is_assigned):
            return None
        return _with_status(known, metadata, wire, status)
    except (AttributeError, KeyError, TypeError):
        # Some field is absent or has a wrong type: the careful reading says which.
        return None


def _same_identity(known: Pod, metadata: Raw, wire: Raw, *, is_assigned: bool) -> bool:
    if metadata["generation"] != _UNTOUCHED or metadata["uid"] != known.uid:
        return False
    labels = metadata.get("labels") or {}
    spec = known.spec
    if labels != dict(spec.labels):
        return False
    annotations = metadata.get("annotations") or {}
    if spec.gpu_share is not None or known.problem or not _SHARES.isdisjoint(annotations):
        # What was or is said of a part of a GPU may have changed, or gone.
        return False
    if annotations.get(keys.SHARE_TICKET, "") != known.share_ticket:
        return False
    if known.group is None:
        return known.outside == outside_of(annotations, spec.namespace, wire)
    group = annotations.get(keys.POD_GROUP)
    if group:
        is_own_word = not is_assigned and not known.is_alone
        return is_own_word and known.group == f"{spec.namespace}/{group}"
    return is_assigned or known.is_alone


def _with_status(known: Pod, metadata: Raw, wire: Raw, status: Raw) -> Pod | None:
    is_going = "deletionTimestamp" in metadata
    if is_going != (known.releasing_since is not None) or not _has_same_claims(known, wire, status):
        return None
    node = _node_name(wire.get("nodeName"))
    # ``dataclasses.replace`` at a third of its cost: this runs once for every event.
    return Pod(
        known.key,
        known.uid,
        known.spec,
        _state(wire, status["phase"], is_going=is_going, is_bound=node is not None),
        known.group,
        known.subgroup,
        node,
        known.priority,
        known.task_priority,
        known.is_leader,
        known.created_at,
        known.claims,
        known.gpu_groups,
        known.gpu_indices,
        _node_name(status.get("nominatedNodeName")),
        bool(metadata.get("finalizers")),
        known.releasing_since,
        metadata["resourceVersion"],
        known.problem,
        known.share_ticket,
        known.is_alone,
        known.outside,
    )


def _state(wire: Raw, phase: str, *, is_going: bool, is_bound: bool) -> PodState:
    ended = _PHASES.get(phase)
    if ended is not None:
        return ended
    if is_going:
        return PodState.RELEASING
    if is_bound:
        return PodState.BOUND if phase in {"", "Pending"} else PodState.RUNNING
    return PodState.GATED if wire.get("schedulingGates") else PodState.PENDING


def _node_name(name: str | None) -> NodeName | None:
    """One object for equal names: every pod carries one."""
    return NodeName(sys.intern(name)) if name else None


def _has_same_claims(known: Pod, wire: Raw, status: Raw) -> bool:
    is_served_by_claim = "nodeName" in wire and "extendedResourceClaimStatus" in status
    if not known.claims and not wire.get("resourceClaims") and not is_served_by_claim:
        return True
    # A claim that was made for the pod and is deleted is made again, under another name.
    made = {
        entry["name"]: entry.get("resourceClaimName") for entry in status.get("resourceClaimStatuses") or ()
    }
    if is_served_by_claim:
        made[EXTENDED_RESOURCES] = status["extendedResourceClaimStatus"].get("resourceClaimName")
    own = {reference.name: reference.claim for reference in known.claims if reference.is_own}
    namespace = known.spec.namespace
    return own == {name: f"{namespace}/{claim}" for name, claim in made.items() if claim}


def _kept_of(document: Document) -> Document:
    """What is read of a pod, without the long texts that nobody reads; items of a list do not say their kind."""
    kept = trim({**document, "apiVersion": "v1", "kind": "Pod"}) or {}
    annotations = kept["metadata"].get("annotations")
    if isinstance(annotations, dict):
        short = {name: value for name, value in annotations.items() if len(str(value)) <= _ANNOTATION_KEPT}
        kept["metadata"]["annotations"] = short
    return kept


def _has_namespace_selector(document: Document) -> bool:
    spec = document.get("spec")
    affinity = spec.get("affinity") if isinstance(spec, dict) else None
    return bool(affinity) and "namespaceSelector" in str(affinity)
