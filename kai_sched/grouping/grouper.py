"""WorkloadGrouper: keeps memberships and groups current while pods and owners come and go.

A mirror feeds it from watches; a snapshot file is fed to it in one go, so both group alike.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kai_sched.api import kinds
from kai_sched.api.kinds import Kind, Raw
from kai_sched.api.membership import Grouping, Membership, is_scheduled_by, names_its_group
from kai_sched.api.objects import ObjectSet
from kai_sched.api.snapshot import is_of_shard
from kai_sched.api.translate import PriorityTable
from kai_sched.grouping.decisions import Awaited, Decision, Together
from kai_sched.grouping.manifests import group_name, pod_group_manifest
from kai_sched.grouping.memory import group_of_awaited, group_of_one, group_of_workload
from kai_sched.grouping.owners import Owner, Owners, owner_of
from kai_sched.grouping.traits import GroupingSettings, PodFacts, skips_grouping
from kai_sched.grouping.updates import updates_for
from kai_sched.grouping.workloads import OWNER_KINDS, decide
from kai_sched.model.ids import PodGroupKey, PodKey
from kai_sched.model.policy import Policy
from kai_sched.model.workloads import PodGroup

Moved = tuple[PodKey, Membership | None]
"""A pod and where it belongs now; None: it is alone."""


class Verb(StrEnum):
    """How a pod group is written."""

    CREATE = "create"
    PATCH = "patch"


@dataclass(frozen=True, slots=True)
class GroupWrite:
    """A PodGroup to write: the whole object, or a merge patch."""

    key: PodGroupKey
    verb: Verb
    document: Raw


@dataclass(slots=True)
class _Workload:
    """A workload whose pods are one group, and what its PodGroup object is to be."""

    owner: Owner
    pods: set[PodKey]
    manifest: Raw | None = None
    """None: not told yet, or nothing can be made of it."""
    group: PodGroup | None = None
    """Stands for the object until that exists."""


class WorkloadGrouper:
    """Implements ``cluster.ports.PodGrouper``. Belongs to one event loop."""

    kinds: Final[Collection[Kind]] = frozenset((*OWNER_KINDS, kinds.POD_GROUP, kinds.PRIORITY_CLASS))
    """Besides pods, which may be owners, too."""

    def __init__(self, policy: Policy) -> None:
        self._settings = GroupingSettings.of(policy)
        self._policy = policy
        self._version = 0
        self._owners: Owners[PodFacts] = Owners()
        self._pods: dict[PodKey, PodFacts] = {}
        self._membership: dict[PodKey, PodGroupKey] = {}
        self._alone: dict[PodKey, PodGroup] = {}
        self._workloads: dict[PodGroupKey, _Workload] = {}
        self._existing: dict[PodGroupKey, Raw] = {}
        self._untold: set[PodGroupKey] = set()
        """Workloads whose manifest is to be made (again) before it is asked for."""
        self._unsettled: set[PodGroupKey] = set()
        """Workloads whose object may differ from what it should be."""
        self._classes: dict[str, Raw] = {}
        self._priorities = PriorityTable()
        self._groups: tuple[PodGroup, ...] | None = ()

    def serves(self, policy: Policy) -> bool:
        """Whether it groups as this policy says; else another is needed."""
        return self._settings == GroupingSettings.of(policy)

    @property
    def version(self) -> int:
        """Moves whenever ``groups`` or ``alone`` could answer differently."""
        return self._version

    def pod_gone(self, key: PodKey) -> None:
        """The pod is no more, or names its group itself now."""
        if self._pods.pop(key, None) is not None:
            self._leave(key)

    def owner_seen(self, kind: Kind, key: str, document: Raw | None) -> Iterable[Moved]:
        """An owner came, changed or went; the pods that belong elsewhere for it. A pod is an owner, too."""
        if kind == kinds.POD:
            return self._pod_seen_as_owner(PodKey(key), document)
        if kind == kinds.POD_GROUP:
            self._pod_group_seen(PodGroupKey(key), document)
            return ()
        if kind == kinds.PRIORITY_CLASS:
            self._class_seen(key, document)
            return ()
        namespace, _, name = key.partition("/")
        place = (kind, namespace, name)
        # Most changes of an owner are to its status.
        if document is None:
            is_news = self._owners.remove(place)
        else:
            is_news = self._owners.put(place, owner_of(place, document))
        return self._regroup(self._owners.pods_below(place)) if is_news else ()

    def _pod_seen_as_owner(self, key: PodKey, document: Raw | None) -> Iterable[Moved]:
        namespace, _, name = key.partition("/")
        if document is None:
            is_news = self._owners.remove_pod(key)
        else:
            facts = PodFacts.of(document, self._settings)
            is_news = self._owners.put_pod(key, facts)
            if is_news and key in self._pods:
                self._pods[key] = facts
        if not is_news:
            return ()
        return self._regroup((key, *self._owners.pods_below((kinds.POD, namespace, name))))

    def groups(self) -> Sequence[PodGroup]:
        """The groups of workloads whose PodGroup object does not exist yet."""
        if self._groups is None:
            self._tell()
            self._groups = tuple(
                workload.group
                for key, workload in self._workloads.items()
                if key not in self._existing and workload.group is not None
            )
        return self._groups

    def alone(self) -> Sequence[PodGroup]:
        """The groups of single pods, each under the pod's own key."""
        return tuple(self._alone.values())

    def memberships(self) -> dict[PodKey, Membership]:
        """The pods that are not alone."""
        return {pod: Membership(group) for pod, group in self._membership.items()}

    def writes(self) -> list[GroupWrite]:
        """PodGroups to create or patch now. A write stays due until the object is seen as it should be."""
        self._tell()
        due: list[GroupWrite] = []
        for key in sorted(self._unsettled):
            write = self._write_of(key)
            if write is None:
                self._unsettled.discard(key)
            else:
                due.append(write)
        return due

    def pod_seen(self, document: Raw) -> Membership | None:
        """Where a pod of ours that names no pod group belongs; None: it is alone.

        Raises:
            ValueError: the pod has no name.
        """
        facts = PodFacts.of(document, self._settings)
        key = PodKey(facts.key)
        if self._pods.get(key) != facts:
            self.pod_gone(key)
            if not is_of_shard(document, self._policy):
                return None
            # One object for both as a rule: there are many pods.
            facts = self._pods[key] = self._owners.known_pod(key, facts)
            self._join(key, facts)
        group = self._membership.get(key)
        return None if group is None else Membership(group)

    def _join(self, key: PodKey, facts: PodFacts) -> None:
        chain = self._owners.chain(facts.namespace, facts.controller)
        decision: Decision = decide(chain)
        self._changed()
        if skips_grouping(chain, facts) or not isinstance(decision, Together | Awaited):
            self._alone[key] = group_of_one(decision, chain, facts, self._priorities, self._settings)
            return
        name = PodGroupKey(f"{facts.namespace}/{group_name(decision.owner)}")
        self._membership[key] = name
        workload = self._workloads.setdefault(name, _Workload(decision.owner, set()))
        workload.owner = decision.owner
        workload.pods.add(key)
        self._note(name)

    def _leave(self, key: PodKey) -> None:
        self._changed()
        self._alone.pop(key, None)
        group = self._membership.pop(key, None)
        workload = self._workloads.get(group) if group is not None else None
        if group is None or workload is None:
            return
        workload.pods.discard(key)
        if workload.pods:
            self._note(group)
        else:
            del self._workloads[group]
            self._untold.discard(group)
            self._unsettled.discard(group)

    def _regroup(self, pods: Iterable[str]) -> list[Moved]:
        """Place these pods again, as far as they are ours to place; those that belong elsewhere now."""
        moved: list[Moved] = []
        for key in map(PodKey, dict.fromkeys(pods)):
            facts = self._pods.get(key)
            if facts is None:
                continue
            before = self._membership.get(key)
            self._leave(key)
            self._join(key, facts)
            after = self._membership.get(key)
            if after != before:
                moved.append((key, None if after is None else Membership(after)))
        return moved

    def _pod_group_seen(self, key: PodGroupKey, document: Raw | None) -> None:
        existed = key in self._existing
        if document is None:
            self._existing.pop(key, None)
        else:
            self._existing[key] = document
        if key in self._workloads:
            self._unsettled.add(key)
        if existed != (key in self._existing) and key in self._workloads:
            self._changed()

    def _class_seen(self, key: str, document: Raw | None) -> None:
        name = key.rpartition("/")[2]
        if document is None:
            self._classes.pop(name, None)
        else:
            self._classes[name] = document
        priorities, _ = PriorityTable.build(self._classes.values())
        if priorities == self._priorities:
            return
        self._priorities = priorities
        self._changed()
        for pod in list(self._alone):
            self._leave(pod)
            self._join(pod, self._pods[pod])
        for group in self._workloads:
            self._note(group)

    def _tell(self) -> None:
        """Make the manifests that are due. Of pods that differ, the first by key speaks for its workload."""
        for key in self._untold:
            workload = self._workloads[key]
            facts = self._pods[min(workload.pods)]
            chain = self._owners.chain(facts.namespace, facts.controller)
            decision = decide(chain)
            if isinstance(decision, Together):
                manifest = pod_group_manifest(decision, chain, facts, self._priorities, self._settings)
                workload.group = group_of_workload(decision, manifest, self._priorities, facts)
                workload.manifest = None if workload.group.problem else manifest
            elif isinstance(decision, Awaited):
                settings = self._settings
                workload.group = group_of_awaited(decision, chain, facts, self._priorities, settings)
                workload.manifest = None
        self._untold.clear()

    def _write_of(self, key: PodGroupKey) -> GroupWrite | None:
        workload = self._workloads[key]
        # A reference alone does not say whether its object still exists: nothing is made for a workload unseen.
        if workload.manifest is None or not workload.owner.is_seen:
            return None
        existing = self._existing.get(key)
        if existing is None:
            return GroupWrite(key, Verb.CREATE, workload.manifest)
        patch = updates_for(existing, workload.manifest, self._settings)
        return None if patch is None else GroupWrite(key, Verb.PATCH, patch)

    def _note(self, group: PodGroupKey) -> None:
        self._untold.add(group)
        self._unsettled.add(group)

    def _changed(self) -> None:
        self._version += 1
        self._groups = None


def group_objects(objects: ObjectSet, policy: Policy) -> Grouping:
    """Group the pods of a snapshot file: an ``api.membership.Grouper``."""
    grouper = grouper_of(objects, policy)
    return Grouping(grouper.memberships(), tuple(grouper.groups()), tuple(grouper.alone()))


def grouper_of(objects: ObjectSet, policy: Policy) -> WorkloadGrouper:
    """A grouper that has seen these objects."""
    grouper = WorkloadGrouper(policy)
    for kind in sorted(grouper.kinds):
        for raw in objects.of(kind):
            metadata = raw["metadata"]
            namespace = metadata.get("namespace") or "default"
            grouper.owner_seen(kind, f"{namespace}/{metadata['name']}", raw)
    for raw in objects.of(kinds.POD):
        grouper.owner_seen(
            kinds.POD, f"{raw['metadata'].get('namespace') or 'default'}/{raw['metadata']['name']}", raw
        )
        try:
            if is_scheduled_by(raw, policy.scheduler_name) and not names_its_group(raw):
                grouper.pod_seen(raw)
        except ValueError:
            # The pod's own translation reports it.
            continue
    return grouper
