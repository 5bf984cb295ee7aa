"""What to change in a PodGroup that exists already, so that it follows its workload without undoing its users' choices."""

from __future__ import annotations

from kai_sched.api import keys
from kai_sched.api.kinds import Raw
from kai_sched.grouping.owners import texts_of
from kai_sched.grouping.traits import GroupingSettings

_FOLLOWED = ("priorityClassName", "preemptibility", "preemptionDelay", "stalenessGracePeriod")
"""Fields of the spec that are the workload's to say."""


def updates_for(existing: Raw, wanted: Raw, settings: GroupingSettings | None = None) -> Raw | None:
    """A merge patch; None if nothing is to be changed.

    Never touched, once the object exists: queue, markUnschedulable, schedulingBackoff, subgroups, the labels of
    queue and node pool, and a topology constraint where the workload asks for none.
    """
    settings = settings or GroupingSettings()
    there, here = existing.get("metadata") or {}, wanted["metadata"]
    metadata: Raw = {}
    for part, kept in (
        ("labels", {settings.queue_label, keys.QUEUE}),
        ("annotations", set[str]()),
    ):
        old = texts_of(there.get(part))
        changed = {
            name: value
            for name, value in (here.get(part) or {}).items()
            if old.get(name) != value
            and not (name in kept and name in old)
            and name != settings.partition_label
        }
        if changed:
            metadata[part] = changed
    if there.get("ownerReferences") != here["ownerReferences"] and not _is_owned(there, here):
        metadata["ownerReferences"] = here["ownerReferences"]
    spec = _spec_changes(existing.get("spec") or {}, wanted["spec"])
    patch = {name: part for name, part in (("metadata", metadata), ("spec", spec)) if part}
    return patch or None


def _spec_changes(old: Raw, new: Raw) -> Raw:
    changes = {field: new.get(field) for field in _FOLLOWED if old.get(field) != new.get(field)}
    # Somebody gave the group a structure of its own: its minimum is in there now.
    if (
        not old.get("subGroups")
        and old.get("minSubGroup") is None
        and old.get("minMember") != new["minMember"]
    ):
        changes["minMember"] = new["minMember"]
    constraint = new.get("topologyConstraint")
    if constraint and (old.get("topologyConstraint") or {}) != constraint:
        gone = dict.fromkeys(old.get("topologyConstraint") or {})
        changes["topologyConstraint"] = {**gone, **constraint}
    return changes


def _is_owned(there: Raw, here: Raw) -> bool:
    """Whether the owner is listed already, perhaps beside others and with more said about it."""
    listed = there.get("ownerReferences") or []
    uids = {reference.get("uid") for reference in listed if isinstance(reference, dict)}
    return all(reference["uid"] in uids for reference in here["ownerReferences"])
