"""ReplicaSets and Deployments: replicas do not wait for each other, so each is on its own."""

from __future__ import annotations

from typing import Final

from kai_sched.api.kinds import DEPLOYMENT, REPLICA_SET, Kind
from kai_sched.grouping.decisions import INFERENCE, TRAIN, Alone
from kai_sched.grouping.owners import Owner

KINDS: Final[tuple[Kind, ...]] = (REPLICA_SET, DEPLOYMENT)


def decide(chain: tuple[Owner, ...]) -> Alone:
    """A group of one; a Deployment's pods serve, so by default they are not preempted, whoever made the Deployment."""
    return Alone(INFERENCE if any(owner.kind == DEPLOYMENT for owner in chain) else TRAIN)
