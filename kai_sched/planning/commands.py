"""Phrase: a plan becomes commands, one for each gang that binds something."""

from __future__ import annotations

from kai_sched.model.commands import BindGang, Command, Deallocate, Evict
from kai_sched.model.ids import PodGroupKey
from kai_sched.model.plan import Placement, Plan
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import ACTIVE


def commands_for(plan: Plan, snapshot: ClusterSnapshot) -> tuple[Command, ...]:
    """Evictions and deallocations first (what waits for them is not bound in this plan), then gangs in plan order."""
    active: dict[PodGroupKey, int] = {}
    for pod in snapshot.pods:
        if pod.group is not None and pod.state in ACTIVE:
            active[pod.group] = active.get(pod.group, 0) + 1
    gangs: dict[PodGroupKey, list[Placement]] = {}
    for placement in plan.binds:
        gangs.setdefault(placement.pod_group, []).append(placement)
    evictions = tuple(
        Evict(pod=eviction.pod, uid=eviction.uid, stage=eviction.stage, beneficiary=eviction.beneficiary)
        for eviction in plan.evictions
    )
    binds = tuple(
        BindGang(pod_group=group, placements=tuple(placements), already_bound=active.get(group, 0))
        for group, placements in gangs.items()
    )
    deallocations = tuple(
        Deallocate(claim=one.claim, uid=one.uid, resource_version=one.resource_version)
        for one in plan.deallocations
    )
    return (*evictions, *deallocations, *binds)
