"""Traits of a group that its owners or its pod say by label or annotation: queue, priority, topology, times.

Where several say something: the top owner, then the pod, then owners between them. What makes no sense is passed
over, as KAI does, unless it asks for a place that cannot be found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from kai_sched.api import keys
from kai_sched.api.kinds import POD, Raw
from kai_sched.api.times import parse_duration
from kai_sched.api.translate import PriorityTable
from kai_sched.api.translate.fields import LONGEST_NAME
from kai_sched.grouping.owners import Owner, OwnerReference, controller_of, texts_of
from kai_sched.model.policy import Policy
from kai_sched.model.texts import shown

PREEMPTIBILITIES = frozenset({"preemptible", "non-preemptible"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupingSettings:
    """What grouping depends on besides the objects."""

    scheduler_name: str = keys.SCHEDULER_NAME
    default_queue: str = keys.DEFAULT_QUEUE
    queue_label: str = keys.QUEUE
    partition_label: str = keys.NODE_POOL
    partition_value: str = ""
    priority_label_may_raise: bool = False

    @staticmethod
    def of(policy: Policy) -> GroupingSettings:
        """What a policy says of it."""
        return GroupingSettings(
            scheduler_name=policy.scheduler_name,
            default_queue=policy.default_queue,
            partition_label=policy.partition_label,
            partition_value=policy.partition_value,
            priority_label_may_raise=policy.priority_label_may_raise,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFacts:
    """What grouping needs to know of a pod."""

    key: str
    uid: str
    created_at: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    priority_class: str
    controller: OwnerReference | None

    @property
    def namespace(self) -> str:
        return self.key.partition("/")[0]

    @staticmethod
    def of(document: Raw, settings: GroupingSettings) -> PodFacts:
        """Read a pod; raises ValueError for one that has no name."""
        metadata, spec = document.get("metadata"), document.get("spec")
        if not isinstance(metadata, dict) or not metadata.get("name"):
            raise ValueError("metadata.name is missing")
        key = f"{metadata.get('namespace') or 'default'}/{metadata['name']}"
        priority_class = spec.get("priorityClassName") if isinstance(spec, dict) else None
        labels = (*_POD_LABELS, settings.queue_label, settings.partition_label)
        return PodFacts(
            key=key,
            uid=str(metadata.get("uid") or f"uid-{key}"),
            created_at=str(metadata.get("creationTimestamp") or ""),
            labels=_kept(metadata.get("labels"), labels),
            annotations=_kept(metadata.get("annotations"), _POD_ANNOTATIONS),
            priority_class=priority_class if isinstance(priority_class, str) else "",
            controller=controller_of(document),
        )

    @property
    def as_owner(self) -> Owner:
        """The pod as the controller of other pods: a leader's workers, a driver's executors."""
        name = self.key.partition("/")[2]
        reference = OwnerReference(POD, "v1", name, self.uid)
        return Owner(reference, self.labels, self.annotations, self.created_at, self.controller, is_seen=True)


USER = "user"
"""Label or annotation that attributes a workload to a person."""
_POD_LABELS = (keys.PROJECT, keys.PRIORITY_CLASS, keys.PREEMPTIBILITY, USER)
_POD_ANNOTATIONS = (
    keys.POD_GROUP,
    keys.SKIP_GROUPING,
    keys.TOPOLOGY,
    keys.REQUIRED_LEVEL,
    keys.PREFERRED_LEVEL,
    keys.PREEMPTION_DELAY,
    keys.STALENESS_GRACE,
    USER,
)


def queue_of(top: Owner | None, chain: tuple[Owner, ...], pod: PodFacts, settings: GroupingSettings) -> str:
    """The queue label, else the project label with the node pool, else the default."""
    for labels in _labels(top, chain, pod):
        if queue := labels.get(settings.queue_label):
            return shown(queue, LONGEST_NAME)
    for labels in _labels(top, chain, pod):
        if project := labels.get(keys.PROJECT):
            pool = pod.labels.get(settings.partition_label)
            return shown(f"{project}-{pool}" if pool else project, LONGEST_NAME)
    return settings.default_queue


def priority_class_of(
    owners: tuple[Owner, ...],
    pod: PodFacts,
    priorities: PriorityTable,
    default: str,
    settings: GroupingSettings,
) -> str:
    """The class that owner or pod name, if it exists; else the default of the workload's kind.

    A label is anybody's to write, and ResourceQuotas do not see it: it never lifts a pod above its own class, or above
    that default where it has none, unless the policy allows it.
    """
    own = pod.priority_class if priorities.has(pod.priority_class) else default
    named = _named_class(owners, pod, priorities, default)
    is_lifted = priorities.value(named) > priorities.value(own)
    return own if is_lifted and not settings.priority_label_may_raise else named


def _named_class(owners: tuple[Owner, ...], pod: PodFacts, priorities: PriorityTable, default: str) -> str:
    for labels in (*(owner.labels for owner in owners), pod.labels):
        name = labels.get(keys.PRIORITY_CLASS) or pod.labels.get(keys.PRIORITY_CLASS) or pod.priority_class
        if name and priorities.has(name):
            return name
    return default


def preemptibility_of(owners: tuple[Owner, ...], pod: PodFacts) -> str:
    """What is said explicitly, "" if nothing is."""
    said = (
        labels.get(keys.PREEMPTIBILITY, "") for labels in (*(owner.labels for owner in owners), pod.labels)
    )
    return next((value for value in said if value in PREEMPTIBILITIES), "")


def duration_of(
    name: str, owners: tuple[Owner, ...], pod: PodFacts, *, may_be_negative: bool
) -> tuple[str, float] | None:
    """A duration annotation as written and in seconds; None if nobody gives a valid one."""
    for said in (*(owner.annotations for owner in owners), pod.annotations):
        written = said.get(name)
        if written is None:
            continue
        try:
            seconds = parse_duration(written)
        except ValueError:
            continue
        if seconds >= 0 or may_be_negative:
            return written, seconds
    return None


def skips_grouping(chain: tuple[Owner, ...], pod: PodFacts) -> bool:
    """Whether somebody else is to make the pod group."""
    everywhere = (pod.annotations, *(owner.annotations for owner in chain))
    return any(annotations.get(keys.SKIP_GROUPING) == "true" for annotations in everywhere)


def _kept(value: object, names: tuple[str, ...]) -> Mapping[str, str]:
    """The few entries that are read: there are many pods, and alike ones share them."""
    texts = texts_of(value)
    return _shared(tuple((name, texts[name]) for name in names if name in texts))


@lru_cache(maxsize=4096)
def _shared(entries: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    return MappingProxyType(dict(entries))


def _labels(top: Owner | None, chain: tuple[Owner, ...], pod: PodFacts) -> Iterator[Mapping[str, str]]:
    if top is not None:
        yield top.labels
    yield pod.labels
    for owner in chain:
        yield owner.labels
