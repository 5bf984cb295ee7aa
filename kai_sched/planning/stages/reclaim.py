"""Reclaim: queues take back what is theirs from queues that hold more than their share. Rules: KAI's reclaim."""

from __future__ import annotations

from kai_sched.model.policy import StageName
from kai_sched.planning.cycle_state import CycleState
from kai_sched.planning.eviction.rights import ReclaimRights
from kai_sched.planning.eviction.rounds import EvictionRounds


def reclaim(state: CycleState) -> None:
    """Gangs without a place, in fair order, make gangs of other queues leave."""
    EvictionRounds(state, StageName.RECLAIM, ReclaimRights.of).run()
