"""Losses: what is said to a gang of which pods leave for another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kai_sched.model.ids import PodGroupKey
from kai_sched.model.plan import Blocker, Eviction, Outcome, Verdict
from kai_sched.model.policy import StageName
from kai_sched.model.queues import QuotaVector
from kai_sched.model.words import counted
from kai_sched.model.workloads import ACTIVE
from kai_sched.planning.cycle_state import CycleState

_NAMED: Final = 3
_BLOCKER: Final = {StageName.RECLAIM: Blocker.FAIR_SHARE, StageName.PREEMPT: Blocker.CAPACITY}


def loss_verdict(state: CycleState, group: PodGroupKey, lost: Sequence[Eviction]) -> Verdict:
    """Who takes what, by which right, and what remains."""
    first = lost[0]
    active = sum(pod.group == group and pod.state in ACTIVE for pod in state.snapshot.pods)
    stays = active - len(lost)
    queue = next(one.queue for one in state.snapshot.pod_groups if one.key == group)
    takers = list(dict.fromkeys(one.beneficiary for one in lost if one.beneficiary is not None))
    named = ", ".join(takers[:_NAMED]) + (f" and {len(takers) - _NAMED} more" if len(takers) > _NAMED else "")
    verb = "leaves" if len(lost) == 1 else "leave"
    what = f"{counted(len(lost), 'pod')} {verb} for {named}"
    remains = f", {counted(stays, 'pod')} {'stays' if stays == 1 else 'stay'}" if stays else ""
    return Verdict(
        pod_group=group,
        queue=queue,
        outcome=Outcome.UNPLACED,
        blocker=_BLOCKER[first.stage],
        message=f"{what}{remains}: {_why(state, first, group)}",
        next_step="nothing: pods that its workload makes anew wait for their turn",
    )


def _why(state: CycleState, first: Eviction, group: PodGroupKey) -> str:
    queues = {one.key: one.queue for one in state.snapshot.pod_groups}
    theirs = queues.get(group)
    taker = queues.get(first.beneficiary) if first.beneficiary is not None else None
    if first.stage is StageName.PREEMPT or theirs is None or theirs not in state.shares:
        return "a workload of higher priority in its queue needs the room"
    share = state.shares[theirs]
    return (
        f"queue {taker} takes back its share; {theirs} uses {_amount(share.allocated)} with a quota of "
        f"{_amount(share.deserved)} and a fair share of {_amount(share.fair_share)}"
    )


def _amount(vector: QuotaVector) -> str:
    return "unlimited GPUs" if vector.gpu < 0 else f"{vector.gpu:g} GPUs"


def beneficiary_words(state: CycleState, group: PodGroupKey) -> str:
    """Who leaves for a gang; "" where nobody does."""
    pods = [one for one in state.evictions if one.beneficiary == group]
    if not pods:
        return ""
    losers = list(dict.fromkeys(one.pod_group for one in pods))
    named = ", ".join(losers[:_NAMED]) + (f" and {len(losers) - _NAMED} more" if len(losers) > _NAMED else "")
    return f": {counted(len(pods), 'pod')} of {named} {'leaves' if len(pods) == 1 else 'leave'} for it"
