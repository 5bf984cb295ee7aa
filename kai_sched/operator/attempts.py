"""Attempts: which commands are under way, which gangs failed, and how long each rests before it is tried again.

A gang that fails steps aside: its room is anybody's until its pause is over, and its pauses grow. Only a gang of which
a part runs already, and which is below its minimum, keeps the room of the pods that are missing: it is completed by
the same command or not at all. What resets the pauses: an attempt that succeeds, a change of the pod group or of its
waiting pods. Nothing else can be seen to help (an admission policy is not watched), so no pause is long.

A restarted operator knows nothing of this: it tries each gang once, and its pauses begin anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from kai_sched.binder.outcomes import CommandOutcome, Result
from kai_sched.model.commands import BindGang, Command, UndoReservation
from kai_sched.model.ids import PodGroupKey, PodKey
from kai_sched.model.plan import Outcome, Plan, Verdict
from kai_sched.model.rests import Rest
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.operator.subjects import MAY_BE_BOUND, Subject, subjects_of
from kai_sched.planning.demand import resting

REFUSED_PAUSES: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
UNANSWERED_PAUSES: Final = (0.5, 1.0, 2.0, 5.0)
"""Nobody's fault, and it passes for all at once."""
FREE_STALE_TRIES: Final = 3
"""The world changed and the mirror hears of it at once: no reason to wait, unless it goes on like that."""

_SAME_AGAIN = frozenset({Result.FAILED, Result.RETRY, Result.UNANSWERED})
"""Where the very same command may succeed later; after the others there is something to decide anew."""


def pause_after(result: Result, failures: int) -> float:
    """Seconds to rest after so many failures in a row, this one included."""
    if result is Result.STALE:
        if failures <= FREE_STALE_TRIES:
            return 0.0
        failures -= FREE_STALE_TRIES
    pauses = UNANSWERED_PAUSES if result is Result.UNANSWERED else REFUSED_PAUSES
    return pauses[min(failures, len(pauses)) - 1]


@dataclass(frozen=True, slots=True)
class _Started:
    command: BindGang
    since: float


@dataclass(slots=True)
class _Failure:
    """A gang that failed and has not succeeded since."""

    failures: int = 0
    until: float = 0.0
    reason: str = ""
    is_resting: bool = False
    to_complete: BindGang | None = None
    """What is left of the command, where the gang keeps its room."""
    subject: Subject | None = None
    """When it changes, another attempt may end differently."""


