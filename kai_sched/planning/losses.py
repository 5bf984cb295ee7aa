"""Losses: what is said to a gang of which pods leave for another, and to the one for whom they leave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kai_sched.model.ids import PodGroupKey, QueueName
from kai_sched.model.plan import Blocker, Eviction, Outcome, Verdict
from kai_sched.model.policy import StageName
from kai_sched.model.queues import QuotaVector
from kai_sched.model.words import counted
from kai_sched.model.workloads import ACTIVE
from kai_sched.planning.cycle_state import CycleState

_NAMED: Final = 3
_BLOCKER: Final = {StageName.RECLAIM: Blocker.FAIR_SHARE, StageName.PREEMPT: Blocker.CAPACITY}


@dataclass(frozen=True, slots=True)
class Losses:
    """All of one cycle, looked up once for everybody who is told."""

    state: CycleState
    queue_of: Mapping[PodGroupKey, QueueName]
    active: Mapping[PodGroupKey, int]
    """Pods of those who lose some, that ran before."""
    left_for: Mapping[PodGroupKey, Sequence[Eviction]]
    """By beneficiary."""

    @classmethod
    def of(cls, state: CycleState) -> Losses:
        """Empty where nobody leaves."""
        if not state.evictions:
            return cls(state, {}, {}, {})
        left_for: dict[PodGroupKey, list[Eviction]] = {}
        for eviction in state.evictions:
            if eviction.beneficiary is not None:
                left_for.setdefault(eviction.beneficiary, []).append(eviction)
        return cls(
            state,
            {group.key: group.queue for group in state.snapshot.pod_groups},
            Counter(
                pod.group
                for pod in state.snapshot.pods
                if pod.group is not None and pod.group in state.losses and pod.state in ACTIVE
            ),
            left_for,
        )

    def verdicts(self) -> Iterator[Verdict]:
        """Of everybody who loses pods: who takes what, by which right, and what remains."""
        for group, lost in self.state.losses.items():
            stays = self.active[group] - len(lost)
            named = _few(one.beneficiary for one in lost if one.beneficiary is not None)
            what = f"{counted(len(lost), 'pod')} {'leaves' if len(lost) == 1 else 'leave'} for {named}"
            remains = f", {counted(stays, 'pod')} {'stays' if stays == 1 else 'stay'}" if stays else ""
            yield Verdict(
                pod_group=group,
                queue=self.queue_of[group],
                outcome=Outcome.UNPLACED,
                blocker=_BLOCKER[lost[0].stage],
                message=f"{what}{remains}: {self._why(lost[0])}",
                next_step="nothing: pods that its workload makes anew wait for their turn",
            )

    def for_whom(self, group: PodGroupKey) -> str:
        """Who leaves for a gang; "" where nobody does."""
        pods = self.left_for.get(group, ())
        if not pods:
            return ""
        named = _few(one.pod_group for one in pods)
        return f": {counted(len(pods), 'pod')} of {named} {'leaves' if len(pods) == 1 else 'leave'} for it"

    def _why(self, first: Eviction) -> str:
        theirs = self.queue_of[first.pod_group]
        if first.stage is StageName.PREEMPT or first.beneficiary is None or theirs not in self.state.shares:
            return "a workload of higher priority in its queue needs the room"
        share = self.state.shares[theirs]
        return (
            f"queue {self.queue_of[first.beneficiary]} takes back its share; {theirs} uses "
            f"{_amount(share.allocated)} with a quota of {_amount(share.deserved)} and a fair share of "
            f"{_amount(share.fair_share)}"
        )


def _few(groups: Iterable[PodGroupKey]) -> str:
    """The first of them by name, the others by number."""
    found = list(dict.fromkeys(groups))
    return ", ".join(found[:_NAMED]) + (f" and {len(found) - _NAMED} more" if len(found) > _NAMED else "")


def _amount(vector: QuotaVector) -> str:
    return "unlimited GPUs" if vector.gpu < 0 else f"{vector.gpu:g} GPUs"
