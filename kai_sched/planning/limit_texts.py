"""The sentences about limits and quotas, word for word as KAI's tooling expects them."""

from __future__ import annotations

from kai_sched.fairness.ledger import LimitBreach
from kai_sched.model.outlook import Bound, Fact
from kai_sched.model.plan import Blocker, QuotaConflict
from kai_sched.model.queues import QuotaResource, QuotaVector
from kai_sched.placement.refusal import Refusal

_NOUN = {QuotaResource.GPU: "GPUs", QuotaResource.CPU: "CPU cores", QuotaResource.MEMORY: "memory"}
_UNIT = {QuotaResource.GPU: "GPUs", QuotaResource.CPU: "cores", QuotaResource.MEMORY: "GB"}
_REQUESTED = {QuotaResource.GPU: "GPUs", QuotaResource.CPU: "CPU cores", QuotaResource.MEMORY: "GB memory"}
_SCALE = {QuotaResource.GPU: 1.0, QuotaResource.CPU: 1000.0, QuotaResource.MEMORY: 1000.0}


def quota_refusal(breach: LimitBreach, request: QuotaVector) -> Refusal:
    """Non-preemptible work would exceed a deserved quota."""
    unit = _UNIT[breach.resource]
    bound, held, asked = _figures(breach)
    return Refusal(
        blocker=Blocker.NON_PREEMPTIBLE_OVER_QUOTA,
        message=(
            f"Non-preemptible workload is over quota. Workload requested {asked} {_REQUESTED[breach.resource]}, but "
            f"{breach.queue} quota is {bound} {unit}, while {held} {unit} are already allocated for non-preemptible "
            "pods. Use a preemptible workload to go over quota."
        ),
        next_step=f"make it preemptible, or raise the {breach.resource} quota of {breach.queue}",
        is_proof=True,
        bound=_bound(breach, Fact.QUEUE_QUOTA),
        conflict=QuotaConflict(queue=breach.queue, requested=request),
    )


def limit_refusal(breach: LimitBreach, request: QuotaVector) -> Refusal:
    """A hard limit would be passed."""
    unit = _UNIT[breach.resource]
    bound, held, asked = _figures(breach)
    needed = _number((breach.allocated + breach.requested) / _SCALE[breach.resource])
    lifted = f"raise the {breach.resource} limit of {breach.queue} to {needed} {unit}"
    can_wait = breach.requested <= breach.bound
    return Refusal(
        blocker=Blocker.QUEUE_LIMIT,
        message=(
            f"{breach.queue} quota has reached the allowable limit of {_NOUN[breach.resource]}. Limit is {bound} "
            f"{unit}, currently {held} {unit} allocated and workload requested {asked} {unit}"
        ),
        next_step=f"wait for work of {breach.queue} to end, or {lifted}" if can_wait else lifted,
        is_proof=True,
        bound=_bound(breach, Fact.QUEUE_LIMIT),
        conflict=QuotaConflict(queue=breach.queue, requested=request),
    )


def _bound(breach: LimitBreach, fact: Fact) -> Bound:
    return Bound(
        fact=fact,
        subject=breach.queue,
        resource=breach.resource.value,
        asked=breach.requested,
        there=breach.bound,
    )


def _figures(breach: LimitBreach) -> tuple[str, str, str]:
    """What is allowed, held and asked for, in the unit of the sentences."""
    scale = _SCALE[breach.resource]
    return (
        _number(breach.bound / scale),
        _number(breach.allocated / scale),
        _number(breach.requested / scale),
    )


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
