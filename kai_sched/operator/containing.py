"""Containing: where a decision ends without any plan, the gangs are found that caused it, and the others are decided.

A mistake in deciding about one gang (an exception, an abort of native code, a search without end) would otherwise come
again in every cycle, and nobody would be served. Gangs are left out by halves until the rest can be decided; what is
left out rests, with growing pauses, until it changes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import structlog

from kai_sched.model.ids import PodGroupKey
from kai_sched.model.policy import Policy
from kai_sched.model.rests import Rest
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import PodState
from kai_sched.operator.subjects import Subject, subjects_of
from kai_sched.solving.messages import Prospects
from kai_sched.solving.process import TRIES
from kai_sched.solving.stats import Decision, Ending, SolvingStats

_log = structlog.get_logger(__name__)

PAUSES: Final = (10.0, 30.0, 60.0, 300.0)
MOST_PROBES: Final = 24
"""Enough for one gang among tens of thousands, found by halving."""
LATE_BEFORE_SEARCH: Final = 2
"""A decision may be late because the machine is slow, or the child was stopped: each time there is more time."""
SEARCH_DEADLINES: Final = 2.0
"""The time of a search, in deadlines. What is not found by then is left out as it is, and divided further next time."""
_PROBE_PART: Final = 0.25
_LEAST_PROBE_SECONDS: Final = 1.0
_SHOWN_REASON: Final = 300
_SHOWN_GROUPS: Final = 10
_NEXT_STEP: Final = "report it as a bug of the scheduler, with the output of kai-sched snapshot; it is tried again after growing pauses"


class Solver(Protocol):
    """Who decides."""

    @property
    def stats(self) -> SolvingStats: ...

    async def decide(
        self, snapshot: ClusterSnapshot, policy: Policy, deadline_seconds: float, *, tries: int = ...
    ) -> Decision: ...

    async def prospects(self, decision: Decision) -> Prospects | None: ...


@dataclass(slots=True)
class _LeftOut:
    subject: Subject
    reason: str
    until: float = 0.0
    times: int = 0


@dataclass(slots=True)
class Containing:
    """A solver that decides about all but those who make it fail. ``clock``: seconds of any origin."""

    solver: Solver
    clock: Callable[[], float]
    _left_out: dict[PodGroupKey, _LeftOut] = field(default_factory=dict)
    _late: int = 0
    """Decisions in a row that had no plan in time."""

    @property
    def stats(self) -> SolvingStats:
        """Of the solver, probes included."""
        return self.solver.stats

    async def prospects(self, decision: Decision) -> Prospects | None:
        """See the solver's."""
        return await self.solver.prospects(decision)

    async def decide(self, snapshot: ClusterSnapshot, policy: Policy, deadline_seconds: float) -> Decision:
        """The solver's decision, if need be without the gangs that make it fail."""
        self._look(snapshot)
        snapshot = _without(snapshot, self._rests())
        # Whoever was late already gets more time instead of more tries.
        tries = 1 if self._late else TRIES
        decision = await self.solver.decide(snapshot, policy, deadline_seconds, tries=tries)
        late, self._late = self._late, 0
        if decision.plan is not None or not decision.was_asked:
            return decision
        if decision.ending is Ending.DEADLINE and late < LATE_BEFORE_SEARCH:
            self._late = late + 1
            return decision
        reason = (decision.reason.strip().splitlines() or ["no reason"])[-1][:_SHOWN_REASON]
        search = _Search(
            self, snapshot, replace(policy, use_solver=False), deadline_seconds, reason, self._left_out.keys()
        )
        found = await search.run()
        if found is None:
            return decision
        decided = search.subjects.keys() - search.left_out
        self._left_out = {key: one for key, one in self._left_out.items() if key not in decided}
        for group in search.left_out:
            self._leave_out(group, search.subjects.get(group), reason)
        _log.error(
            "gangs are left out: deciding about them failed",
            count=len(search.left_out),
            first=sorted(search.left_out)[:_SHOWN_GROUPS],
            ending=decision.ending.value,
            reason=decision.reason,
        )
        return replace(found, ending=decision.ending, reason=decision.reason)

    def _look(self, snapshot: ClusterSnapshot) -> None:
        """Let go of what is gone or changed."""
        if self._left_out:
            subjects = subjects_of(snapshot, self._left_out.keys())
            self._left_out = {
                key: one
                for key, one in self._left_out.items()
                if key in subjects and not subjects[key].is_news_after(one.subject)
            }

    def _rests(self) -> dict[PodGroupKey, str]:
        now = self.clock()
        return {key: one.reason for key, one in self._left_out.items() if one.until > now}

    def _leave_out(self, group: PodGroupKey, subject: Subject | None, reason: str) -> None:
        if subject is None:
            return
        one = self._left_out.setdefault(group, _LeftOut(subject, reason))
        one.until = self.clock() + PAUSES[min(one.times, len(PAUSES) - 1)]
        one.times += 1


