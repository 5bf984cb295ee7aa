"""Preempt: within a queue, gangs that are worth more make gangs leave that are worth less. Rules: KAI's preempt."""

from __future__ import annotations

from kai_sched.model.policy import StageName
from kai_sched.planning.cycle_state import CycleState
from kai_sched.planning.eviction.rights import preempt_rights
from kai_sched.planning.eviction.rounds import EvictionRounds


def preempt(state: CycleState) -> None:
    """Gangs without a place, in fair order, make gangs of lower priority of their own queue leave."""
    EvictionRounds(state, StageName.PREEMPT, preempt_rights).run()
