"""Plan → the JSON document of ``plan -o json``: a stable contract, names exactly so (docs/reference/plan.md)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from kai_sched.api.dra_allocation import allocation_document
from kai_sched.api.outlook_document import outlook_document
from kai_sched.api.quantities import number_of
from kai_sched.model.plan import ClaimPlacement, Eviction, Placement, Plan, SolverReport, Verdict
from kai_sched.model.queues import QUOTA_RESOURCES, UNLIMITED, QueueShare

Document = dict[str, Any]


def plan_document(plan: Plan, *, cycle: int = 1, with_timings: bool = False) -> Document:
    """The whole document of one plan."""
    return {
        "cycle": cycle,
        "now": rfc3339(plan.now),
        "binds": [_bind(placement) for placement in plan.binds],
        "pipelined": [_pipelined(placement) for placement in plan.pipelined],
        "evictions": [_eviction(eviction) for eviction in plan.evictions],
        **_deallocations(plan),
        "verdicts": [verdict_document(verdict) for verdict in plan.verdicts],
        "shares": share_documents(plan.shares),
        "solver": _solver(plan.solver, with_timings=with_timings),
    }


def rfc3339(seconds: float) -> str:
    """An instant as Kubernetes writes it, microseconds only where there are any."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="microseconds" if moment.microsecond else "seconds").replace(
        "+00:00", "Z"
    )


def share_documents(shares: tuple[QueueShare, ...]) -> list[Document]:
    """One row a queue and resource; null is unlimited."""
    return [
        {
            "queue": share.queue,
            "resource": resource.value,
            "deserved": _bound(share.deserved.get(resource)),
            "fairShare": number_of(share.fair_share.get(resource)),
            "allocated": number_of(share.allocated.get(resource)),
            "requested": number_of(share.requested.get(resource)),
            "limit": _bound(share.limit.get(resource)),
        }
        for share in shares
        for resource in QUOTA_RESOURCES
    ]


def verdict_document(verdict: Verdict) -> Document:
    """One verdict; ``nextStep`` and ``proof`` are ours beyond the contract's five fields."""
    document: Document = {
        "podGroup": verdict.pod_group,
        "queue": verdict.queue,
        "verdict": verdict.outcome.value,
        "blocker": verdict.blocker.value if verdict.blocker is not None else None,
        "message": verdict.message,
    }
    if verdict.next_step:
        document["nextStep"] = verdict.next_step
    if verdict.blocker is not None:
        document["proof"] = verdict.is_proof
    if verdict.outlook is not None:
        document |= outlook_document(verdict.outlook)
    return document


def _bind(placement: Placement) -> Document:
    return {
        "pod": placement.pod,
        "podGroup": placement.pod_group,
        "node": placement.node,
        "gpuIndices": list(placement.gpu_indices),
        **_groups(placement),
        "claims": [_claim(claim) for claim in placement.claims],
        **_volumes(placement),
    }


def _pipelined(placement: Placement) -> Document:
    return {
        "pod": placement.pod,
        "podGroup": placement.pod_group,
        "node": placement.node,
        **_groups(placement),
        "waitsFor": list(placement.waits_for),
    }


def _deallocations(plan: Plan) -> Mapping[str, list[Document]]:
    if not plan.deallocations:
        return {}
    return {
        "deallocations": [
            {"claim": one.claim, "devices": list(one.devices), "beneficiary": one.beneficiary}
            for one in plan.deallocations
        ]
    }


def _groups(placement: Placement) -> Mapping[str, list[str]]:
    return {"gpuGroups": list(placement.gpu_groups)} if placement.gpu_groups else {}


def _volumes(placement: Placement) -> Mapping[str, list[Document]]:
    if not placement.volumes:
        return {}
    return {"volumes": [{"claim": item.claim, "volume": item.volume or None} for item in placement.volumes]}


def _claim(claim: ClaimPlacement) -> Document:
    document: Document = {"claim": claim.claim, "devices": list(claim.devices)}
    if claim.allocation is not None:
        document["allocation"] = allocation_document(claim.allocation)
    return document


def _eviction(eviction: Eviction) -> Document:
    return {
        "pod": eviction.pod,
        "podGroup": eviction.pod_group,
        "stage": eviction.stage.value,
        "beneficiary": eviction.beneficiary,
        "movesTo": eviction.moves_to,
    }


def _solver(report: SolverReport, *, with_timings: bool) -> Document:
    return {
        "status": report.status,
        "objective": dict(report.objective),
        "bound": dict(report.bound),
        "greedyObjective": dict(report.greedy_objective),
        "reproducible": report.reproducible,
        "stages": [
            {"name": stage.name.value, "seconds": stage.seconds}
            if with_timings and stage.seconds is not None
            else {"name": stage.name.value}
            for stage in report.stages
        ],
    }


def _bound(value: float) -> float | int | None:
    return None if value == UNLIMITED else number_of(value)