@dataclass(slots=True)
class _Search:
    contained: Containing
    snapshot: ClusterSnapshot
    policy: Policy
    deadline_seconds: float
    reason: str
    suspects: Collection[PodGroupKey]
    """Gangs that were left out before."""
    left_out: set[PodGroupKey] = field(default_factory=set)
    subjects: dict[PodGroupKey, Subject] = field(default_factory=dict)
    _kept: list[PodGroupKey] = field(default_factory=list)
    _best: Decision | None = None
    _probes: int = 0
    _ends_at: float = 0.0

    async def run(self) -> Decision | None:
        """The decision about all gangs but ``left_out``; None where there is none even about nobody."""
        resting = {rest.pod_group for rest in self.snapshot.rests}
        groups = sorted(
            {
                pod.group
                for pod in self.snapshot.pods
                if pod.group is not None and pod.state is PodState.PENDING and pod.group not in resting
            }
        )
        self.subjects = subjects_of(self.snapshot, groups)
        self._ends_at = self.contained.clock() + SEARCH_DEADLINES * self.deadline_seconds
        self.left_out = set(groups)
        if not groups or not await self._is_decided_with(()):
            return None
        suspects = [group for group in groups if group in self.suspects]
        others = [group for group in groups if group not in self.suspects]
        if suspects and others and await self._is_decided_with(others):
            self._keep(others)
            groups = suspects
        await self._divide(groups)
        return self._best

    def _keep(self, groups: Sequence[PodGroupKey]) -> None:
        self._kept += groups
        self.left_out.difference_update(groups)

    async def _divide(self, groups: Sequence[PodGroupKey]) -> None:
        """Keep those parts of gangs that fail together which do not.

        Large parts come first, so that the end of the search leaves few out.
        """
        failing = deque([groups])
        while failing:
            whole = failing.popleft()
            if len(whole) == 1:
                continue
            middle = len(whole) // 2
            for part in (whole[:middle], whole[middle:]):
                if self._probes >= MOST_PROBES or self.contained.clock() > self._ends_at:
                    return
                if await self._is_decided_with(part):
                    self._keep(part)
                else:
                    failing.append(part)

    async def _is_decided_with(self, part: Sequence[PodGroupKey]) -> bool:
        self._probes += 1
        wanted = {*self._kept, *part}
        others = {group: self.reason for group in self.subjects if group not in wanted}
        seconds = max(_LEAST_PROBE_SECONDS, _PROBE_PART * self.deadline_seconds)
        found = await self.contained.solver.decide(
            _without(self.snapshot, others), self.policy, seconds, tries=1
        )
        if found.plan is not None:
            self._best = found
        return found.plan is not None


def _without(snapshot: ClusterSnapshot, left_out: dict[PodGroupKey, str]) -> ClusterSnapshot:
    """The snapshot in which these gangs rest too."""
    known: Collection[PodGroupKey] = {rest.pod_group for rest in snapshot.rests}
    more = tuple(
        Rest(pod_group=group, reason=f"deciding about it failed: {reason}", next_step=_NEXT_STEP)
        for group, reason in sorted(left_out.items())
        if group not in known
    )
    return replace(snapshot, rests=(*snapshot.rests, *more)) if more else snapshot