@dataclass(slots=True)
class Attempts:
    """What the loop remembers of its commands. ``clock``: seconds of any origin that only grow."""

    clock: Callable[[], float]
    _gangs: dict[PodGroupKey, _Started] = field(default_factory=dict)
    _failed: dict[PodGroupKey, _Failure] = field(default_factory=dict)
    _undos: set[PodKey] = field(default_factory=set)
    _failed_undos: dict[PodKey, _Failure] = field(default_factory=dict)

    def started(self, command: Command) -> None:
        """A command goes to the binder."""
        if isinstance(command, BindGang):
            self._gangs[command.pod_group] = _Started(command, self.clock())
        elif isinstance(command, UndoReservation):
            self._undos.add(command.pod)

    def may_start(self, command: Command) -> bool:
        """Whether nothing under way, and no pause, is in the way of a command.

        A gang gets no second command beside its first: were the first undone, the second would have bound pods above
        a minimum that does not exist. Nor is a pod bound while what an earlier attempt left is taken back from it.
        """
        if isinstance(command, BindGang):
            is_free = self._undos.isdisjoint(placement.pod for placement in command.placements)
            return is_free and command.pod_group not in self._gangs and not self._rests(command.pod_group)
        if isinstance(command, UndoReservation):
            failure = self._failed_undos.get(command.pod)
            return command.pod not in self._undos and (failure is None or failure.until <= self.clock())
        return True

    def ended(self, outcome: CommandOutcome, *, is_incomplete: bool = False) -> float:
        """How long the command took. ``is_incomplete``: a part of the gang runs, and it is below its minimum."""
        command = outcome.command
        if isinstance(command, UndoReservation):
            self._undos.discard(command.pod)
            if outcome.result in {Result.DONE, Result.STALE}:
                self._failed_undos.pop(command.pod, None)
            else:
                self._note(self._failed_undos.setdefault(command.pod, _Failure()), outcome)
            return 0.0
        if not isinstance(command, BindGang):
            return 0.0
        started = self._gangs.pop(command.pod_group, None)
        if outcome.result is Result.DONE:
            self._failed.pop(command.pod_group, None)
        else:
            failure = self._failed.setdefault(command.pod_group, _Failure())
            self._note(failure, outcome)
            keeps = is_incomplete and outcome.result in _SAME_AGAIN
            failure.to_complete = _rest_of(command, outcome) if keeps else None
        return 0.0 if started is None else self.clock() - started.since

    def keeps(self, group: PodGroupKey) -> bool:
        """Whether what is left of the gang's last command keeps its room."""
        failure = self._failed.get(group)
        return failure is not None and failure.to_complete is not None

    def look(self, snapshot: ClusterSnapshot) -> None:
        """Let go of what is gone, and end the rest of gangs that changed."""
        if not self._failed and not self._failed_undos:
            return
        subjects = subjects_of(snapshot, self._failed.keys())
        self._failed = {key: self._failed[key] for key in subjects}
        for key, subject in subjects.items():
            failure = self._failed[key]
            if failure.subject is not None and subject.is_news_after(failure.subject):
                failure.failures, failure.until = 0, self.clock()
            failure.subject = subject
        if self._failed_undos:
            alive = {pod.key for pod in snapshot.pods if pod.state in MAY_BE_BOUND}
            self._failed_undos = {key: one for key, one in self._failed_undos.items() if key in alive}

    def rests(self) -> tuple[Rest, ...]:
        """The gangs that are not to be tried now, in key order."""
        return tuple(
            _rest_after(
                key,
                failure.reason,
                keeps_room=key in self._gangs or failure.to_complete is not None,
            )
            for key, failure in sorted(self._failed.items())
            if failure.is_resting and (key in self._gangs or failure.to_complete or self._rests(key))
        )

    def due(self) -> tuple[BindGang, ...]:
        """What gangs that keep their room are to try again now."""
        return tuple(
            failure.to_complete
            for key, failure in sorted(self._failed.items())
            if failure.to_complete is not None and key not in self._gangs and not self._rests(key)
        )

    def next_due_in(self) -> float | None:
        """Seconds until the next rest ends; None where nobody rests."""
        now = self.clock()
        ends = [*self._failed.values(), *self._failed_undos.values()]
        return min((one.until - now for one in ends if one.until > now), default=None)

    def told(self, plan: Plan, snapshot: ClusterSnapshot) -> Plan:
        """The plan as it may be told: a gang that was refused is not placed before its pods are bound."""
        again = {
            key: failure.reason
            for key, failure in self._failed.items()
            if failure.is_resting and key in self._gangs
        }
        if not again:
            return plan
        groups = {group.key: group for group in snapshot.pod_groups if group.key in again}

        def verdict_of(verdict: Verdict) -> Verdict:
            reason = again.get(verdict.pod_group)
            if reason is None or verdict.outcome is not Outcome.PLACED or verdict.pod_group not in groups:
                return verdict
            return resting(groups[verdict.pod_group], _rest_after(verdict.pod_group, reason))

        return replace(plan, verdicts=tuple(map(verdict_of, plan.verdicts)))

    def forget_all(self) -> tuple[BindGang, ...]:
        """Begin anew; returns the commands that were under way or kept their room."""
        kept = [failure.to_complete for failure in self._failed.values() if failure.to_complete is not None]
        held = (*(started.command for started in self._gangs.values()), *kept)
        for memory in (self._gangs, self._failed, self._failed_undos):
            memory.clear()
        self._undos.clear()
        return held

    def _rests(self, group: PodGroupKey) -> bool:
        failure = self._failed.get(group)
        return failure is not None and failure.until > self.clock()

    def _note(self, failure: _Failure, outcome: CommandOutcome) -> None:
        failure.failures += 1
        pause = pause_after(outcome.result, failure.failures)
        failure.until = self.clock() + pause
        failure.is_resting = pause > 0
        failure.reason = outcome.reason


def _rest_of(command: BindGang, outcome: CommandOutcome) -> BindGang:
    bound = frozenset(outcome.bound)
    left = tuple(placement for placement in command.placements if placement.pod not in bound)
    return BindGang(
        pod_group=command.pod_group, placements=left, already_bound=command.already_bound + len(bound)
    )


def _rest_after(group: PodGroupKey, reason: str, *, keeps_room: bool = False) -> Rest:
    return Rest(
        pod_group=group,
        reason=f"it was placed and could not be started: {reason}",
        next_step="mend what refused it; it is tried again after growing pauses",
        keeps_room=keeps_room,
    )
