"""The outlook of a waiting pod group as its status shows it (``model.outlook`` on the wire)."""

from __future__ import annotations

from pydantic import Field

from kai_sched.api.wire import WireModel


class DecidedBy(WireModel):
    """The fact that decides that a group can never run as it stands."""

    fact: str | None = Field(
        default=None,
        description="BiggestNode, BiggestDomain, Fleet, QueueLimit, QueueQuota, NodeRules, DeviceKind, Devices or Object.",
    )
    subject: str | None = Field(
        default=None, description="The domain, queue, label, claim or request in question."
    )
    resource: str | None = Field(default=None, description="What is counted.")
    asked: float | None = Field(default=None, description="How much of it is asked for.")
    there: float | None = Field(default=None, description="How much of it there is at most.")


class HeldBy(WireModel):
    """What one group holds of what is missing."""

    pod_group: str = Field(description="namespace/name; of a pod of another scheduler its own.")
    queue: str | None = Field(default=None, description="Its queue.")
    resource: str = Field(description="gpu (devices), cpu (millicores) or memory (MB).")
    amount: float = Field(description="What it holds.")
    above_fair_share: float | None = Field(
        default=None, description="By how much its queue is above its fair share."
    )


class AdvisedAction(WireModel):
    """One thing that somebody can do; fields that its kind does not need are absent."""

    kind: str = Field(description="EndGroups, AddNodes, RaiseLimit, RelaxLevel and so on.")
    pod_groups: list[str] | None = Field(default=None, description="Groups that end.")
    nodes: list[str] | None = Field(default=None, description="Nodes to change, or the one to add more of.")
    queue: str | None = Field(default=None, description="The queue to change or to make.")
    resource: str | None = Field(default=None, description="Of which resource.")
    amount: float | None = Field(default=None, description="How many, or up to how much.")
    key: str | None = Field(default=None, description="The taint, label, subgroup or request in question.")


class AdviceStatus(WireModel):
    """Actions that together are enough."""

    verified: bool = Field(description="Whether a plan made with them taken placed the group.")
    actions: list[AdvisedAction] = Field(description="What to do.")
