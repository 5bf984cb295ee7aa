"""Queues of the quota tree, their shares of one cycle, and the tree's walk order.

Amounts here are in KAI's units: gpu devices (fractions allowed), cpu millicores, memory MB (10^6 bytes).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kai_sched.model.ids import QueueName, Uid
from kai_sched.model.selectors import LabelSelector

UNLIMITED: float = -1.0


class QuotaResource(StrEnum):
    """The resources that quotas speak of."""

    GPU = "gpu"
    CPU = "cpu"
    MEMORY = "memory"


QUOTA_RESOURCES: tuple[QuotaResource, ...] = (
    QuotaResource.GPU,
    QuotaResource.CPU,
    QuotaResource.MEMORY,
)


@dataclass(frozen=True, slots=True)
class QueueResource:
    """Quota of one resource. Deserved and limit: -1 unlimited; all default 0 as in KAI (forbidden)."""

    deserved: float = 0.0
    over_quota_weight: float = 0.0
    limit: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A node of the quota tree; only leaves hold workloads. Source: KAI Queue v2."""

    name: QueueName
    uid: Uid
    parent: QueueName | None = None
    priority: int = 100
    gpu: QueueResource = QueueResource()
    cpu: QueueResource = QueueResource()
    memory: QueueResource = QueueResource()
    created_at: float = 0.0
    display_name: str = ""
    preempt_min_runtime_seconds: float | None = None
    reclaim_min_runtime_seconds: float | None = None
    resource_version: str = ""
    namespace_selector: LabelSelector | None = None
    """Namespaces whose workloads may use the queue and those below it; None: all."""
    problem: str = ""
    """Why the queue is Invalid (missing parent, cycle, limit below quota ...)."""

    def resource(self, name: QuotaResource) -> QueueResource:
        """The quota of one resource."""
        match name:
            case QuotaResource.GPU:
                return self.gpu
            case QuotaResource.CPU:
                return self.cpu
            case QuotaResource.MEMORY:
                return self.memory


@dataclass(frozen=True, slots=True)
class QuotaVector:
    """gpu devices, cpu millicores, memory MB."""

    gpu: float = 0.0
    cpu: float = 0.0
    memory: float = 0.0

    def __add__(self, other: QuotaVector) -> QuotaVector:
        return QuotaVector(self.gpu + other.gpu, self.cpu + other.cpu, self.memory + other.memory)

    def __sub__(self, other: QuotaVector) -> QuotaVector:
        return QuotaVector(self.gpu - other.gpu, self.cpu - other.cpu, self.memory - other.memory)

    def get(self, name: QuotaResource) -> float:
        """The amount of one resource."""
        return float(getattr(self, name.value))


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueShare:
    """One queue's numbers this cycle, before the plan; rolled up from its descendants."""

    queue: QueueName
    deserved: QuotaVector
    limit: QuotaVector
    fair_share: QuotaVector
    allocated: QuotaVector
    allocated_non_preemptible: QuotaVector
    requested: QuotaVector
    """Allocated + pending."""
