"""Pods of the wire → ``model.Pod``: identity, state, membership, claims; the rest is the interned spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from kai_sched.api import keys
from kai_sched.api.keys import WHOLE_GPU
from kai_sched.api.kinds import Raw
from kai_sched.api.translate.affinity import Namespaces
from kai_sched.api.translate.fields import (
    FieldError,
    instant,
    integer,
    name_in,
    readable,
    section,
    sections,
    text,
)
from kai_sched.api.translate.gpu_share import SHARE_ANNOTATIONS, gpu_share_of, lost_container
from kai_sched.api.translate.interner import SpecInterner
from kai_sched.api.translate.pod_spec import MOST_LABELS, TooMuchText, spec_of
from kai_sched.model.ids import ClaimKey, NodeName, PodGroupKey, PodKey, Uid
from kai_sched.model.integers import parse_int64
from kai_sched.model.resources import amount_of
from kai_sched.model.snapshot import Unreadable
from kai_sched.model.texts import shown
from kai_sched.model.workloads import EXTENDED_RESOURCES, Outside, Pod, PodClaimRef, PodSpec, PodState

MOST_NAME_CHARACTERS: Final = 253
"""Of any object of Kubernetes."""
_LEADER_ROLES: Final = frozenset({"master", "launcher"})
_DONE: Final = {"Succeeded": PodState.SUCCEEDED, "Failed": PodState.FAILED}
_SHARES: Final = frozenset(SHARE_ANNOTATIONS)
_HELD: Final = (
    "schedulerName",
    "nodeName",
    "priority",
    "overhead",
    "resources",
    "hostNetwork",
    "resourceClaims",
)
_HELD_BY_CONTAINER: Final = ("name", "resources", "ports", "restartPolicy")
DEFAULT_SCHEDULER: Final = "default-scheduler"
_GROUP_PREFIX: Final = f"{keys.GPU_GROUP}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslateContext:
    """What the meaning of a pod depends on besides the pod."""

    scheduler_name: str = keys.SCHEDULER_NAME
    namespaces: Namespaces = field(default_factory=dict)
    """Labels of namespaces by name; pods with namespace selectors must be read again when they change."""


def translate_pod(raw: Raw, context: TranslateContext, interner: SpecInterner) -> Pod | Unreadable:
    """One pod. A pod of ours that names no pod group is alone, with its own key as its group: see grouping."""
    record = readable("Pod", _pod, raw, context, interner)
    if not isinstance(record, Unreadable):
        return record
    # Whoever waits for us hears why: as a pod that holds nothing and wants nothing, with what is wrong about it.
    waiting = readable("Pod", _pod_that_waits_in_vain, raw, context, interner, record)
    if isinstance(waiting, Pod):
        return waiting
    running = readable("Pod", _pod_that_runs, raw, context, interner)
    return running if isinstance(running, Pod) else record


def _pod_that_waits_in_vain(
    raw: Raw, context: TranslateContext, interner: SpecInterner, problem: Unreadable
) -> Pod | None:
    wire, status = section(raw, "spec"), section(raw, "status")
    is_ours = text(wire, "schedulerName", "spec") == context.scheduler_name
    if not is_ours or wire.get("nodeName") or status.get("phase", "Pending") != "Pending":
        return None
    bare = {
        **raw,
        "metadata": _within_bounds(section(raw, "metadata")),
        "spec": {"schedulerName": context.scheduler_name},
        "status": {},
    }
    told = ": ".join(part for part in (problem.field, problem.reason) if part)
    return replace(_pod(bare, context, interner), problem=told)


def _pod_that_runs(raw: Raw, context: TranslateContext, interner: SpecInterner) -> Pod | None:
    """A pod on a node that says more than is read: what it holds there counts, what else it wishes does not."""
    wire, metadata = section(raw, "spec"), section(raw, "metadata")
    if not wire.get("nodeName"):
        return None
    try:
        spec_of(raw, context.namespaces, interner)
    except TooMuchText:
        held: Raw = {name: wire[name] for name in _HELD if name in wire}
        for name in ("containers", "initContainers"):
            held[name] = [
                {part: container[part] for part in _HELD_BY_CONTAINER if part in container}
                for container in sections(wire, name, "spec")
            ]
        return _pod({**raw, "spec": held, "metadata": _within_bounds(metadata)}, context, interner)
    return None


def _within_bounds(metadata: Raw) -> Raw:
    """Labels and annotations as far as they are read."""
    labels = dict(list(section(metadata, "labels").items())[:MOST_LABELS])
    annotations = {
        name: value
        for name, value in section(metadata, "annotations").items()
        if len(str(value)) <= MOST_NAME_CHARACTERS
    }
    return {**metadata, "labels": labels, "annotations": annotations}


def settled(pod: Pod, now: float, stuck_seconds: float) -> Pod:
    """The pod as it stands at ``now``: one that is releasing for too long is stuck."""
    if pod.releasing_since is None or pod.state not in {PodState.RELEASING, PodState.STUCK_RELEASING}:
        return pod
    is_stuck = now - pod.releasing_since > stuck_seconds
    state = PodState.STUCK_RELEASING if is_stuck else PodState.RELEASING
    return pod if state is pod.state else replace(pod, state=state)


def _pod(raw: Raw, context: TranslateContext, interner: SpecInterner) -> Pod:
    metadata, wire, status = section(raw, "metadata"), section(raw, "spec"), section(raw, "status")
    name = name_in(metadata, "name", "metadata")
    namespace = text(metadata, "namespace", "metadata") or "default"
    labels, annotations = section(metadata, "labels"), section(metadata, "annotations")
    key = PodKey(f"{namespace}/{name}")
    spec = spec_of(raw, context.namespaces, interner)
    node = text(wire, "nodeName", "spec")
    nominated = text(status, "nominatedNodeName", "status")
    since = instant(metadata, "deletionTimestamp", "metadata")
    is_ours = (text(wire, "schedulerName", "spec") or DEFAULT_SCHEDULER) == context.scheduler_name
    return Pod(
        key=key,
        uid=Uid(text(metadata, "uid", "metadata") or f"uid-{key}"),
        spec=spec,
        state=_state_of(wire, status, since),
        group=_group_of(annotations, namespace, key, interner) if is_ours else None,
        subgroup=interner.text(text(labels, keys.SUBGROUP, "metadata.labels")),
        node=NodeName(interner.text(node)) if node else None,
        priority=_priority_of(wire),
        task_priority=_task_priority(labels),
        is_leader=labels.get(keys.JOB_ROLE) in _LEADER_ROLES or labels.get(keys.RAY_NODE_TYPE) == "head",
        created_at=instant(metadata, "creationTimestamp", "metadata") or 0.0,
        claims=_claims_of(wire, status, namespace),
        gpu_groups=_gpu_groups(labels),
        nominated_node=NodeName(interner.text(nominated)) if nominated else None,
        has_finalizers=bool(metadata.get("finalizers")),
        releasing_since=since,
        resource_version=text(metadata, "resourceVersion", "metadata"),
        problem=_problem_of(annotations, spec, wire) if is_ours else "",
        share_ticket=_short(annotations, keys.SHARE_TICKET),
        is_alone=is_ours and not annotations.get(keys.POD_GROUP),
        outside=None if is_ours else outside_of(annotations, namespace, wire),
    )


def _state_of(wire: Raw, status: Raw, releasing_since: float | None) -> PodState:
    phase = text(status, "phase", "status")
    done = _DONE.get(phase)
    if done is not None:
        return done
    if releasing_since is not None:
        return PodState.RELEASING
    if wire.get("nodeName"):
        return PodState.BOUND if phase in {"", "Pending"} else PodState.RUNNING
    return PodState.GATED if wire.get("schedulingGates") else PodState.PENDING


def _group_of(annotations: Raw, namespace: str, key: PodKey, interner: SpecInterner) -> PodGroupKey:
    group = shown(_short(annotations, keys.POD_GROUP))
    return PodGroupKey(interner.text(f"{namespace}/{group}")) if group else PodGroupKey(key)


def _short(annotations: Raw, name: str) -> str:
    """An annotation that names something: as long as a name may be."""
    value = text(annotations, name, "metadata.annotations")
    if len(value) > MOST_NAME_CHARACTERS:
        raise FieldError(f"metadata.annotations.{name}", f"is longer than {MOST_NAME_CHARACTERS} characters")
    return value


def outside_of(annotations: Raw, namespace: str, wire: Raw) -> Outside | None:
    """The pod group that a pod of another scheduler names, if it names one."""
    group = annotations.get(keys.POD_GROUP)
    if not isinstance(group, str) or not 0 < len(group) <= MOST_NAME_CHARACTERS:
        return None
    scheduler = shown(str(wire.get("schedulerName") or DEFAULT_SCHEDULER), MOST_NAME_CHARACTERS)
    return Outside(PodGroupKey(f"{namespace}/{group}"), scheduler)


def _priority_of(wire: Raw) -> int:
    return integer(wire, "priority", "spec") or 0


def _task_priority(labels: Raw) -> int:
    """KAI ignores a label that is no number."""
    value = labels.get(keys.TASK_PRIORITY)
    return (parse_int64(value) or 0) if isinstance(value, str) else 0


def _gpu_groups(labels: Mapping[str, object]) -> tuple[str, ...]:
    if not any(name.startswith(keys.GPU_GROUP) for name in labels):
        return ()
    found = {
        str(value)
        for name, value in labels.items()
        if name == keys.GPU_GROUP or name.startswith(_GROUP_PREFIX)
    }
    return tuple(sorted(found))


def _claims_of(wire: Raw, status: Raw, namespace: str) -> tuple[PodClaimRef, ...]:
    is_bound = bool(wire.get("nodeName"))
    if not wire.get("resourceClaims") and not (is_bound and status.get("extendedResourceClaimStatus")):
        return ()
    made = {
        name_in(item, "name", "status.resourceClaimStatuses"): item
        for item in sections(status, "resourceClaimStatuses", "status")
    }
    found: list[PodClaimRef] = []
    seen: set[ClaimKey] = set()
    for index, item in enumerate(sections(wire, "resourceClaims", "spec")):
        reference = _claim_reference(item, made, namespace, f"spec.resourceClaims[{index}]")
        # A pod may name one claim twice, for different containers: it still uses it once.
        if reference is not None and reference.claim not in seen:
            found.append(reference)
            if reference.claim is not None:
                seen.add(reference.claim)
    extended = section(status, "extendedResourceClaimStatus", "status")
    # Without a node it is what a failed attempt left behind, which the next attempt does not use.
    if extended and is_bound:
        name = name_in(extended, "resourceClaimName", "status.extendedResourceClaimStatus")
        found.append(PodClaimRef(EXTENDED_RESOURCES, ClaimKey(f"{namespace}/{name}"), is_own=True))
    return tuple(found)


def _claim_reference(item: Raw, made: Mapping[str, Raw], namespace: str, path: str) -> PodClaimRef | None:
    """One entry of spec.resourceClaims; None where the controller found that no claim is needed."""
    name = name_in(item, "name", path)
    direct = text(item, "resourceClaimName", path)
    template = text(item, "resourceClaimTemplateName", path)
    if bool(direct) == bool(template):
        raise FieldError(path, "needs exactly one of resourceClaimName and resourceClaimTemplateName")
    if direct:
        return PodClaimRef(name, ClaimKey(f"{namespace}/{direct}"), is_own=False)
    if name not in made:
        return PodClaimRef(name, None, is_own=True, template=template)
    claim = text(made[name], "resourceClaimName", "status.resourceClaimStatuses")
    return (
        PodClaimRef(name, ClaimKey(f"{namespace}/{claim}"), is_own=True, template=template) if claim else None
    )


def _problem_of(annotations: Raw, spec: PodSpec, wire: Raw) -> str:
    if _SHARES.isdisjoint(annotations):
        return ""
    containers = [
        text(container, "name", f"spec.{field}")
        for field in ("initContainers", "containers")
        for container in sections(wire, field, "spec")
    ]
    return gpu_share_of(annotations, amount_of(spec.requests, WHOLE_GPU))[1] or lost_container(
        annotations, containers
    )
