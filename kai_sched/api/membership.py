"""What grouping answers: which pod belongs to which pod group, for pods that do not say it themselves.

The rules live in the layer above, one file a kind of workload; here is the shape of the answer and the simplest rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kai_sched.api import keys
from kai_sched.api.kinds import POD, PRIORITY_CLASS, Raw
from kai_sched.api.objects import ObjectSet
from kai_sched.api.translate.fields import instant, section, text
from kai_sched.api.translate.priorities import PriorityTable, is_preemptible
from kai_sched.model.ids import PodGroupKey, PodKey, QueueName, Uid
from kai_sched.model.policy import Policy
from kai_sched.model.workloads import GroupOrigin, PodGroup


@dataclass(frozen=True, slots=True)
class Membership:
    """A pod's group and its subgroup there ("" if the group has none)."""

    group: PodGroupKey
    subgroup: str = ""


@dataclass(frozen=True, slots=True)
class Grouping:
    """Memberships of pods without a pod group of their own, and the groups that those need beside the existing ones."""

    memberships: Mapping[PodKey, Membership] = field(default_factory=dict)
    groups: tuple[PodGroup, ...] = ()


Grouper = Callable[[ObjectSet, Policy], Grouping]


def names_its_group(raw: Raw) -> bool:
    """Whether a pod carries the annotation that names its pod group."""
    annotations = section(section(raw, "metadata"), "annotations", "metadata")
    return bool(annotations.get(keys.POD_GROUP))


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
    candidates = (
        text(labels, keys.PRIORITY_CLASS, "metadata.labels"),
        text(spec, "priorityClassName", "spec"),
    )
    priority = priorities.value(next((name for name in candidates if priorities.has(name)), "train"))
    return PodGroup(
        key=PodGroupKey(key),
        uid=Uid(text(metadata, "uid", "metadata") or f"uid-{key}"),
        queue=QueueName(
            text(labels, keys.QUEUE, "metadata.labels")
            or text(labels, keys.PROJECT, "metadata.labels")
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
    return Grouping(groups=tuple(groups))
