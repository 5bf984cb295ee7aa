"""Judging: what every gang that waits may hope for, and what would help, tried by planning again.

Bounded: each plan made again costs its nodes and pods, and a cycle may spend so many. The most valuable gangs come
first; who is not reached is told what is missing, without a promise.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kai_sched.model.ids import PodGroupKey
from kai_sched.model.outlook import Action, ActionKind, Advice, Outlook, Prospect
from kai_sched.model.plan import Blocker, Verdict
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.refusal import Refusal
from kai_sched.planning.cycle_state import CycleState, GangRecord
from kai_sched.planning.outlook.bench import Bench, Engine
from kai_sched.planning.outlook.counterfactual import (
    alone,
    applied,
    beside_running,
    waiting_only,
    without,
)
from kai_sched.planning.outlook.early import early_outlook, early_remedy
from kai_sched.planning.outlook.holders import MOST_LEAVERS, Holders, as_groups
from kai_sched.planning.outlook.remedies import Case, remedies
from kai_sched.planning.outlook.rota import Rota

_UNITS_OF_A_PLAN = 50
_UNITS_OF_A_SERVE = 5
_NODES_A_UNIT = 20
_MOST_STEPS = 3
"""Actions that follow one another until a gang fits; more are no advice."""
_MOST_ALTERNATIVES = 2
_MOST_DROPPED = 8

JUDGED = frozenset(
    {
        Blocker.CAPACITY,
        Blocker.TOPOLOGY,
        Blocker.DEVICES,
        Blocker.NODE_CONSTRAINTS,
        Blocker.QUEUE_LIMIT,
        Blocker.NON_PREEMPTIBLE_OVER_QUOTA,
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """The outlook of one gang, and the refusal that speaks for it: by an empty fleet where it can never run."""

    outlook: Outlook
    refusal: Refusal | None
    """None where placement never saw the gang."""


@dataclass(frozen=True, slots=True)
class _Due:
    """One of whom something is to be found out: a gang that was refused, or one that never got so far."""

    group: PodGroupKey
    reason: Verdict | Refusal | None
    record: GangRecord | None = None

    @property
    def verdict(self) -> Verdict:
        """Of one that never got so far."""
        assert isinstance(self.reason, Verdict)
        return self.reason

    @property
    def bare(self) -> Finding | None:
        """What is known without trying anything."""
        outlook = early_outlook(self.verdict) if self.record is None else None
        return Finding(outlook, None) if outlook is not None else None


@dataclass(slots=True)
class Judging:
    """One cycle's. ``state``: the cycle as it ended."""

    state: CycleState
    engine: Engine
    rota: Rota
    units_left: int
    """See ``Policy.advice_units``."""
    is_spent: bool = False
    """Whether the budget was too small for the last plan, or somebody waits: then nobody else is examined."""
    is_cut: bool = False
    """Whether somebody waits: what was being examined then is left as it was."""
    _known: dict[object, Finding | Prospect] = field(default_factory=dict)
    _empty: Bench | None = None
    _beside: Bench | None = None

    def findings(self) -> Mapping[PodGroupKey, Finding]:
        """Of the gangs that were refused and reached within the budget."""
        due = self._due()
        found = {one.group: one.bare for one in due if one.bare is not None}
        waiting = {one.group for one in due if one.record is not None}
        if waiting:
            self._open(waiting)
        for one in due:
            if self.is_spent or self.rota.is_over():
                break
            finding = self._find(one)
            if self.is_cut:
                break
            # Also one that spent the whole budget and heard nothing: the others come first next time.
            self.rota.reached(one.group, one.reason, self.state.snapshot.now)
            if finding is not None:
                found[one.group] = finding
        return found

    def _due(self) -> list[_Due]:
        """Those of whom something is to be found out, whoever was not looked at for longest first."""
        early = {verdict.pod_group: _Due(verdict.pod_group, verdict) for verdict in self.state.early}
        waiting = {one.gang.group.key: one for one in self._waiting()}
        self.rota.begin({*early, *waiting})
        ordered = sorted(waiting.values(), key=self._value)
        every = [*early.values(), *(_Due(one.gang.group.key, one.refusal, one) for one in ordered)]
        now = self.state.snapshot.now
        due = [one for one in every if not self.rota.is_fresh(one.group, one.reason, now)]
        return sorted(due, key=lambda one: self.rota.last_of(one.group))

    def _open(self, waiting: Collection[PodGroupKey]) -> None:
        """The worlds in which those who wait are tried. They answer for all gangs, so they are not of the budget."""
        snapshot = self.state.snapshot
        self._empty = Bench.over(self.engine, waiting_only(snapshot, waiting))
        if any(record.placed or record.pipelined for record in self.state.records.values()):
            self._beside = Bench.over(self.engine, snapshot)

    def _find(self, one: _Due) -> Finding | None:
        if one.record is None:
            return self._of_early(one.verdict)
        return self._examine(self.state.snapshot, self.state, one.record, depth=0)

    def _of_early(self, verdict: Verdict) -> Finding | None:
        outlook = early_outlook(verdict)
        actions = early_remedy(self.state, verdict)
        snapshot = self.state.snapshot
        if actions and _cost(snapshot) <= self.units_left:
            advice = self._try(snapshot, verdict.pod_group, actions, 0)
            if advice is not None:
                outlook = replace(outlook or Outlook(prospect=None), advice=(advice,))
        return Finding(outlook, None) if outlook is not None else None

    def _waiting(self) -> Iterator[GangRecord]:
        for record in self.state.records.values():
            refusal = record.refusal
            is_answered = record.gang.group.key not in self.state.turns.ends
            is_refused = is_answered and refusal is not None and refusal.blocker in JUDGED
            if is_refused and not (record.placed or record.pipelined) and record.gang.core_pods():
                yield record  # Pods above a minimum that runs wait for their own gang as for others.

    def _value(self, record: GangRecord) -> tuple[float, float, str]:
        group = record.gang.group
        return (-group.priority, -self.state.request_of(record.gang.core_pods()).gpu, group.key)

    def _examine(
        self, snapshot: ClusterSnapshot, state: CycleState, record: GangRecord, depth: int
    ) -> Finding | None:
        refusal = record.refusal
        assert refusal is not None
        likeness = self._likeness(state, record) if depth == 0 else None
        known = self._known.get(likeness) if likeness is not None else None
        if isinstance(known, Finding):
            return known
        key = record.gang.group.key
        empty, there = self._alone(snapshot, key, depth)
        if empty is None or there is None:
            return None
        prospect = Prospect.NEVER
        if there.placed or there.pipelined:
            prospect = known if known is not None else self._turn(snapshot, key, depth)
        else:
            refusal = there.refusal or refusal
        if refusal.is_given_up:
            # Nothing is known of it, not even on an empty fleet.
            return None
        finding = self._advised(snapshot, Case(state, record, refusal, prospect, empty), depth)
        if likeness is not None:
            self._known[likeness] = finding if prospect is Prospect.NEVER else prospect
        return finding

    def _alone(
        self, snapshot: ClusterSnapshot, key: PodGroupKey, depth: int
    ) -> tuple[CycleState | None, GangRecord | None]:
        """The world without anybody else, nothing seated, and what becomes of the gang there."""
        bench = self._empty if depth == 0 and not self._is_tied(key) else None
        if bench is not None:
            there = self._served(bench, key)
            if there is None or there.placed or there.pipelined or _is_proven(there):
                return bench.state, there
        empty = self._plan(alone(snapshot, key), thorough=True)
        if empty is None:
            # Not shown beyond what was tried at first sight: no claim is made.
            return None, None
        empty.boards.world.rollback(0)
        return empty, empty.records.get(key)

    def _served(self, bench: Bench, key: PodGroupKey) -> GangRecord | None:
        """What becomes of the gang on a bench. Cheap, but there may be thousands of gangs."""
        self.units_left -= _UNITS_OF_A_SERVE + len(self.state.snapshot.fleet.nodes) // _NODES_A_UNIT
        self.is_spent = self.is_spent or self.units_left <= 0
        return bench.serve(key)

    def _is_tied(self, key: PodGroupKey) -> bool:
        """Whether it holds something already, or shares something that others may hold."""
        record = self.state.records[key]
        base = self.state.boards.world.base
        return record.gang.root.has_active or any(
            base.shape_of(pod).named for pod in record.gang.pending_pods()
        )

    def _turn(self, snapshot: ClusterSnapshot, key: PodGroupKey, depth: int) -> Prospect:
        """Whether it fits beside all that runs."""
        if depth:
            beside = self._plan(beside_running(snapshot, key))
            is_free = beside is not None and _fits(beside, key)
        else:
            there = self._served(self._beside, key) if self._beside is not None else None
            is_free = there is not None and bool(there.placed or there.pipelined)
        return Prospect.NOT_YOUR_TURN if is_free else Prospect.NOT_NOW

    def _likeness(self, state: CycleState, record: GangRecord) -> object | None:
        """Equal for gangs that have the same prospect."""
        signature = state.signature_of(record.gang, record.gang.core_pods())
        return None if signature is None else (signature, record.gang.group.queue)

    def _advised(self, snapshot: ClusterSnapshot, case: Case, depth: int) -> Finding:
        outlook = Outlook(prospect=case.prospect)
        if case.prospect is Prospect.NEVER:
            outlook = replace(outlook, bound=case.refusal.bound)
        else:
            outlook = self._held(snapshot, case)
        alternatives = list(outlook.advice)
        for first in remedies(case):
            if len(alternatives) >= _MOST_ALTERNATIVES or (depth and alternatives):
                break
            advice = self._try(snapshot, case.record.gang.group.key, first, depth)
            if advice is not None and not any(_kinds(one) <= _kinds(advice) for one in alternatives):
                alternatives.append(advice)
        return Finding(replace(outlook, advice=tuple(alternatives)), case.refusal)

    def _held(self, snapshot: ClusterSnapshot, case: Case) -> Outlook:
        """Who is in the way: as few groups as are found without which the gang fits."""
        if _cost(snapshot) > self.units_left:
            return Outlook(prospect=case.prospect)
        holders = Holders(case)
        key = case.record.gang.group.key
        candidates = holders.in_the_way()
        leavers = self._fewest(snapshot, key, candidates) if len(candidates) <= MOST_LEAVERS else []
        if not leavers:
            return Outlook(prospect=case.prospect)
        running = [holders.holder(group) for group in leavers if holders.is_running(group)]
        return Outlook(
            prospect=case.prospect,
            held_by=tuple(sorted(running, key=lambda one: (-one.amount, one.group))),
            goes_first=as_groups(group for group in leavers if not holders.is_running(group)),
            advice=(
                Advice((Action(kind=ActionKind.END_GROUPS, groups=as_groups(leavers)),), is_verified=True),
            ),
        )

    def _fewest(
        self, snapshot: ClusterSnapshot, key: PodGroupKey, candidates: Sequence[PodGroupKey]
    ) -> list[PodGroupKey]:
        """The shortest beginning of the candidates that suffices, less those of it that nobody misses."""

        def suffices(groups: Sequence[PodGroupKey]) -> bool:
            trial = self._plan(without(snapshot, frozenset(groups)))
            return trial is not None and _is_placed(trial, key)

        candidates = self._with_next_in_turn(snapshot, key, candidates)
        if not candidates:
            return []
        low, high = 0, len(candidates)
        while high - low > 1:
            middle = (low + high) // 2
            if suffices(candidates[:middle]):
                high = middle
            else:
                low = middle
        found = list(candidates[:high])
        for group in found[:-1] if len(found) <= _MOST_DROPPED else ():
            fewer = [one for one in found if one != group]
            if suffices(fewer):
                found = fewer
        return found

    def _with_next_in_turn(
        self, snapshot: ClusterSnapshot, key: PodGroupKey, candidates: Sequence[PodGroupKey]
    ) -> list[PodGroupKey]:
        """The candidates, with those who would take what they leave; none if even so the gang finds no place."""
        found = list(candidates)
        for _ in range(_MOST_STEPS):
            trial = self._plan(without(snapshot, frozenset(found))) if found else None
            if trial is None:
                return []
            if _is_placed(trial, key):
                return found
            newly = [group for group, record in trial.records.items() if record.placed and group not in found]
            if not newly:
                return []
            found += newly
        return []

    def _try(
        self, snapshot: ClusterSnapshot, key: PodGroupKey, actions: tuple[Action, ...], depth: int
    ) -> Advice | None:
        """The actions if a plan with them taken places the gang, with what else is needed then."""
        changed = (
            applied(snapshot, key, Advice(actions))
            if actions and _cost(snapshot) <= self.units_left
            else None
        )
        trial = self._plan(changed) if changed is not None else None
        if changed is None or trial is None or key not in trial.records:
            return None
        if _is_placed(trial, key):
            return Advice(actions, is_verified=True)
        record = trial.records[key]
        if actions[-1].kind is ActionKind.ADD_NODES or depth + 1 >= _MOST_STEPS:
            return None
        if record.refusal is None or record.refusal.blocker not in JUDGED:
            return None
        after = self._examine(changed, trial, record, depth + 1)
        following = next((one for one in after.outlook.advice if one.is_verified), None) if after else None
        if following is None or set(following.actions) & set(actions):
            return None
        return Advice((*actions, *following.actions), is_verified=True)

    def _plan(self, snapshot: ClusterSnapshot, *, thorough: bool = False) -> CycleState | None:
        """The cycle over another snapshot; None once the budget is spent."""
        cost = _cost(snapshot)
        self.is_cut = self.is_cut or self.rota.is_over()
        self.is_spent = self.is_cut or cost > self.units_left
        if self.is_spent:
            return None
        self.units_left -= cost
        return self.engine.planned(snapshot, thorough=thorough)


def _cost(snapshot: ClusterSnapshot) -> int:
    return len(snapshot.fleet.nodes) + len(snapshot.pods) + len(snapshot.claims) + _UNITS_OF_A_PLAN


def _is_proven(record: GangRecord) -> bool:
    return record.refusal is not None and record.refusal.is_proof


def _kinds(advice: Advice) -> frozenset[ActionKind]:
    return frozenset(action.kind for action in advice.actions)


def _is_placed(state: CycleState, key: PodGroupKey) -> bool:
    record = state.records.get(key)
    return record is not None and bool(record.placed)


def _fits(state: CycleState, key: PodGroupKey) -> bool:
    record = state.records.get(key)
    return record is not None and bool(record.placed or record.pipelined)
