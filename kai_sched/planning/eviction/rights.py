"""Rights: whom a gang may ask to leave, by stage, and how much of that it may take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from kai_sched.fairness.entitlement import Entitlement, Taking
from kai_sched.fairness.exact import Exact, exact_of
from kai_sched.fairness.protection import (
    is_protected,
    preempt_min_runtime_seconds,
    reclaim_min_runtime_seconds,
)
from kai_sched.model.ids import QueueName
from kai_sched.model.plan import Blocker
from kai_sched.model.workloads import PodGroup
from kai_sched.placement.clearing.orders import Taker
from kai_sched.planning.cycle_state import CycleState
from kai_sched.planning.eviction.victims import Victim

Amounts = Sequence[tuple[QueueName, Exact]]
"""By unit: the queue that loses it, and how much."""


class Rights(Protocol):
    """Of one gang in its turn."""

    def may_lose(self, victim: Victim) -> bool:
        """Whether a gang may be asked to leave."""

    def is_safe(self, victim: Victim) -> bool:
        """Whether it keeps its minimum whatever happens: it has not run for long enough."""

    def taker(self, amounts: Amounts, /) -> Taker:
        """Counts what is taken, from the start."""


RightsOf = Callable[[CycleState, PodGroup, Exact], Rights | None]
"""(state, the gang's group, what it asks for) -> its rights; None where it may ask nobody."""


@dataclass(frozen=True, slots=True)
class PreemptRights:
    """Gangs of its own queue that are worth less."""

    state: CycleState
    group: PodGroup

    def may_lose(self, victim: Victim) -> bool:
        theirs = victim.group
        return theirs.queue == self.group.queue and theirs.priority < self.group.priority

    def is_safe(self, victim: Victim) -> bool:
        seconds = preempt_min_runtime_seconds(self.state.tree, self.state.policy, self.group.queue)
        return is_protected(victim.group, seconds, self.state.snapshot.now)

    def taker(self, _: Amounts) -> Taker:
        return _Unbounded()


class _Unbounded:
    def take(self, _: Sequence[int]) -> bool:
        return True


def preempt_rights(state: CycleState, group: PodGroup, _: Exact) -> PreemptRights:
    """Whatever it asks for."""
    return PreemptRights(state, group)


@dataclass(frozen=True, slots=True)
class ReclaimRights:
    """Gangs of queues that hold more than theirs, for a queue that holds less."""

    state: CycleState
    group: PodGroup
    request: Exact
    entitlement: Entitlement
    _asked: dict[QueueName, bool] = field(default_factory=dict)
    _min_runtime_seconds: dict[QueueName, float] = field(default_factory=dict)

    @classmethod
    def of(cls, state: CycleState, group: PodGroup, request: Exact) -> ReclaimRights | None:
        entitlement = Entitlement.of(state.tree, state.shares, state.policy.saturation_multiplier)
        if not entitlement.may_reclaim(
            state.ledger, group.queue, request, is_preemptible=group.is_preemptible
        ):
            return None
        return cls(state, group, request, entitlement)

    def may_lose(self, victim: Victim) -> bool:
        theirs = victim.group.queue
        if theirs not in self._asked:
            self._asked[theirs] = theirs != self.group.queue and self._taking().may_ask(theirs)
        return self._asked[theirs]

    def is_safe(self, victim: Victim) -> bool:
        state, theirs = self.state, victim.group.queue
        seconds = self._min_runtime_seconds.get(theirs)
        if seconds is None:
            seconds = reclaim_min_runtime_seconds(state.tree, state.policy, self.group.queue, theirs)
            self._min_runtime_seconds[theirs] = seconds
        return is_protected(victim.group, seconds, state.snapshot.now)

    def taker(self, amounts: Amounts) -> Taker:
        return _Counted(self._taking(), amounts)

    def _taking(self) -> Taking:
        return Taking(
            self.entitlement,
            self.state.ledger,
            self.group.queue,
            self.request,
            is_preemptible=self.group.is_preemptible,
        )


@dataclass(slots=True)
class _Counted:
    taking: Taking
    amounts: Amounts

    def take(self, units: Sequence[int]) -> bool:
        mark = self.taking.mark()
        if all(self.taking.take(*self.amounts[unit]) for unit in units):
            return True
        self.taking.rollback(mark)
        return False


OF_PLACE = frozenset(
    {Blocker.CAPACITY, Blocker.TOPOLOGY, Blocker.DEVICES, Blocker.NODE_CONSTRAINTS, Blocker.QUEUE_LIMIT}
)
"""Refusals that somebody's leaving might lift."""


def exact_request(state: CycleState, pods: tuple[int, ...]) -> Exact:
    """What pending pods ask for, in whole numbers."""
    return exact_of(state.request_of(pods))
