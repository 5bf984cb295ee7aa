"""Rest: a gang whose last attempt failed while it was being written steps aside for a while.

What the API server, an admission policy or a driver refused is no fact of the cluster's state that a snapshot could
show; it is known to whoever tried. Handed in with the snapshot, so that the same snapshot gives the same plan.
"""

from __future__ import annotations

from dataclasses import dataclass

from kai_sched.model.ids import PodGroupKey
from kai_sched.model.plan import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """One gang that is not tried in this cycle. ``reason``: why, with the words of what refused it."""

    pod_group: PodGroupKey
    reason: str
    next_step: str = ""
    keeps_room: bool = False
    """Its pods that are not bound yet count as being bound: another attempt is under way, or a part of the gang runs
    already, so that it may only be completed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponed:
    """A gang that goes after the others: it had its turn before they had theirs, with this verdict.

    ``not_before``: it is not tried again earlier (seconds since the epoch), because its last turn cost too much.
    """

    pod_group: PodGroupKey
    verdict: Verdict
    not_before: float = 0.0
