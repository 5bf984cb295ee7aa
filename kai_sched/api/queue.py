"""Queue, scheduling.run.ai/v2: a node of the quota tree. Source: KAI Scheduler's API; ``kaiSched`` is ours."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from kai_sched.api.schema import Column, CustomResource
from kai_sched.api.wire import Duration, Int32, ResourceList, Rule, Time, WireModel, rules

_UNLIMITED_OR_MORE = "self == -1.0 || self >= 0.0"
Quota = Annotated[
    float,
    Field(json_schema_extra=rules(Rule(_UNLIMITED_OR_MORE, "quota must be -1 (unlimited) or at least 0"))),
]
Limit = Annotated[
    float,
    Field(json_schema_extra=rules(Rule(_UNLIMITED_OR_MORE, "limit must be -1 (no limit) or at least 0"))),
]
Weight = Annotated[
    float, Field(json_schema_extra=rules(Rule("self >= 0.0", "overQuotaWeight must be at least 0")))
]


class QueueResource(WireModel):
    """Quota of one resource. What is left out is 0: nothing deserved, nothing over quota, nothing allowed."""

    quota: Quota | None = Field(default=None, description="Deserved amount; -1: unlimited. Default 0.")
    over_quota_weight: Weight | None = Field(
        default=None, description="Weight for the surplus among queues of one priority; 0: never gets any."
    )
    limit: Limit | None = Field(
        default=None, description="Hard cap; -1: none. Default 0: nothing is allowed."
    )


class QueueResources(WireModel):
    """Quotas by resource; one that is left out is forbidden."""

    gpu: QueueResource | None = Field(default=None, description="In devices; fractions are allowed.")
    cpu: QueueResource | None = Field(default=None, description="In millicores.")
    memory: QueueResource | None = Field(default=None, description="In MB (10^6 bytes).")


class LabelRequirement(WireModel):
    """One requirement on labels."""

    key: str = Field(description="Label key.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="How values are compared.")
    values: list[str] | None = Field(default=None, description="For In and NotIn.")


class LabelSelector(WireModel):
    """Which labels match; an empty one matches all."""

    match_labels: dict[str, str] | None = Field(default=None, description="Labels with these values.")
    match_expressions: list[LabelRequirement] | None = Field(default=None, description="All must hold.")


class QueueKaiSchedSpec(WireModel):
    """What KAI's queues do not have."""

    namespace_selector: LabelSelector | None = Field(
        default=None,
        description="Namespaces whose workloads may use the queue and those below it. Absent: all.",
    )


class QueueSpec(WireModel):
    """What a queue may have."""

    display_name: str | None = Field(default=None, description="Name shown in metrics.")
    parent_queue: str | None = Field(default=None, description="Name of the parent; empty: a root queue.")
    priority: int | None = Field(
        default=None, description="Order of surplus and of service; higher first. Default 100."
    )
    resources: QueueResources = Field(description="Quotas and limits.")
    preempt_min_runtime: Duration | None = Field(
        default=None,
        description="How long a workload runs before one of this queue may preempt it; inherited.",
    )
    reclaim_min_runtime: Duration | None = Field(
        default=None,
        description="How long a workload runs before another queue may reclaim from it; inherited.",
    )
    kai_sched: QueueKaiSchedSpec | None = Field(default=None, description="Read by kai-sched only.")


class QueueCondition(WireModel):
    """A condition of a queue."""

    type: str = Field(description="Orphan, OverQuota or Invalid.")
    status: str = Field(description="True, False or Unknown.")
    last_probe_time: Time | None = Field(default=None, description="When it was last checked.")
    last_transition_time: Time | None = Field(default=None, description="When the status last changed.")
    reason: str | None = Field(default=None, description="Why, in one CamelCase word.")
    message: str | None = Field(default=None, description="Why, for a person.")


class QueueShareRow(WireModel):
    """One resource of a queue as the last cycle saw it; -1: unlimited."""

    deserved: float | None = Field(default=None, description="Deserved quota.")
    fair_share: float | None = Field(default=None, description="Deserved and its part of the surplus.")
    allocated: float | None = Field(default=None, description="In use by the queue and those below it.")
    requested: float | None = Field(default=None, description="Allocated and waiting.")
    limit: float | None = Field(default=None, description="Hard cap.")


class QueueShares(WireModel):
    """Shares by resource."""

    gpu: QueueShareRow | None = Field(default=None, description="In devices.")
    cpu: QueueShareRow | None = Field(default=None, description="In millicores.")
    memory: QueueShareRow | None = Field(default=None, description="In MB.")


class QueueKaiSchedStatus(WireModel):
    """What kai-sched says beside KAI's status."""

    resources: QueueShares | None = Field(default=None, description="Shares of the last cycle by resource.")
    pending_gangs: Int32 | None = Field(default=None, description="Gangs that wait, here and below.")
    running_gangs: Int32 | None = Field(default=None, description="Gangs that run, here and below.")
    waiting_reason: str | None = Field(
        default=None, description="What is wrong with the queue, else the worst reason of gangs that wait."
    )
    waiting_message: str | None = Field(default=None, description="That reason in words.")


class QueueStatus(WireModel):
    """What a queue has."""

    conditions: list[QueueCondition] | None = Field(default=None, description="Orphan, OverQuota, Invalid.")
    child_queues: list[str] | None = Field(default=None, description="Names of the direct children.")
    allocated: ResourceList | None = Field(default=None, description="In use, here and below.")
    allocated_non_preemptible: ResourceList | None = Field(
        default=None, description="In use by workloads that may not be preempted, here and below."
    )
    requested: ResourceList | None = Field(default=None, description="Allocated and waiting, here and below.")
    kai_sched: QueueKaiSchedStatus | None = Field(default=None, description="Written by kai-sched only.")


class Queue(WireModel):
    """A node of the quota tree; only leaves hold workloads."""

    model_config = ConfigDict(title="Queue")

    spec: QueueSpec = Field(description="What the queue may have.")
    status: QueueStatus | None = Field(default=None, description="What the queue has.")


_OURS = ".status.kaiSched"
_GPUS = f"{_OURS}.resources.gpu"

QUEUE = CustomResource(
    model=Queue,
    group="scheduling.run.ai",
    version="v2",
    plural="queues",
    is_namespaced=False,
    columns=(
        # KAI's four, in its order; those that hold lists or any text are wide.
        Column("Priority", "integer", ".spec.priority"),
        Column("Parent", "string", ".spec.parentQueue"),
        Column("Children", "string", ".status.childQueues", priority=1),
        Column("DisplayName", "string", ".spec.displayName", priority=1),
        Column("GPU-Quota", "number", ".spec.resources.gpu.quota", "GPUs deserved; -1: unlimited."),
        Column("GPU-Fair", "number", f"{_GPUS}.fairShare", "GPUs of its fair share.", priority=1),
        Column("GPU-Used", "number", f"{_GPUS}.allocated", "GPUs in use."),
        Column("GPU-Asked", "number", f"{_GPUS}.requested", "GPUs in use or waited for.", priority=1),
        Column("GPU-Limit", "number", f"{_GPUS}.limit", "GPUs allowed; -1: no limit.", priority=1),
        Column("Gangs-Run", "integer", f"{_OURS}.runningGangs", "Gangs that run.", priority=1),
        Column("Gangs-Wait", "integer", f"{_OURS}.pendingGangs", "Gangs that wait."),
        Column(
            "Reason", "string", f"{_OURS}.waitingReason", "What is wrong with it, or holds most gangs up."
        ),
        Column("Message", "string", f"{_OURS}.waitingMessage", "That reason in words.", priority=1),
    ),
)
