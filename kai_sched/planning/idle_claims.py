"""Idle claims: allocated, reserved by nobody, and in the way of the pods that name them.

A named claim keeps its devices when its last user goes before it was ever reserved, or when an attempt of some
scheduler ends half way. It then pins its pods to the nodes of those devices, also where these are full or gone. As
kube-scheduler does, we give the devices back once a pod found no place with them; the next cycle allocates the claim
where the pod fits. Claims of a pod's own are taken back by the binder already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from kai_sched.devices.results import pinned_node
from kai_sched.model.devices import Claim
from kai_sched.model.ids import ClaimKey, PodGroupKey
from kai_sched.model.plan import Blocker, Deallocation, Outcome, Verdict
from kai_sched.model.workloads import HOLDS_ROOM, Pod, PodState
from kai_sched.planning.cycle_state import CycleState
from kai_sched.planning.readiness import ClaimReadiness

_OF_PLACE = frozenset({Blocker.CAPACITY, Blocker.TOPOLOGY, Blocker.DEVICES, Blocker.NODE_CONSTRAINTS})
"""Reasons that other devices might lift."""


def deallocations_of(state: CycleState) -> tuple[Deallocation, ...]:
    """What is to be given back, by claim."""
    snapshot = state.snapshot
    idle = {
        claim.key: claim
        for claim in snapshot.claims
        if claim.allocation is not None
        and not claim.reserved_for
        and not claim.is_deleting
        and not claim.is_extended_resource
    }
    if not idle:
        return ()
    for pod in snapshot.pods:
        for ref in pod.claims if pod.state in HOLDS_ROOM else ():
            if ref.claim is not None:
                idle.pop(ref.claim, None)
    consumers = state.boards.world.consumers
    found: dict[ClaimKey, Deallocation] = {}
    for group, key in _in_the_way(state, idle):
        claim = idle[key]
        if claim.allocation is not None and not consumers.get(key):
            devices = tuple(result.device_id for result in claim.allocation.results)
            given = Deallocation(
                claim=key,
                uid=claim.uid,
                devices=devices,
                beneficiary=group,
                resource_version=claim.resource_version,
            )
            found.setdefault(key, given)
    return tuple(found[key] for key in sorted(found))


def _in_the_way(state: CycleState, idle: Mapping[ClaimKey, Claim]) -> Iterator[tuple[PodGroupKey, ClaimKey]]:
    """Claims that pods without a place name, with the pods' group."""
    for key, record in state.records.items():
        if record.refusal is not None and record.refusal.blocker in _OF_PLACE and not record.pipelined:
            for position in record.gang.pending_pods():
                yield from ((key, claim) for claim in _named(state.snapshot.pods[position], idle))
    readiness = ClaimReadiness(state.snapshot)
    for pod in state.snapshot.pods:
        if pod.state is PodState.PENDING and pod.group is not None and pod.claims and readiness.spoilt(pod):
            spoilt = (claim for claim in _named(pod, idle) if readiness.spoils(idle[claim]))
            yield from ((pod.group, claim) for claim in spoilt)


def _named(pod: Pod, idle: Mapping[ClaimKey, Claim]) -> list[ClaimKey]:
    return [ref.claim for ref in pod.claims if ref.claim is not None and not ref.is_own and ref.claim in idle]


def mentioning(
    verdicts: Iterable[Verdict], given_back: Iterable[Deallocation], claims: Mapping[ClaimKey, Claim]
) -> tuple[Verdict, ...]:
    """The verdicts, those of beneficiaries with what is being done for them."""
    by_group = {one.beneficiary: one for one in reversed(tuple(given_back))}
    return tuple(
        _mentioned(verdict, claims[by_group[verdict.pod_group].claim])
        if verdict.pod_group in by_group and verdict.outcome is Outcome.UNPLACED
        else verdict
        for verdict in verdicts
    )


def _mentioned(verdict: Verdict, claim: Claim) -> Verdict:
    node = None if claim.allocation is None else pinned_node(claim.allocation)
    where = f" on {node}" if node else ""
    return replace(
        verdict,
        blocker=Blocker.DEVICES,
        message=f"claim {claim.key} has devices{where} that nobody uses, and the pods find no place with them: "
        f"they are given back ({verdict.message})",
        next_step="nothing: the next cycle allocates the claim where the pods fit",
        is_proof=False,
    )
