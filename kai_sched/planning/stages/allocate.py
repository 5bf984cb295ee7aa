"""Allocate: serves queues in fair order and places gangs on capacity that is free, or is being released.

A gang is all or nothing for its minimum; pods above it follow one unit at a time, each going back to the order of
service first. A gang like one that failed fails too, as long as nobody has more room than then.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import astuple, dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from kai_sched.fairness.ordering import Fill, JobInQueue
from kai_sched.model.plan import Blocker
from kai_sched.model.workloads import PodGroup
from kai_sched.placement.gangs import Gang
from kai_sched.placement.refusal import Refusal
from kai_sched.placement.seating.greedy import place_core, place_extra
from kai_sched.placement.seating.pods import seat_pods
from kai_sched.placement.world.ground import Ground
from kai_sched.placement.world.horizon import Horizon
from kai_sched.placement.world.moments import Moment
from kai_sched.placement.world.spans import shapes_of
from kai_sched.planning.bounds import over_bounds
from kai_sched.planning.cycle_state import CycleState, GangRecord
from kai_sched.planning.promises import keep_promises
from kai_sched.planning.recording import record_seats
from kai_sched.planning.rounds import Rounds, Server

_OF_THE_QUEUE = frozenset({Blocker.QUEUE_LIMIT, Blocker.NON_PREEMPTIBLE_OVER_QUOTA})
"""Reasons that say nothing about a like gang of another queue."""


def allocate(state: CycleState) -> None:
    """Serve every considered gang once, elastic ones until they are full or refused."""
    _Allocation(state).run()


@dataclass(slots=True)
class _Allocation:
    state: CycleState
    failed: dict[Hashable, tuple[Moment, Refusal]] = field(default_factory=dict)
    allowances: dict[Hashable, float] = field(default_factory=dict)
    """By signature: the units that the gang had which failed."""

    def run(self) -> None:
        keep_promises(self.state)
        Rounds(
            self.state, Server(one=self._serve_one, alike=self._serve_singles, are_alike=self._is_single)
        ).run()

    def _serve_one(self, record: GangRecord, job: JobInQueue) -> None:
        record.refusal = self._serve(record, job)

    def _is_single(self, job: JobInQueue) -> bool:
        """Whether runs of such jobs may be seated at once: one plain pod each, no topology."""
        if job.signature is None or job.fill is not Fill.BELOW_MIN:
            return False
        gang = self.state.records[job.group].gang
        core = gang.core_pods()
        if gang.root.constraint is not None or len(core) != 1 or len(gang.pending_pods()) != 1:
            return False
        # Claims that others hold too are charged once, which a run charged in advance cannot know.
        shape = self.state.boards.world.base.shape_of(core[0])
        return not shape.named and not self.state.accounting.depends_on_node(core)

    def _serve(self, record: GangRecord, job: JobInQueue) -> Refusal | None:
        is_core = job.fill is Fill.BELOW_MIN
        if is_core and not record.gang.root.has_choice:
            breach = self._may(record.gang.group, record.gang.core_pods())
            if breach is not None:
                return breach
        signature = job.signature if is_core and self.state.policy.use_signatures else None
        if signature is not None and (known := self._known_refusal(signature, record.gang)) is not None:
            return known
        before = self.state.boards.world.moment()
        allowance = self.state.meter.left
        refusal = self._place(record, Horizon.LATER if record.waits else Horizon.NOW, is_core=is_core)
        if refusal is not None and is_core:
            refusal = self._rescue(record, refusal)
        if refusal is not None and self.state.boards.world.is_releasing and not record.waits:
            later = self._place(record, Horizon.LATER, is_core=is_core)
            refusal = None if later is None else refusal
        if refusal is not None and signature is not None and refusal.blocker not in _OF_THE_QUEUE:
            self.failed[signature] = (before, refusal)
            self.allowances[signature] = allowance
        return refusal

    def _known_refusal(self, signature: Hashable, gang: Gang) -> Refusal | None:
        """Why a gang like this one failed, if that still holds."""
        moment, refusal = self.failed.get(signature, (None, None))
        if moment is None or refusal is None:
            return None
        if refusal.is_given_up and self.state.meter.left > 2 * self.allowances[signature]:
            # With so much more work the search may well end.
            return None
        boards = self.state.boards
        if boards.still_holds(moment, shapes_of(boards.world, gang.core_pods())):
            return refusal
        # What no arrangement of this cycle's pods can change outlives that they were rearranged.
        is_final = refusal.is_proof and self.state.rescuer is not None and not boards.world.is_releasing
        return refusal if is_final else None

    def _place(self, record: GangRecord, horizon: Horizon, *, is_core: bool) -> Refusal | None:
        first: Refusal | None = None
        for gang in self._orders(record.gang) if is_core else (record.gang,):
            refusal = self._place_as(gang, record, horizon, is_core=is_core)
            if refusal is None:
                return None
            first = first or refusal
            if refusal.blocker not in _OF_THE_QUEUE:
                break
        return first

    def _orders(self, gang: Gang) -> Iterator[Gang]:
        """The gang as it is, then so that a bound of its queue is kept with the lightest of its subgroups."""
        yield gang
        if gang.root.has_choice:
            yield gang.lightest_first(lambda pods: astuple(self.state.request_of(pods)))

    def _place_as(self, gang: Gang, record: GangRecord, horizon: Horizon, *, is_core: bool) -> Refusal | None:
        state, boards = self.state, self.state.boards
        mark = boards.world.checkpoint()
        breach: Refusal | None = None
        if is_core and gang.root.has_choice:
            breach = self._may(gang.group, gang.core_pods())
            if breach is not None:
                return replace(breach, is_proof=False)
        for allowed in self._grounds(gang, is_core=is_core):
            ground = Ground(boards, horizon, allowed)
            if is_core:
                refusal = place_core(ground, gang)
            else:
                refusal = place_extra(ground, gang, may=partial(self._may, gang.group))
            if refusal is not None:
                return breach or refusal
            seats = boards.world.seats_since(mark)
            breach = over_bounds(self.state.ledger, gang.group, state.request_on(seats))
            if breach is None:
                record.gang = gang
                record.waits |= horizon is Horizon.LATER and gang.needs_any({seat.pod for seat in seats})
                record_seats(state, record, seats, horizon)
                return None
            boards.world.rollback(mark)
        return breach

    def _may(self, group: PodGroup, pods: tuple[int, ...]) -> Refusal | None:
        """Why these pods may run nowhere, whatever room there is."""
        accounting = self.state.accounting
        is_mobile = accounting.depends_on_node(pods)
        return over_bounds(
            self.state.ledger,
            group,
            accounting.least_request_of(pods) if is_mobile else self.state.request_of(pods),
        )

    def _grounds(self, gang: Gang, *, is_core: bool) -> Iterator[NDArray[np.bool_] | None]:
        """All nodes that are open to it; where GPU memory counts less on larger GPUs, then those above ever more memory."""
        base = self.state.boards.world.base
        allowed = self.state.open_to(gang.group.key)
        yield allowed
        if self.state.accounting.depends_on_node(gang.core_pods() if is_core else gang.extra_pods()):
            memory = np.array([node.gpu_memory_mib for node in base.table.nodes], dtype=np.int64)
            for least in np.unique(memory[memory > 0])[1:]:
                enough = (memory >= least) | (memory == 0)
                yield enough if allowed is None else enough & allowed

    def _rescue(self, record: GangRecord, refusal: Refusal) -> Refusal | None:
        """Ask for what is seated already to be rearranged, so that the core fits too."""
        state = self.state
        core = record.gang.core_pods()
        if state.rescuer is None:
            return refusal
        left = state.rescuer.make_room(state, record, refusal)
        if left is None:
            wanted = set(core)
            seats = [seat for seat in state.boards.world.seats if seat.pod in wanted]
            record_seats(state, record, seats, Horizon.NOW)
        return left

    def _serve_singles(self, jobs: Sequence[JobInQueue]) -> list[JobInQueue]:
        """Many interchangeable gangs of one pod: one search seats them all. Returns those for whom it found no place."""
        state = self.state
        fitting: list[JobInQueue] = []
        for job in jobs:
            record = state.records[job.group]
            record.refusal = over_bounds(self.state.ledger, record.gang.group, job.request)
            if record.refusal is None:
                # Charged at once, so that the next of the run sees it; refunded below if it finds no place.
                state.ledger.charge(job.queue, job.request, is_preemptible=record.gang.group.is_preemptible)
                fitting.append(job)
        pods = [state.records[job.group].gang.core_pods()[0] for job in fitting]
        mark = state.boards.world.checkpoint()
        try:
            seated = seat_pods(Ground(state.boards), pods) if pods else 0
        except Exception:
            self._refund(fitting)
            raise
        nodes = state.boards.world.base.table.nodes
        for job, seat in zip(fitting, state.boards.world.seats_since(mark), strict=False):
            record = state.records[job.group]
            record.placed.append(seat.pod)
            record.gang = record.gang.after({seat.pod: nodes[seat.node].name})
        state.accounting.note_placed(pods[:seated])
        self._refund(fitting[seated:])
        return fitting[seated:]

    def _refund(self, jobs: Sequence[JobInQueue]) -> None:
        for job in jobs:
            group = self.state.records[job.group].gang.group
            self.state.ledger.refund(job.queue, job.request, is_preemptible=group.is_preemptible)
