"""Backlog: what one cycle could not finish, handed to the next one in its snapshot.

Gangs whose turn did not come go first next time: those that had theirs rest until all have had one. Gangs that took all
the work one gang may take, or whose deciding failed, are tried again after growing pauses. Nothing here is needed for a
right decision; after a restart the first cycles find out anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kai_sched.model.ids import PodGroupKey
from kai_sched.model.plan import Outcome, Plan, TurnEnd, Verdict
from kai_sched.model.rests import Postponed

PAUSES_SECONDS: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class _Spent:
    verdict: Verdict
    times: int
    not_before: float


@dataclass(frozen=True, slots=True)
class Backlog:
    """As it stands after some cycles; holds nothing of groups that no longer wait."""

    _spent: Mapping[PodGroupKey, _Spent] = field(default_factory=dict)
    _rested: Mapping[PodGroupKey, Verdict] = field(default_factory=dict)

    def postponed(self) -> tuple[Postponed, ...]:
        """For the next snapshot, in key order."""
        found = {
            group: Postponed(pod_group=group, verdict=verdict) for group, verdict in self._rested.items()
        }
        found |= {
            group: Postponed(pod_group=group, verdict=one.verdict, not_before=one.not_before)
            for group, one in self._spent.items()
        }
        return tuple(found[group] for group in sorted(found))

    def after(self, plan: Plan) -> Backlog:
        """What is left after a plan of a snapshot that carried this backlog."""
        ends = dict(plan.turns)
        waiting = {one.pod_group: one for one in plan.verdicts if one.outcome is Outcome.UNPLACED}
        spent: dict[PodGroupKey, _Spent] = {}
        for group, verdict in waiting.items():
            before = self._spent.get(group)
            if ends.get(group) is TurnEnd.SPENT:
                times = before.times + 1 if before is not None else 0
                pause = PAUSES_SECONDS[min(times, len(PAUSES_SECONDS) - 1)]
                spent[group] = _Spent(verdict, times, plan.now + pause)
            elif before is not None and ends.get(group) is TurnEnd.RESTED:
                spent[group] = before
        return Backlog(spent, self._resting(waiting, ends))

    def _resting(
        self, waiting: Mapping[PodGroupKey, Verdict], ends: Mapping[PodGroupKey, TurnEnd]
    ) -> dict[PodGroupKey, Verdict]:
        """Those that had their turn while others had none."""
        had = {group: verdict for group, verdict in waiting.items() if group not in ends}
        if TurnEnd.NOT_REACHED in ends.values():
            return {group: verdict for group, verdict in self._rested.items() if group in waiting} | had
        left_out = any(ends.get(group) is TurnEnd.RESTED for group in self._rested)
        return had if left_out else {}
