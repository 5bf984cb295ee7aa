"""What grouping answers: which pod belongs to which pod group, for pods that do not say it themselves.

The rules live in the layer above, one file a kind of workload; here is the shape of the answer and the simplest rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from kai_sched.api import keys
from kai_sched.api.kinds import POD, PRIORITY_CLASS, Raw
from kai_sched.api.objects import ObjectSet
from kai_sched.api.translate.fields import instant, reference, section, text
from kai_sched.api.translate.pods import MOST_NAME_CHARACTERS
from kai_sched.api.translate.priorities import PriorityTable, is_preemptible
from kai_sched.model.ids import PodGroupKey, PodKey, QueueName, Uid
from kai_sched.model.policy import Policy
from kai_sched.model.workloads import GroupOrigin, Pod, PodGroup


@dataclass(frozen=True, slots=True)
class Membership:
    """A pod's group and its subgroup there ("" if the group has none)."""

    group: PodGroupKey
    subgroup: str = ""


@dataclass(frozen=True, slots=True)
class Grouping:
    """Memberships of pods that name no pod group, and the groups that those need beside the existing ones."""

    memberships: Mapping[PodKey, Membership] = field(default_factory=dict)
    groups: tuple[PodGroup, ...] = ()
    """Of workloads whose PodGroup object does not exist yet."""
    alone: tuple[PodGroup, ...] = ()
    """Of single pods, under the pod's own key; no object will ever stand for them."""


Grouper = Callable[[ObjectSet, Policy], Grouping]


def keys_alone(key: str) -> tuple[PodGroupKey, PodGroupKey]:
    """The keys that the group of a single pod may have: the pod's own, and one that no object can have."""
    return PodGroupKey(key), PodGroupKey(f"{key}:pod")


@dataclass(frozen=True, slots=True)
class NamesTaken:
    """Keys that stand for groups of several pods, so that no group of one may have them.

    A pod, a PodGroup object, a workload's group and a name in an annotation may all be called the same. None of them
    is the other for it.
    """

    keys: AbstractSet[str]

    @staticmethod
    def of(objects: Iterable[PodGroupKey], groups: Iterable[PodGroup], pods: Iterable[Pod]) -> NamesTaken:
        """``objects``: of every shard; ``groups``: those of workloads; ``pods``: with their memberships."""
        named = (pod.group for pod in pods if pod.group is not None and not pod.is_alone)
        return NamesTaken({*objects, *(group.key for group in groups), *named})

    def key_alone(self, key: PodKey | PodGroupKey) -> PodGroupKey:
        """The key of a pod's group of one: the pod's, or where that is taken one that no object can have."""
        return keys_alone(key)[key in self.keys]

    def pods(self, pods: Iterable[Pod]) -> list[Pod]:
        """The pods, each under the key that its group has."""
        return [
            replace(pod, group=self.key_alone(pod.key)) if pod.is_alone and pod.key in self.keys else pod
            for pod in pods
        ]

    def group(self, alone: PodGroup) -> PodGroup:
        """A group of one under the key that it has."""
        return replace(alone, key=self.key_alone(alone.key)) if alone.key in self.keys else alone


def goes_with(pod: Pod, homes: Mapping[str, bool], *, label_says: bool) -> bool:
    """Whether a pod is of the shard: it goes with its pod group, whatever its own label says (as in KAI).

    ``homes``: by PodGroup object, whether that is of the shard.
    """
    return label_says if pod.is_alone else homes.get(pod.group or "", label_says)


def as_stranger(pod: Pod) -> Pod:
    """The pod as one that others schedule and that only takes room."""
    return pod if pod.group is None else replace(pod, group=None, is_alone=False)


def with_membership(pod: Pod, membership: Membership | None) -> Pod:
    """The pod in the group that grouping found for it."""
    if membership is None or not pod.is_alone:
        return pod
    subgroup = membership.subgroup or pod.subgroup
    return replace(pod, group=membership.group, subgroup=subgroup, is_alone=False)


def names_its_group(raw: Raw) -> bool:
    """Whether a pod carries the annotation that names its pod group; one that is no name says nothing."""
    group = section(section(raw, "metadata"), "annotations", "metadata").get(keys.POD_GROUP)
    return bool(group) and len(str(group)) <= MOST_NAME_CHARACTERS


def is_scheduled_by(raw: Raw, scheduler_name: str) -> bool:
    """Whether a pod asks for this scheduler."""
    return (section(raw, "spec").get("schedulerName") or "default-scheduler") == scheduler_name


def lone_group(raw: Raw, priorities: PriorityTable, default_queue: str) -> PodGroup:
    """The group of a pod that belongs to no workload: itself.

    Raises:
        FieldError: a field has a value that it cannot have.
    """
    metadata, spec = section(raw, "metadata"), section(raw, "spec")
    labels = section(metadata, "labels", "metadata")
    key = f"{text(metadata, 'namespace', 'metadata') or 'default'}/{text(metadata, 'name', 'metadata')}"
    own, label = text(spec, "priorityClassName", "spec"), text(labels, keys.PRIORITY_CLASS, "metadata.labels")
    priority = priorities.value(own if priorities.has(own) else "train")
    if priorities.has(label):
        priority = min(priority, priorities.value(label))
    return PodGroup(
        key=PodGroupKey(key),
        uid=Uid(text(metadata, "uid", "metadata") or f"uid-{key}"),
        queue=QueueName(
            reference(labels, keys.QUEUE, "metadata.labels")
            or reference(labels, keys.PROJECT, "metadata.labels")
            or default_queue
        ),
        origin=GroupOrigin.BARE_POD,
        priority=priority,
        is_preemptible=is_preemptible(text(labels, keys.PREEMPTIBILITY, "metadata.labels"), priority),
        created_at=instant(metadata, "creationTimestamp", "metadata") or 0.0,
    )


def each_alone(objects: ObjectSet, policy: Policy) -> Grouping:
    """Every pod of ours that names no group is a group of one, whoever owns it."""
    priorities, _ = PriorityTable.build(objects.of(PRIORITY_CLASS))
    groups = []
    for raw in objects.of(POD):
        try:
            if is_scheduled_by(raw, policy.scheduler_name) and not names_its_group(raw):
                groups.append(lone_group(raw, priorities, policy.default_queue))
        except ValueError:
            # The pod's own translation reports it.
            continue
    return Grouping(alone=tuple(groups))
