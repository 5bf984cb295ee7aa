"""One file a kind of workload: what its pods are to each other. A kind without a file here is not placed at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from kai_sched.api.kinds import POD, Kind
from kai_sched.grouping.decisions import Awaited, Decision, Unknown
from kai_sched.grouping.owners import Owner
from kai_sched.grouping.workloads import job, pod, replica_set, stateful_set

_BY_TOP_OWNER: Final[Mapping[Kind, Callable[[tuple[Owner, ...]], Decision]]] = {
    POD: pod.decide,
    **dict.fromkeys(job.KINDS, job.decide),
    **dict.fromkeys(replica_set.KINDS, replica_set.decide),
    **dict.fromkeys(stateful_set.KINDS, stateful_set.decide),
}

OWNER_KINDS: Final = (*job.KINDS, *replica_set.KINDS, *stateful_set.KINDS)
"""Kinds of owners whose labels and annotations matter."""
AWAITED_KINDS: Final = frozenset((*OWNER_KINDS, POD)) - job.FOLLOWED_BY_NAME
"""Owners that are always seen sooner or later."""


def decide(chain: tuple[Owner, ...]) -> Decision:
    """What becomes of a pod with these owners, nearest first.

    The top owner decides, because the gang is its: a Job below a workload that nobody here knows is part of
    something larger. Only replicas stay what they are, whoever made the ReplicaSet.
    """
    if not chain:
        return pod.decide(chain)
    top = chain[-1]
    if not top.is_seen and top.kind in AWAITED_KINDS:
        return Awaited(top)
    rule = replica_set.decide if chain[0].kind in replica_set.KINDS else _BY_TOP_OWNER.get(top.kind)
    return Unknown(chain[-1].kind) if rule is None else rule(chain)
