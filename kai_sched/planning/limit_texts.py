"""The sentences about limits and quotas, word for word as KAI's tooling expects them."""

from __future__ import annotations

from kai_sched.fairness.ledger import LimitBreach
from kai_sched.model.plan import Blocker
from kai_sched.model.queues import QuotaResource
from kai_sched.placement.refusal import Refusal

_UNIT = {
    QuotaResource.GPU: ("GPUs", 1.0),
    QuotaResource.CPU: ("CPU cores", 1000.0),
    QuotaResource.MEMORY: ("GB", 1000.0),
}


def quota_refusal(breach: LimitBreach) -> Refusal:
    """Non-preemptible work would exceed a deserved quota."""
    unit, scale = _UNIT[breach.resource]
    bound, held, asked = (
        _number(value / scale) for value in (breach.bound, breach.allocated, breach.requested)
    )
    return Refusal(
        blocker=Blocker.NON_PREEMPTIBLE_OVER_QUOTA,
        message=(
            f"Non-preemptible workload is over quota. Workload requested {asked} {unit}, but {breach.queue} quota is "
            f"{bound} {unit}, while {held} {unit} are already allocated for non-preemptible pods. "
            "Use a preemptible workload to go over quota."
        ),
        next_step=f"make it preemptible, or raise the {breach.resource} quota of {breach.queue}",
        is_proof=True,
    )


def limit_refusal(breach: LimitBreach) -> Refusal:
    """A hard limit would be passed."""
    unit, scale = _UNIT[breach.resource]
    bound, held, asked = (
        _number(value / scale) for value in (breach.bound, breach.allocated, breach.requested)
    )
    return Refusal(
        blocker=Blocker.QUEUE_LIMIT,
        message=(
            f"{breach.queue} quota has reached the allowable limit of {unit}. Limit is {bound} {unit}, "
            f"currently {held} {unit} allocated and workload requested {asked} {unit}"
        ),
        next_step=f"wait for work of {breach.queue} to end, or raise its {breach.resource} limit",
        is_proof=True,
    )


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
