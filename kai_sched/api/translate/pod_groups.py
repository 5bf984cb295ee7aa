"""PodGroups (scheduling.run.ai/v2alpha2): the unit of admission, its tree of subgroups, its constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from kai_sched.api import keys
from kai_sched.api.kinds import Raw
from kai_sched.api.times import parse_time
from kai_sched.api.translate.fields import (
    LONGEST_NAME,
    flag,
    instant,
    integer,
    name_in,
    readable,
    reference,
    section,
    sections,
    text,
)
from kai_sched.api.translate.priorities import PriorityTable, is_preemptible
from kai_sched.api.translate.queues import duration
from kai_sched.model.ids import PodGroupKey, QueueName, Uid
from kai_sched.model.snapshot import Unreadable
from kai_sched.model.texts import shown
from kai_sched.model.words import chained
from kai_sched.model.workloads import PodGroup, SubGroup, TopologyConstraint

MOST_SUB_GROUPS: Final = 1000
DEEPEST: Final = 16
"""Levels of subgroups: what walks the tree must not be made to walk for ever, or to fall."""
PREEMPTIBILITIES: Final = frozenset({"", "preemptible", "non-preemptible"})
_NO_BACKOFF: Final = -1


def translate_pod_group(raw: Raw, priorities: PriorityTable) -> PodGroup | Unreadable:
    """One pod group; ``problem`` names what is contradictory in it."""
    return readable("PodGroup", _pod_group, raw, priorities)


def _pod_group(raw: Raw, priorities: PriorityTable) -> PodGroup:
    metadata, spec = section(raw, "metadata"), section(raw, "spec")
    labels, annotations = (
        section(metadata, "labels", "metadata"),
        section(metadata, "annotations", "metadata"),
    )
    key = f"{text(metadata, 'namespace', 'metadata') or 'default'}/{name_in(metadata, 'name', 'metadata')}"
    sub_groups = _sub_groups(spec)
    min_member = integer(spec, "minMember", "spec")
    min_sub_group = integer(spec, "minSubGroup", "spec")
    preemptibility = text(spec, "preemptibility", "spec")
    priority = priorities.value(text(spec, "priorityClassName", "spec"))
    backoff = integer(spec, "schedulingBackoff", "spec")
    return PodGroup(
        key=PodGroupKey(key),
        uid=Uid(text(metadata, "uid", "metadata") or f"uid-{key}"),
        queue=QueueName(reference(spec, "queue", "spec") or reference(labels, keys.QUEUE, "metadata.labels")),
        min_member=_minimum(min_member, has_children=bool(sub_groups)),
        min_sub_group=min_sub_group,
        sub_groups=sub_groups,
        constraint=_constraint(spec, "spec"),
        priority=priority,
        is_preemptible=is_preemptible(preemptibility, priority),
        created_at=instant(metadata, "creationTimestamp", "metadata") or 0.0,
        preemption_delay_seconds=duration(spec, "preemptionDelay", "spec") or 0.0,
        staleness_grace_seconds=duration(spec, "stalenessGracePeriod", "spec"),
        scheduling_backoff=_NO_BACKOFF if backoff is None else backoff,
        given_up_on="" if backoff in {None, _NO_BACKOFF} else _last_pool(section(raw, "status")),
        mark_unschedulable=flag(spec, "markUnschedulable", "spec", default=True),
        last_start_at=_instant_or_none(annotations, keys.LAST_START),
        last_eviction_at=_instant_or_none(annotations, keys.LAST_EVICTION),
        stale_since=_instant_or_none(annotations, keys.STALE_SINCE),
        resource_version=text(metadata, "resourceVersion", "metadata"),
        problem=_problem(spec, min_member, min_sub_group, preemptibility, sub_groups),
    )


def _minimum(min_member: int | None, *, has_children: bool) -> int:
    """Unsaid: one pod; above subgroups nothing, because they have their own minimum."""
    if min_member is not None:
        return min_member
    return 0 if has_children else 1


def _sub_groups(spec: Raw) -> tuple[SubGroup, ...]:
    found = []
    for index, raw in enumerate(sections(spec, "subGroups", "spec", MOST_SUB_GROUPS)):
        path = f"spec.subGroups[{index}]"
        found.append(
            SubGroup(
                name=name_in(raw, "name", path),
                parent=reference(raw, "parent", path),
                min_member=integer(raw, "minMember", path),
                min_sub_group=integer(raw, "minSubGroup", path),
                constraint=_constraint(raw, path),
            )
        )
    return tuple(found)


def _constraint(owner: Raw, path: str) -> TopologyConstraint | None:
    raw = section(owner, "topologyConstraint", path)
    here = f"{path}.topologyConstraint"
    constraint = TopologyConstraint(
        topology=reference(raw, "topology", here),
        required_level=reference(raw, "requiredTopologyLevel", here),
        preferred_level=reference(raw, "preferredTopologyLevel", here),
    )
    return constraint if constraint.required_level or constraint.preferred_level else None


def _last_pool(status: Raw) -> str:
    """The node pool of the last scheduling condition; a status that cannot be read says nothing."""
    entries = status.get("schedulingConditions")
    last = entries[-1] if isinstance(entries, list) and entries else None
    pool = last.get("nodePool") if isinstance(last, dict) else None
    return pool if isinstance(pool, str) else ""


def _instant_or_none(annotations: Raw, key: str) -> float | None:
    """State that we wrote ourselves; anything else there is as good as nothing."""
    value = annotations.get(key)
    try:
        return parse_time(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _problem(
    spec: Raw,
    min_member: int | None,
    min_sub_group: int | None,
    preemptibility: str,
    sub_groups: Sequence[SubGroup],
) -> str:
    """The first thing that is wrong, with its path; "" if nothing is."""
    if preemptibility not in PREEMPTIBILITIES:
        return f"spec.preemptibility: unknown value {shown(preemptibility, LONGEST_NAME)!r}"
    for field, value in (("minMember", min_member), ("minSubGroup", min_sub_group)):
        if value is not None and value < 0:
            return f"spec.{field}: must be at least 0, is {value}"
    if min_member is not None and min_sub_group is not None:
        return "spec.minSubGroup: excludes spec.minMember"
    if min_sub_group is not None and not sub_groups:
        return "spec.minSubGroup: needs spec.subGroups"
    if (duration(spec, "preemptionDelay", "spec") or 0.0) < 0:
        return "spec.preemptionDelay: must not be negative"
    owners = [("spec", spec)]
    owners += [
        (f"spec.subGroups[{index}]", raw) for index, raw in enumerate(sections(spec, "subGroups", "spec"))
    ]
    for path, owner in owners:
        if _lacks_topology(section(owner, "topologyConstraint", path)):
            return f"{path}.topologyConstraint.topology: is missing"
    return _tree_problem(sub_groups) or _member_problem(sub_groups)


def _tree_problem(sub_groups: Sequence[SubGroup]) -> str:
    position_of: dict[str, int] = {}
    for index, sub_group in enumerate(sub_groups):
        first = position_of.setdefault(sub_group.name, index)
        if first != index:
            return f"spec.subGroups[{index}].name: {sub_group.name!r} is also spec.subGroups[{first}].name"
    for index, sub_group in enumerate(sub_groups):
        if sub_group.parent and sub_group.parent not in position_of:
            return f"spec.subGroups[{index}].parent: no subgroup {sub_group.parent!r}"
    parent_of = {sub_group.name: sub_group.parent for sub_group in sub_groups}
    rooted: set[str] = {""}
    for index, sub_group in enumerate(sub_groups):
        path, name = [sub_group.name], sub_group.parent
        while name not in rooted and name not in path:
            path.append(name)
            name = parent_of[name]
        if name not in rooted:
            return f"spec.subGroups[{index}].parent: cycle {chained([*path, name])}"
        rooted.update(path)
    return _depth_problem(sub_groups, parent_of)


def _depth_problem(sub_groups: Sequence[SubGroup], parent_of: Mapping[str, str]) -> str:
    """Of subgroups without a cycle."""
    depth_of: dict[str, int] = {"": 0}
    for index, sub_group in enumerate(sub_groups):
        path, name = [], sub_group.name
        while name not in depth_of:
            path.append(name)
            name = parent_of[name]
        for below, passed in enumerate(reversed(path), start=1):
            depth_of[passed] = depth_of[name] + below
        if depth_of[sub_group.name] > DEEPEST:
            return f"spec.subGroups[{index}].parent: lies deeper than the {DEEPEST} levels that are read"
    return ""


def _member_problem(sub_groups: Sequence[SubGroup]) -> str:
    parents = {sub_group.parent for sub_group in sub_groups}
    for index, sub_group in enumerate(sub_groups):
        path = f"spec.subGroups[{index}]"
        for field, value in (("minMember", sub_group.min_member), ("minSubGroup", sub_group.min_sub_group)):
            if value is not None and value < 0:
                return f"{path}.{field}: must be at least 0, is {value}"
        if sub_group.min_member is not None and sub_group.min_sub_group is not None:
            return f"{path}.minSubGroup: excludes {path}.minMember"
        is_leaf = sub_group.name not in parents
        if is_leaf and sub_group.min_sub_group is not None:
            return f"{path}.minSubGroup: {sub_group.name!r} has no subgroups below it"
        if is_leaf and sub_group.min_member is None:
            return f"{path}.minMember: is missing"
        if not is_leaf and sub_group.min_member is not None:
            return f"{path}.minMember: {sub_group.name!r} has subgroups below it, use minSubGroup"
    return ""


def _lacks_topology(constraint: Raw) -> bool:
    has_level = constraint.get("requiredTopologyLevel") or constraint.get("preferredTopologyLevel")
    return bool(has_level) and not constraint.get("topology")
