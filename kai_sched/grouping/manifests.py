"""The PodGroup object of a workload, as KAI's pod grouper makes it: name, owner, copied labels and annotations, spec."""

from __future__ import annotations

import yaml

from kai_sched.api import keys
from kai_sched.api.kinds import Raw
from kai_sched.api.translate import PriorityTable
from kai_sched.grouping.decisions import Together
from kai_sched.grouping.owners import Owner
from kai_sched.grouping.traits import (
    USER,
    GroupingSettings,
    PodFacts,
    duration_of,
    preemptibility_of,
    priority_class_of,
    queue_of,
)

API_VERSION = "scheduling.run.ai/v2alpha2"
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""Belongs to the object it was applied to: on a copy, kubectl would take the copy for the workload."""


def group_name(owner: Owner) -> str:
    """Name of the PodGroup of a workload; with the uid, so that a successor of the same name gets its own."""
    return f"pg-{owner.reference.name}-{owner.reference.uid}"


def pod_group_manifest(
    decision: Together,
    chain: tuple[Owner, ...],
    pod: PodFacts,
    priorities: PriorityTable,
    settings: GroupingSettings,
) -> Raw:
    """The PodGroup that the workload should have, told by one of its pods."""
    owner = decision.owner
    reference = owner.reference
    spec: Raw = {
        "minMember": decision.min_member,
        "queue": queue_of(owner, chain, pod, settings),
        "priorityClassName": priority_class_of((owner,), pod, priorities, decision.default_class, settings),
    }
    owners = tuple(dict.fromkeys(above.reference for above in (owner, *chain)))
    by_reference = {above.reference: above for above in (owner, *chain)}
    everyone = tuple(by_reference[name] for name in owners)
    if preemptibility := preemptibility_of(everyone, pod):
        spec["preemptibility"] = preemptibility
    if delay := duration_of(keys.PREEMPTION_DELAY, everyone, pod, may_be_negative=False):
        spec["preemptionDelay"] = delay[0]
    if grace := duration_of(keys.STALENESS_GRACE, everyone, pod, may_be_negative=True):
        spec["stalenessGracePeriod"] = grace[0]
    if constraint := topology_constraint(owner):
        spec["topologyConstraint"] = constraint
    return {
        "apiVersion": API_VERSION,
        "kind": "PodGroup",
        "metadata": {
            "name": group_name(owner),
            "namespace": pod.namespace,
            "labels": _labels(owner, pod, settings),
            "annotations": _annotations(owner, pod),
            "ownerReferences": [
                {
                    "apiVersion": reference.api_version,
                    "kind": reference.kind.name,
                    "name": reference.name,
                    "uid": reference.uid,
                }
            ],
        },
        "spec": spec,
    }


def topology_constraint(owner: Owner | PodFacts) -> Raw:
    """The constraint that annotations ask for; {} if none."""
    asked = {
        "topology": owner.annotations.get(keys.TOPOLOGY),
        "requiredTopologyLevel": owner.annotations.get(keys.REQUIRED_LEVEL),
        "preferredTopologyLevel": owner.annotations.get(keys.PREFERRED_LEVEL),
    }
    return {field: value for field, value in asked.items() if value}


def _labels(owner: Owner, pod: PodFacts, settings: GroupingSettings) -> dict[str, str]:
    labels = dict(owner.labels)
    for name in (USER, settings.partition_label):
        if name not in labels and name in pod.labels:
            labels[name] = pod.labels[name]
    return labels


def _annotations(owner: Owner, pod: PodFacts) -> dict[str, str]:
    reference = owner.reference
    group, _, version = reference.api_version.rpartition("/")
    origin = {
        "name": reference.name,
        "uid": reference.uid,
        "group": group,
        "version": version,
        "kind": reference.kind.name,
    }
    annotations = {keys.TOP_OWNER: yaml.safe_dump(origin, sort_keys=False)}
    if USER in pod.annotations:
        annotations[USER] = pod.annotations[USER]
    annotations.update(owner.annotations)
    annotations.pop(_LAST_APPLIED, None)
    return annotations
