"""Pod groups that live in memory only: of single pods, and of workloads until their object exists."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kai_sched.api import keys
from kai_sched.api.kinds import Raw
from kai_sched.api.times import parse_time
from kai_sched.api.translate import PriorityTable, is_preemptible, translate_pod_group
from kai_sched.grouping.decisions import TRAIN, Alone, Awaited, Decision, Together, Unknown
from kai_sched.grouping.manifests import group_name, topology_constraint
from kai_sched.grouping.owners import Owner
from kai_sched.grouping.traits import (
    GroupingSettings,
    PodFacts,
    duration_of,
    preemptibility_of,
    priority_class_of,
    queue_of,
    skips_grouping,
)
from kai_sched.model.ids import PodGroupKey, QueueName, Uid, key_of
from kai_sched.model.snapshot import Unreadable
from kai_sched.model.workloads import GroupOrigin, PodGroup, TopologyConstraint

_WAITS_FOR_OTHERS: Final = (
    f"annotation {keys.SKIP_GROUPING} leaves grouping to others, and the pod names no pod group yet "
    f"(annotation {keys.POD_GROUP})"
)


def group_of_one(
    decision: Decision,
    chain: tuple[Owner, ...],
    pod: PodFacts,
    priorities: PriorityTable,
    settings: GroupingSettings,
) -> PodGroup:
    """The group of a pod that is alone, or that nobody may place as it stands."""
    top = chain[-1] if chain else None
    default_class = decision.default_class if isinstance(decision, Alone) else TRAIN
    priority = priorities.value(priority_class_of(chain, pod, priorities, default_class, settings))
    delay = duration_of(keys.PREEMPTION_DELAY, chain, pod, may_be_negative=False)
    grace = duration_of(keys.STALENESS_GRACE, chain, pod, may_be_negative=True)
    origin, detail = _origin(decision, chain, pod)
    constraint, problem = _constraint(top or pod)
    return PodGroup(
        key=PodGroupKey(pod.key),
        uid=Uid(pod.uid),
        queue=QueueName(queue_of(top, chain, pod, settings)),
        origin=origin,
        constraint=constraint,
        priority=priority,
        is_preemptible=is_preemptible(preemptibility_of(chain, pod), priority),
        created_at=_instant(pod.created_at),
        preemption_delay_seconds=delay[1] if delay else 0.0,
        staleness_grace_seconds=grace[1] if grace else None,
        problem=problem,
        detail=detail,
    )


def group_of_awaited(
    decision: Awaited,
    chain: tuple[Owner, ...],
    pod: PodFacts,
    priorities: PriorityTable,
    settings: GroupingSettings,
) -> PodGroup:
    """The group of pods that wait for their owner to be seen; those that run pay by what is known of them."""
    key = PodGroupKey(key_of(pod.namespace, group_name(decision.owner)))
    group = group_of_one(decision, chain, pod, priorities, settings)
    return replace(group, key=key, uid=Uid(f"uid-{key}"), constraint=None, problem="")


def group_of_workload(
    decision: Together, manifest: Raw, priorities: PriorityTable, pod: PodFacts
) -> PodGroup:
    """The group that the object will be; its ``problem`` says why none can be made."""
    group = translate_pod_group(manifest, priorities)
    metadata = manifest["metadata"]
    key = PodGroupKey(key_of(metadata["namespace"], metadata["name"]))
    if isinstance(group, Unreadable):
        queue = QueueName(manifest["spec"]["queue"])
        return PodGroup(key=key, uid=Uid(f"uid-{key}"), queue=queue, problem=f"{group.field}: {group.reason}")
    return replace(
        group,
        created_at=_instant(decision.owner.created_at or pod.created_at),
        problem=decision.problem or group.problem,
    )


def _origin(decision: Decision, chain: tuple[Owner, ...], pod: PodFacts) -> tuple[GroupOrigin, str]:
    if skips_grouping(chain, pod):
        return GroupOrigin.MISSING, _WAITS_FOR_OTHERS
    if isinstance(decision, Awaited):
        reference = decision.owner.reference
        return GroupOrigin.AWAITED, f"{reference.kind.name} {pod.namespace}/{reference.name}"
    if isinstance(decision, Unknown):
        return GroupOrigin.UNKNOWN_KIND, str(decision.kind)
    return GroupOrigin.BARE_POD, ""


def _constraint(owner: Owner | PodFacts) -> tuple[TopologyConstraint | None, str]:
    asked = topology_constraint(owner)
    constraint = TopologyConstraint(
        topology=asked.get("topology", ""),
        required_level=asked.get("requiredTopologyLevel", ""),
        preferred_level=asked.get("preferredTopologyLevel", ""),
    )
    if not constraint.required_level and not constraint.preferred_level:
        return None, ""
    missing = "" if constraint.topology else f"metadata.annotations[{keys.TOPOLOGY}]: is missing"
    return constraint, missing


def _instant(text: str) -> float:
    """A creation time as the API server writes it; a file may leave it out."""
    try:
        return parse_time(text)
    except ValueError:
        return 0.0
