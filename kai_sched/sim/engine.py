"""Engine: applies a plan to a snapshot and goes on, cycle by cycle, as the cluster would.

Bound pods run from the next cycle on. Evicted pods, and pods that were being released already, give up their room
and come back pending under the same name and uid; with a finalizer they stay releasing for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import attrgetter

from kai_sched.model.devices import Claim, ClaimAllocation, Consumer
from kai_sched.model.ids import ClaimKey, NodeName, Uid
from kai_sched.model.plan import Placement, Plan, TurnEnd
from kai_sched.model.pods import PodTable
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import EXTENDED_RESOURCES, HOLDS_ROOM, Pod, PodClaimRef, PodState
from kai_sched.planning.backlog import Backlog

MAX_CYCLES = 100
"""Where ``until_stable`` gives up."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """The plans made, the snapshot they led to, and the cycle (from 1) that changed nothing."""

    plans: tuple[Plan, ...]
    final: ClusterSnapshot
    fixed_point_at: int | None


def simulate(
    snapshot: ClusterSnapshot,
    decide: Callable[[ClusterSnapshot], Plan],
    *,
    cycles: int | None,
    tick_seconds: float = 0.0,
) -> Simulation:
    """Run exactly ``cycles`` cycles, or (None) until one changes nothing, ``MAX_CYCLES`` at most."""
    plans: list[Plan] = []
    backlog = Backlog()
    fixed_point_at: int | None = None
    for number in range(1, (cycles if cycles is not None else MAX_CYCLES) + 1):
        plan = decide(snapshot)
        plans.append(plan)
        following = apply_plan(snapshot, plan)
        stable = following == snapshot and TurnEnd.NOT_REACHED not in dict(plan.turns).values()
        backlog = backlog.after(plan)
        snapshot = replace(following, now=snapshot.now + tick_seconds, postponed=backlog.postponed())
        if stable and fixed_point_at is None:
            fixed_point_at = number
            if cycles is None:
                break
    return Simulation(tuple(plans), snapshot, fixed_point_at)


def apply_plan(snapshot: ClusterSnapshot, plan: Plan) -> ClusterSnapshot:
    """The snapshot after a plan is carried out and releases are over. ``now`` is kept."""
    binds = {placement.pod: placement for placement in plan.binds}
    evicted = {eviction.pod for eviction in plan.evictions}
    promised = {placement.pod: placement.node for placement in plan.pipelined}
    pods = tuple(
        _next_pod(pod, binds.get(pod.key), promised.get(pod.key), is_evicted=pod.key in evicted)
        for pod in snapshot.pods
    )
    kept = {pod.uid for pod in pods if pod.state in HOLDS_ROOM}
    following = replace(snapshot, pods=PodTable(pods), claims=_next_claims(snapshot, plan, kept))
    return _with_volumes(following, plan)


def _with_volumes(snapshot: ClusterSnapshot, plan: Plan) -> ClusterSnapshot:
    """Claims have the volumes that they were given; where one is made for a node, that node stays chosen."""
    decided = {
        item.claim: (item.volume, placement.node) for placement in plan.binds for item in placement.volumes
    }
    if not decided:
        return snapshot
    holder_of = {volume: claim for claim, (volume, _) in decided.items() if volume}
    return replace(
        snapshot,
        volume_claims=tuple(
            replace(claim, volume=decided[claim.key][0], selected_node=decided[claim.key][1])
            if claim.key in decided
            else claim
            for claim in snapshot.volume_claims
        ),
        volumes=tuple(
            replace(volume, claim=holder_of[volume.name], claim_uid="", phase="Bound")
            if volume.name in holder_of
            else volume
            for volume in snapshot.volumes
        ),
    )


def _next_pod(pod: Pod, placement: Placement | None, promised: NodeName | None, *, is_evicted: bool) -> Pod:
    if placement is not None:
        return replace(
            pod,
            state=PodState.RUNNING,
            node=placement.node,
            gpu_indices=placement.gpu_indices,
            gpu_groups=placement.gpu_groups,
            claims=(*pod.claims, *_made_for(placement)),
            nominated_node=None,
        )
    if pod.state is PodState.PENDING and pod.nominated_node != promised:
        # A promise is made anew in each cycle, or given up.
        return replace(pod, nominated_node=promised)
    if pod.state is PodState.BOUND:
        return replace(pod, state=PodState.RUNNING)
    leaves = is_evicted or pod.state in (PodState.RELEASING, PodState.STUCK_RELEASING)
    if not leaves:
        return pod
    if pod.has_finalizers:
        return pod if pod.state is PodState.STUCK_RELEASING else replace(pod, state=PodState.RELEASING)
    named = tuple(ref for ref in pod.claims if ref.name != EXTENDED_RESOURCES)
    return replace(
        pod,
        state=PodState.PENDING,
        node=None,
        gpu_indices=(),
        gpu_groups=(),
        claims=named,
        nominated_node=None,
    )


def _made_for(placement: Placement) -> tuple[PodClaimRef, ...]:
    return tuple(
        PodClaimRef(EXTENDED_RESOURCES, use.claim, is_own=True)
        for use in placement.claims
        if use.creation is not None
    )


def _next_claims(snapshot: ClusterSnapshot, plan: Plan, kept: set[Uid]) -> tuple[Claim, ...]:
    granted: dict[ClaimKey, ClaimAllocation] = {}
    given_back = {one.claim for one in plan.deallocations}
    joined: dict[ClaimKey, list[Consumer]] = {}
    for placement in plan.binds:
        for use in placement.claims:
            joined.setdefault(use.claim, []).append(_consumer(placement))
            if use.allocation is not None:
                granted[use.claim] = use.allocation
    made = {
        use.claim: Claim(
            key=use.claim,
            uid=use.uid,
            spec=use.creation.spec,
            owner_uid=placement.uid,
            is_extended_resource=True,
        )
        for placement in plan.binds
        for use in placement.claims
        if use.creation is not None
    }
    known = (_given_back(claim) if claim.key in given_back else claim for claim in snapshot.claims)
    there = [claim for claim in known if not (claim.is_extended_resource and claim.key in made)]
    stays = [claim for claim in there if not claim.is_extended_resource or claim.owner_uid in kept]
    return tuple(
        _next_claim(claim, granted.get(claim.key), joined.get(claim.key, ()), kept)
        for claim in sorted((*stays, *made.values()), key=attrgetter("key"))
    )


def _given_back(claim: Claim) -> Claim:
    return replace(claim, allocation=None, has_finalizer=False)


def _next_claim(
    claim: Claim, granted: ClaimAllocation | None, joined: list[Consumer] | tuple[()], kept: set[Uid]
) -> Claim:
    staying = tuple(
        consumer for consumer in claim.reserved_for if consumer.resource != "pods" or consumer.uid in kept
    )
    known = {consumer.uid for consumer in staying}
    reserved = (*staying, *(consumer for consumer in joined if consumer.uid not in known))
    allocation = granted or claim.allocation
    if claim.reserved_for and not reserved:
        # The last consumer left: the controller takes the allocation back.
        allocation = None
    if reserved == claim.reserved_for and allocation is claim.allocation:
        return claim
    return replace(claim, reserved_for=reserved, allocation=allocation, has_finalizer=allocation is not None)


def _consumer(placement: Placement) -> Consumer:
    return Consumer(resource="pods", name=placement.pod.split("/", 1)[1], uid=placement.uid)


PHASES: dict[PodState, str] = {
    PodState.PENDING: "Pending",
    PodState.GATED: "Pending",
    PodState.BINDING: "Running",
    PodState.BOUND: "Running",
    PodState.RUNNING: "Running",
    PodState.RELEASING: "Releasing",
    PodState.STUCK_RELEASING: "Releasing",
    PodState.SUCCEEDED: "Succeeded",
    PodState.FAILED: "Failed",
}
