"""Turns: how much of a cycle's work one gang may take, and what becomes of those for whom none is left.

Two purses, so that neither kind of gang can keep the other waiting: one for gangs that counting decides, one for those
that must be searched for. In the first round everybody has a small allowance, and no queue more than half a purse. Who
needs more comes again in the second round, after all others, with what is left. Gangs that had a turn in an earlier
cycle while others had none (``ClusterSnapshot.postponed``) come in the second round, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from kai_sched.model.ids import PodGroupKey, QueueName
from kai_sched.model.plan import Blocker, TurnEnd, Verdict
from kai_sched.model.rests import Postponed
from kai_sched.placement.refusal import Refusal

_FIRST_UNITS: Final = 2_000
_FIRST_UNITS_A_POD: Final = 100
LIGHT_PODS: Final = 64
"""A larger gang is no light work, whatever its pods are."""


NO_WORK_LEFT: Final = Refusal(
    blocker=Blocker.DELAYED,
    message="its turn did not come: the work of this cycle was spent on others before it",
    next_step="wait: the next cycle begins with it",
)


class Round(IntEnum):
    """Of a cycle."""

    FIRST = 0
    SECOND = 1


class Purse(IntEnum):
    """Where a gang's work is taken from."""

    LOOKING = 0
    """What its pods are and ask for."""
    COUNTED = 1
    SEARCHED = 2


def enough_for(pods: int) -> int:
    """Units that a gang of so many pods has in the first round. Who had them, and spends as many again, is to blame."""
    return _FIRST_UNITS + _FIRST_UNITS_A_POD * pods


class Turns:
    """The accounts of one run of the stages."""

    def __init__(
        self,
        work: int,
        postponed: Mapping[PodGroupKey, Postponed],
        now: float,
        settled: Mapping[PodGroupKey, Refusal] | None = None,
    ) -> None:
        """``settled``: gangs that an earlier run of the same cycle has given up, with what it told."""
        self._now = now
        self._postponed = postponed
        self._settled = settled or {}
        self._left = {Purse.LOOKING: work // 2, Purse.COUNTED: work // 2, Purse.SEARCHED: work}
        self._most_a_queue = {purse: left // 2 for purse, left in self._left.items()}
        self._most_in_second = work // 2
        self._used: dict[tuple[Purse, QueueName], int] = {}
        self.ends: dict[PodGroupKey, TurnEnd] = {}

    def refusal_before(self, group: PodGroupKey) -> Refusal | None:
        """Why a gang is not tried at all in this run."""
        settled = self._settled.get(group)
        if settled is not None:
            self.ends[group] = TurnEnd.SPENT
            return settled
        postponed = self._postponed.get(group)
        if postponed is None or postponed.not_before <= self._now:
            return None
        self.ends[group] = TurnEnd.RESTED
        return _repeated(postponed.verdict)

    def round_of(self, group: PodGroupKey) -> Round:
        """When a gang comes."""
        return Round.SECOND if group in self._postponed else Round.FIRST

    def allowance(self, purse: Purse, queue: QueueName, pods: int, turn: Round) -> int:
        """Units that a gang may take now; 0: none is left for it in this round."""
        left = self._left[purse]
        if turn is Round.SECOND:
            return min(self._most_in_second, left)
        used = self._used.get((purse, queue), 0)
        return max(0, min(enough_for(pods), left, self._most_a_queue[purse] - used))

    def count(self, purse: Purse, queue: QueueName, units: int) -> None:
        """Take what a turn has cost."""
        self._left[purse] -= units
        self._used[purse, queue] = self._used.get((purse, queue), 0) + units

    def spent(self, group: PodGroupKey) -> Refusal:
        """A gang took all that one may take."""
        self.ends[group] = TurnEnd.SPENT
        return Refusal(
            blocker=Blocker.DELAYED,
            message="deciding it takes more work than one cycle gives to one workload",
            next_step="ask for less in fewer pods, subgroups and claims; it is tried again after the others, with pauses",
        )

    def not_reached(self, group: PodGroupKey) -> Refusal:
        """No work was left for a gang."""
        postponed = self._postponed.get(group)
        if postponed is not None:
            self.ends[group] = TurnEnd.RESTED
            return _repeated(postponed.verdict)
        self.ends[group] = TurnEnd.NOT_REACHED
        return NO_WORK_LEFT

    def failed(self, group: PodGroupKey, error: str) -> Refusal:
        """Deciding a gang failed, which is our fault and costs it alone."""
        self.ends[group] = TurnEnd.SPENT
        return failure(error)


def failure(error: str) -> Refusal:
    """What a gang is told when deciding it failed."""
    return Refusal(
        blocker=Blocker.DELAYED,
        message=f"deciding it failed ({error}); nothing else is affected",
        next_step="report this; it is tried again after the others, with pauses",
    )


def _repeated(verdict: Verdict) -> Refusal:
    return Refusal(
        blocker=verdict.blocker or Blocker.DELAYED,
        message=verdict.message,
        next_step=verdict.next_step,
        is_proof=verdict.is_proof,
        conflict=verdict.conflict,
    )
