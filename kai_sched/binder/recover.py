"""Finds what a crash or a lost race left half written, from the snapshot alone.

A restart needs no journal: a half-written gang shows as claims allocated or reserved for pods of ours that have
no node. The next plan either uses those claims, which finishes the gang, or it does not, and then they are taken
back here, which undoes it. The same rule serves every cycle, so a restart is an ordinary cycle.
"""

from __future__ import annotations

from collections.abc import Collection

from kai_sched.model.commands import UndoReservation
from kai_sched.model.ids import ClaimKey, PodKey
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import PodState

_WAITING = frozenset({PodState.PENDING, PodState.GATED})


def leftover_reservations(snapshot: ClusterSnapshot, kept: Collection[PodKey]) -> tuple[UndoReservation, ...]:
    """What to take back: claims held by pods of ours that wait for a node and are not among ``kept``.

    ``kept`` are the pods whose claims somebody is using: bound by this cycle's plan or by a command in flight.
    """
    claims_of: dict[str, list[ClaimKey]] = {}
    for claim in snapshot.claims:
        holders = [consumer.uid for consumer in claim.reserved_for]
        if (claim.allocation is not None or claim.is_extended_resource) and not holders:
            holders = [claim.owner_uid]
        for uid in holders:
            claims_of.setdefault(uid, []).append(claim.key)
    if not claims_of:
        return ()
    return tuple(
        UndoReservation(pod=pod.key, uid=pod.uid, claims=tuple(sorted(claims_of[pod.uid])))
        for pod in snapshot.pods
        if pod.state in _WAITING and pod.group is not None and pod.uid in claims_of and pod.key not in kept
    )
