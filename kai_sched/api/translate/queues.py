"""Queues (scheduling.run.ai/v2). What is left out is 0, as in KAI: nothing deserved, nothing allowed."""

from __future__ import annotations

from kai_sched.api.kinds import Raw
from kai_sched.api.times import parse_duration
from kai_sched.api.translate.fields import (
    INT64,
    FieldError,
    at,
    instant,
    integer,
    name_in,
    number,
    readable,
    reference,
    section,
    text,
)
from kai_sched.api.translate.selectors import label_selector_of
from kai_sched.model.ids import QueueName, Uid
from kai_sched.model.queues import UNLIMITED, Queue, QueueResource
from kai_sched.model.selectors import LabelSelector, Operator
from kai_sched.model.snapshot import Unreadable

DEFAULT_PRIORITY = 100
_RESOURCES = "spec.resources"


def translate_queue(raw: Raw) -> Queue | Unreadable:
    """One queue; ``problem`` names a field that a schema could have refused but did not."""
    return readable("Queue", _queue, raw)


def _queue(raw: Raw) -> Queue:
    metadata, spec = section(raw, "metadata"), section(raw, "spec")
    name = name_in(metadata, "name", "metadata")
    resources = section(spec, "resources", "spec")
    priority = integer(spec, "priority", "spec", INT64)
    gpu, cpu, memory = (_resource(resources, kind) for kind in ("gpu", "cpu", "memory"))
    return Queue(
        name=QueueName(name),
        uid=Uid(text(metadata, "uid", "metadata") or f"uid-{name}"),
        parent=QueueName(reference(spec, "parentQueue", "spec")) or None,
        priority=DEFAULT_PRIORITY if priority is None else priority,
        gpu=gpu,
        cpu=cpu,
        memory=memory,
        created_at=instant(metadata, "creationTimestamp", "metadata") or 0.0,
        display_name=text(spec, "displayName", "spec"),
        preempt_min_runtime_seconds=duration(spec, "preemptMinRuntime", "spec"),
        reclaim_min_runtime_seconds=duration(spec, "reclaimMinRuntime", "spec"),
        resource_version=text(metadata, "resourceVersion", "metadata"),
        namespace_selector=_namespace_selector(spec),
        problem=_problem(spec, gpu, cpu, memory),
    )


def _namespace_selector(spec: Raw) -> LabelSelector | None:
    path = "spec.kaiSched"
    selector = label_selector_of(section(spec, "kaiSched", "spec"), "namespaceSelector", path)
    for requirement in selector.requirements if selector is not None else ():
        if requirement.operator in {Operator.GT, Operator.LT}:
            raise FieldError(
                f"{path}.namespaceSelector", f"operator {requirement.operator} is for node selectors only"
            )
    return selector


def duration(owner: Raw, key: str, path: str) -> float | None:
    """A duration in seconds; None where absent."""
    value = text(owner, key, path)
    if not value:
        return None
    try:
        return parse_duration(value)
    except ValueError as error:
        raise FieldError(at(path, key), str(error)) from error


def _resource(resources: Raw, kind: str) -> QueueResource:
    path = f"{_RESOURCES}.{kind}"
    raw = section(resources, kind, _RESOURCES)
    return QueueResource(
        deserved=number(raw, "quota", path) or 0.0,
        over_quota_weight=number(raw, "overQuotaWeight", path) or 0.0,
        limit=number(raw, "limit", path) or 0.0,
    )


def _problem(spec: Raw, gpu: QueueResource, cpu: QueueResource, memory: QueueResource) -> str:
    if spec.get("resources") is None:
        return f"{_RESOURCES}: is missing"
    for kind, resource in (("gpu", gpu), ("cpu", cpu), ("memory", memory)):
        for field, value in (("quota", resource.deserved), ("limit", resource.limit)):
            if value < 0 and value != UNLIMITED:
                return f"{_RESOURCES}.{kind}.{field}: must be -1 (unlimited) or at least 0, is {value:g}"
        if resource.over_quota_weight < 0:
            return (
                f"{_RESOURCES}.{kind}.overQuotaWeight: must be at least 0, is {resource.over_quota_weight:g}"
            )
    return ""
