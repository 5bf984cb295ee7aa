"""Metrics of queues, with KAI's names, labels and units: unlimited is -1, whatever the unit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from kai_sched.model.plan import Plan
from kai_sched.model.queues import UNLIMITED, Queue, QueueShare

LABELS: Final = ("queue_name", "queue_metadata_name", "queue_display_name")
_CORES: Final = 1e-3
_BYTES: Final = 1e6
_GB: Final = 1e-3


class QueueMetrics:
    """Quota, use and fair share of every queue; queues that are gone vanish."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, labels: tuple[str, ...] = LABELS) -> Gauge:
            return Gauge(name, text, labels, registry=registry)

        self._info = gauge("kai_queue_info", "1 for every queue")
        self._place = gauge(
            "kai_sched_queue_place", "1 for every queue", ("queue_metadata_name", "parent_queue", "priority")
        )
        self._quota_gpus = gauge("kai_queue_deserved_gpus", "Deserved GPUs")
        self._quota_cpu = gauge("kai_queue_quota_cpu_cores", "Deserved CPU cores")
        self._quota_memory = gauge("kai_queue_quota_memory_bytes", "Deserved memory")
        self._used_gpus = gauge("kai_queue_allocated_gpus", "Allocated GPUs")
        self._used_cpu = gauge("kai_queue_allocated_cpu_cores", "Allocated CPU cores")
        self._used_memory = gauge("kai_queue_allocated_memory_bytes", "Allocated memory")
        self._fair_gpus = gauge("kai_queue_fair_share_gpu", "Fair share of GPUs")
        self._fair_cpu = gauge("kai_queue_fair_share_cpu_cores", "Fair share of CPU cores")
        self._fair_memory = gauge("kai_queue_fair_share_memory_gb", "Fair share of memory")

    def tell(self, queues: Iterable[Queue], plan: Plan) -> None:
        """The queues and shares of one cycle."""
        for gauge in (
            self._info,
            self._place,
            *(self._quota_gpus, self._quota_cpu, self._quota_memory),
            *(self._used_gpus, self._used_cpu, self._used_memory),
            *(self._fair_gpus, self._fair_cpu, self._fair_memory),
        ):
            gauge.clear()
        displayed: dict[str, str] = {}
        for queue in queues:
            displayed[queue.name] = queue.display_name
            self._info.labels(queue.name, queue.name, queue.display_name).set(1)
            self._place.labels(queue.name, queue.parent or "", str(queue.priority)).set(1)
        for share in plan.shares:
            self._tell_share(share, displayed.get(share.queue, ""))

    def _tell_share(self, share: QueueShare, displayed: str) -> None:
        # KAI's queue controller calls a queue by its name, its scheduler by the name that is displayed.
        quota = (share.queue, share.queue, displayed)
        fair = (displayed or share.queue, share.queue, displayed)
        for gauge, labels, amount, unit in (
            (self._quota_gpus, quota, share.deserved.gpu, 1.0),
            (self._quota_cpu, quota, share.deserved.cpu, _CORES),
            (self._quota_memory, quota, share.deserved.memory, _BYTES),
            (self._used_gpus, quota, share.allocated.gpu, 1.0),
            (self._used_cpu, quota, share.allocated.cpu, _CORES),
            (self._used_memory, quota, share.allocated.memory, _BYTES),
            (self._fair_gpus, fair, share.fair_share.gpu, 1.0),
            (self._fair_cpu, fair, share.fair_share.cpu, _CORES),
            (self._fair_memory, fair, share.fair_share.memory, _GB),
        ):
            gauge.labels(*labels).set(UNLIMITED if amount == UNLIMITED else amount * unit)
