"""PodGroup, scheduling.run.ai/v2alpha2: the unit of admission. Source: KAI Scheduler's API; ``kaiSched`` is ours."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from kai_sched.api.pod_group_outlook import AdviceStatus, DecidedBy, HeldBy
from kai_sched.api.schema import Column, CustomResource
from kai_sched.api.wire import (
    Count,
    Duration,
    NullableCount,
    PositiveDuration,
    ResourceList,
    Rule,
    Time,
    WireModel,
    rules,
)

MAX_SUB_GROUPS = 100_000
"""Only there so that the API server can bound the cost of the rules on each entry."""
_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_ONE_MINIMUM = Rule(
    "!(has(self.minMember) && has(self.minSubGroup))",
    "minMember and minSubGroup are mutually exclusive",
    field="minSubGroup",
)
_NEEDS_SUB_GROUPS = Rule(
    "!has(self.minSubGroup) || (has(self.subGroups) && size(self.subGroups) > 0)",
    "minSubGroup needs subGroups",
    field="minSubGroup",
)
Backoff = Annotated[Literal[-1, 1], WithJsonSchema({"type": "integer", "format": "int32", "enum": [-1, 1]})]


class TopologyConstraint(WireModel):
    """Where pods must or should be together."""

    topology: str | None = Field(default=None, description="Name of the Topology.")
    required_topology_level: str | None = Field(
        default=None, description="Node label or alias of the level that must hold all pods in one domain."
    )
    preferred_topology_level: str | None = Field(
        default=None, description="Node label or alias of the level that should hold all pods in one domain."
    )


class SubGroup(WireModel):
    """A part of the group. Leaves hold pods and have minMember; others hold subgroups and have minSubGroup."""

    model_config = ConfigDict(json_schema_extra=rules(_ONE_MINIMUM))

    name: str = Field(min_length=1, pattern=_NAME, description="Name, unique in the group.")
    min_member: NullableCount = Field(
        default=None, description="Pods of this leaf that must start together; 0: none must."
    )
    min_sub_group: NullableCount = Field(
        default=None, description="Direct children that must be satisfied; left out: all of them."
    )
    parent: str | None = Field(default=None, description="Name of the subgroup above; left out: the root.")
    topology_constraint: TopologyConstraint | None = Field(
        default=None, description="Where the pods below must or should be together."
    )


class PodGroupSpec(WireModel):
    """What starts together, where and for whom."""

    model_config = ConfigDict(json_schema_extra=rules(_ONE_MINIMUM, _NEEDS_SUB_GROUPS))

    min_member: NullableCount = Field(
        default=None, description="Pods that must start together; 0: no gang, every pod on its own."
    )
    min_sub_group: NullableCount = Field(
        default=None, description="Direct subgroups that must be satisfied; left out: all of them."
    )
    queue: str | None = Field(default=None, description="Name of a leaf queue.")
    priority_class_name: str | None = Field(
        default=None, description="PriorityClass; left out: the global default, else priority 50."
    )
    preemptibility: Literal["preemptible", "non-preemptible"] | None = Field(
        default=None, description="Left out: preemptible below priority 100."
    )
    topology_constraint: TopologyConstraint | None = Field(
        default=None, description="Where the pods must or should be together."
    )
    sub_groups: list[SubGroup] | None = Field(
        default=None,
        max_length=MAX_SUB_GROUPS,
        description="The parts of the group, a tree by their parents.",
    )
    mark_unschedulable: bool | None = Field(
        default=None, description="Whether pods get the condition Unschedulable. Default true."
    )
    scheduling_backoff: Backoff | None = Field(
        default=None, description="-1: keep trying (default); 1: give up on this node pool after one try."
    )
    preemption_delay: PositiveDuration | None = Field(
        default=None, description="How long it waits before others may be evicted for it."
    )
    staleness_grace_period: Duration | None = Field(
        default=None, description="How long it may run below its minimum; negative: for ever."
    )


class PodGroupCondition(WireModel):
    """A condition of a pod group."""

    type: str = Field(description="Type of the condition.")
    status: str = Field(description="True, False or Unknown.")
    transition_id: str | None = Field(
        default=None, alias="transitionID", description="Counts the transitions."
    )
    last_transition_time: Time | None = Field(default=None, description="When the status last changed.")
    reason: str | None = Field(default=None, description="Why, in one CamelCase word.")
    message: str | None = Field(default=None, description="Why, for a person.")


class QueueDetails(WireModel):
    """The queue that is in the way."""

    name: str | None = Field(default=None, description="Name of the queue.")
    queue_requested_resources: ResourceList | None = Field(default=None, description="What it asks for.")
    queue_deserved_resources: ResourceList | None = Field(default=None, description="What it deserves.")
    queue_allocated_resources: ResourceList | None = Field(default=None, description="What it has.")
    queue_allocated_non_preemptible_resources: ResourceList | None = Field(
        default=None, description="What it has for workloads that may not be preempted."
    )
    queue_resource_limits: ResourceList | None = Field(default=None, description="What it may have.")
    pod_group_requested_resources: ResourceList | None = Field(
        default=None, description="What the pod group asks for."
    )
    pod_group_requested_non_preemptible_resources: ResourceList | None = Field(
        default=None, description="What of that may not be preempted."
    )


class UnschedulableDetails(WireModel):
    """Facts of a reason."""

    queue_details: QueueDetails | None = Field(default=None, description="The queue that is in the way.")


class UnschedulableReason(WireModel):
    """One reason why nothing was placed."""

    reason: str = Field(description="NonPreemptibleOverQuota, OverLimit, QueueDoesNotExist and the like.")
    message: str | None = Field(default=None, description="In words.")
    details: UnschedulableDetails | None = Field(default=None, description="Facts of the reason.")


class SchedulingCondition(WireModel):
    """What became of the pod group on one node pool."""

    type: str = Field(description="UnschedulableOnNodePool.")
    node_pool: str | None = Field(default=None, description="Name of the node pool.")
    status: str = Field(description="True, False or Unknown.")
    transition_id: str | None = Field(
        default=None, alias="transitionID", description="Counts the transitions of all node pools."
    )
    last_transition_time: Time | None = Field(default=None, description="When the status last changed.")
    reason: str | None = Field(default=None, description="Why, in one CamelCase word.")
    message: str | None = Field(default=None, description="Why, for a person.")
    reasons: list[UnschedulableReason] | None = Field(
        default=None, description="All reasons with their facts."
    )


class ResourcesStatus(WireModel):
    """What the pods of the group use and ask for."""

    allocated: ResourceList | None = Field(default=None, description="In use.")
    allocated_non_preemptible: ResourceList | None = Field(
        default=None, description="In use and not preemptible."
    )
    requested: ResourceList | None = Field(default=None, description="In use or waited for.")


class PodGroupKaiSchedStatus(WireModel):
    """The verdict of the last cycle."""

    verdict: str | None = Field(default=None, description="Placed, Pipelined, Unplaced or NotReady.")
    blocker: str | None = Field(default=None, description="The dominant reason for waiting.")
    message: str | None = Field(default=None, description="That reason in words, with the missing amount.")
    next_step: str | None = Field(default=None, description="What would help.")
    is_proof: bool | None = Field(default=None, description="Whether it is proven that it does not fit.")
    prospect: str | None = Field(default=None, description="Never, NotNow or NotYourTurn.")
    decided_by: DecidedBy | None = Field(default=None, description="Why it can never run as it stands.")
    held_by: list[HeldBy] | None = Field(
        default=None, description="A small set of groups without which it fits, with what they hold."
    )
    goes_first: list[str] | None = Field(
        default=None, description="Groups that wait too and take its room first."
    )
    advice: list[AdviceStatus] | None = Field(
        default=None, description="Alternatives, each enough by itself, the best first."
    )
    pending_pods: Count | None = Field(default=None, description="Pods that wait.")
    running_pods: Count | None = Field(default=None, description="Pods that have a node.")


class PodGroupStatus(WireModel):
    """What became of the group."""

    conditions: list[PodGroupCondition] | None = Field(default=None, description="Invalid and the like.")
    scheduling_conditions: list[SchedulingCondition] | None = Field(
        default=None, description="One a node pool, gone once nothing waits."
    )
    resources_status: ResourcesStatus | None = Field(
        default=None, description="What its pods use and ask for."
    )
    kai_sched: PodGroupKaiSchedStatus | None = Field(default=None, description="Written by kai-sched only.")


class PodGroup(WireModel):
    """The unit of admission: pods that start together."""

    model_config = ConfigDict(title="PodGroup")

    spec: PodGroupSpec | None = Field(default=None, description="What starts together, where and for whom.")
    status: PodGroupStatus | None = Field(default=None, description="What became of it.")


POD_GROUP = CustomResource(
    model=PodGroup,
    group="scheduling.run.ai",
    version="v2alpha2",
    plural="podgroups",
    is_namespaced=True,
    short_names=("pg",),
    columns=(
        Column("Queue", "string", ".spec.queue"),
        Column("Min", "integer", ".spec.minMember", "Pods that must start together."),
        Column("Running", "integer", ".status.kaiSched.runningPods", "Pods that have a node."),
        Column("Pending", "integer", ".status.kaiSched.pendingPods", "Pods that wait."),
        Column("Verdict", "string", ".status.kaiSched.verdict", "What the last cycle decided."),
        Column("Reason", "string", ".status.kaiSched.blocker", "Why it waits."),
        Column("Age", "date", ".metadata.creationTimestamp"),
        Column("Message", "string", ".status.kaiSched.message", "Why it waits, in words.", priority=1),
    ),
)
