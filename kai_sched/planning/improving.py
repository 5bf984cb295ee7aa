"""Improving: what follows the greedy run of a cycle, as long as its deterministic budget lasts.

The stages run a second time with a rescuer, so that a gang which greedy could not seat gets its place in its own turn
of the fair order, under the same limits, without anybody being dropped. Then everything seated is tidied. At the end
the plan says how good it is, and which refusals are proofs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from kai_sched.model.ids import PodGroupKey
from kai_sched.model.plan import Blocker, SolverReport, TurnEnd
from kai_sched.placement.gangs import Gang
from kai_sched.placement.rearranging.layout import Layout, Ruler
from kai_sched.placement.rearranging.rescue import Refuted, Rescue
from kai_sched.placement.rearranging.tidy import Tidying
from kai_sched.placement.reduction.effort import Effort
from kai_sched.placement.reduction.tenants import Tenant, is_arrangeable
from kai_sched.placement.refusal import Refusal
from kai_sched.placement.seating.greedy import place_core
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.ground import Ground
from kai_sched.placement.world.moments import Moment
from kai_sched.placement.world.world import World
from kai_sched.planning.cycle_state import CycleState, GangRecord

_REARRANGEABLE = frozenset({Blocker.CAPACITY, Blocker.TOPOLOGY, Blocker.DEVICES})
"""Reasons that another arrangement of pending pods might lift."""

_STEPS_A_PLAN = 4
"""Small steps follow each other quickly, and a plan of a large cluster is work to write down."""

Score = tuple[tuple[str, int], ...]


@dataclass(slots=True)
class Improvement:
    """Keeps what the cycle began with: its world and its gangs."""

    pristine: World
    originals: dict[PodGroupKey, Gang]
    effort: Effort
    rescuer: Rescue
    rescues: int = 0
    proven: Layout | None = None
    """No layout of the pods seated costs less, where that was shown beyond what counting shows."""
    _tenants: tuple[Boards, Moment, list[Tenant]] | None = None
    """As they were seen last, on which boards and when."""

    @classmethod
    def over(cls, state: CycleState, effort: Effort) -> Improvement:
        """Before any stage has run."""
        pristine = state.boards.world.fork()
        return cls(
            pristine=pristine,
            originals={key: record.gang for key, record in state.records.items()},
            effort=effort,
            rescuer=Rescue(pristine, effort),
        )

    def make_room(self, state: CycleState, record: GangRecord, refusal: Refusal) -> Refusal | None:
        """See ``cycle_state.RoomMaker``."""
        if refusal.blocker not in _REARRANGEABLE or record.placed or record.pipelined:
            return refusal
        if state.open_to(record.gang.group.key) is not None:
            return refusal
        newcomer = Tenant(record.gang, record.gang.core_pods())
        if not is_arrangeable(state.boards, newcomer):
            return replace(refusal, is_proof=self._is_refused_alone(record.gang))
        found = self.rescuer.rescue(state.boards, self.tenants(state), newcomer)
        if isinstance(found, Refuted):
            return replace(refusal, is_proof=found.is_proof)
        self.rescues += 1
        self.adopt(state, found)
        return None

    def _is_refused_alone(self, gang: Gang) -> bool:
        """Whether the gang is provably too much even where nothing of this cycle is seated."""
        alone = place_core(Ground(Boards(self.pristine.fork())), gang)
        return alone is not None and alone.is_proof

    def tenants(self, state: CycleState) -> list[Tenant]:
        """Gangs with seats of this cycle."""
        boards, known = state.boards, self._tenants
        if known is None or known[0] is not boards or not boards.world.is_as_at(known[1]):
            found = [
                Tenant(self.originals[key], tuple(record.placed))
                for key, record in state.records.items()
                if record.placed
            ]
            known = self._tenants = boards, boards.world.moment(), found
        return known[2]

    def adopt(self, state: CycleState, boards: Boards) -> None:
        """Go on from rearranged seats: gangs learn where their pods are now."""
        state.boards = boards
        names = boards.world.base.table.nodes
        node_of = {seat.pod: names[seat.node].name for seat in boards.world.seats}
        for key, record in state.records.items():
            seated = (*record.placed, *record.pipelined)
            if seated:
                record.gang = self.originals[key].after({pod: node_of[pod] for pod in seated})


def may_improve(state: CycleState) -> bool:
    """Whether some gang was refused for a reason that another arrangement might lift, and all had their turn."""
    if TurnEnd.NOT_REACHED in state.turns.ends.values():
        return False
    return any(
        record.refusal is not None
        and record.refusal.blocker in _REARRANGEABLE
        and not record.placed
        and not record.pipelined
        for record in state.records.values()
    )


def tidied_states(state: CycleState, improver: Improvement) -> Iterator[CycleState]:
    """The same state again when its layout became strictly better: the first time, then now and then, and at the end.

    Where somebody is made to leave nothing is moved: who leaves was chosen for the layout as it is.
    """
    if state.evictions:
        return
    ruler = Ruler(Boards(improver.pristine))
    tidying = Tidying(state.boards, improver.tenants(state), ruler, improver.effort)
    unsaid = 0
    for step, boards in enumerate(tidying.run()):
        improver.adopt(state, boards)
        unsaid += 1
        if step % _STEPS_A_PLAN == 0:
            unsaid = 0
            yield state
    if unsaid:
        yield state
    improver.proven = tidying.proven


def judged(state: CycleState, improver: Improvement, greedy: Score, report: SolverReport) -> SolverReport:
    """The report of a finished cycle: what was reached, what nobody could pass, and whether they meet."""
    ruler, tenants = Ruler(Boards(improver.pristine)), improver.tenants(state)
    layout = ruler.layout(state.boards.world, tenants)
    objective = _score(state, improver, layout)
    least = ruler.bound(state.boards.world, tenants)
    if improver.proven is not None:
        least = _joined(least, improver.proven, layout)
    bound = _bound_of(state, improver, least)
    return replace(
        report,
        status="OPTIMAL" if objective == bound else "FEASIBLE",
        objective=objective,
        bound=bound,
        greedy_objective=greedy,
        models=improver.effort.models,
        rejected=improver.effort.rejected,
    )


def _joined(counted: Layout, proven: Layout, reached: Layout) -> Layout:
    """Two bounds as one: a later part of a proof holds only where the parts before it are reached."""
    if proven.surplus_domains < reached.surplus_domains:
        return Layout(
            max(counted.surplus_domains, proven.surplus_domains), counted.opened_nodes, counted.opened_boxes
        )
    if proven.opened_nodes < reached.opened_nodes:
        return Layout(
            counted.surplus_domains, max(counted.opened_nodes, proven.opened_nodes), counted.opened_boxes
        )
    return max(counted, proven)


def score_of(state: CycleState, improver: Improvement) -> Score:
    """Tiers of the objective in their order.

    Gangs that got a place in their turn though greedy had none, gangs admitted by priority, then what lies worse than
    it could.
    """
    layout = Ruler(Boards(improver.pristine)).layout(state.boards.world, improver.tenants(state))
    return _score(state, improver, layout)


def _score(state: CycleState, improver: Improvement, layout: Layout) -> Score:
    admitted: dict[int, int] = {}
    for record in state.records.values():
        priority = record.gang.group.priority
        admitted[priority] = admitted.get(priority, 0) + bool(record.placed)
    return _tiers(improver.rescues, admitted, len(state.evictions), layout)


def _bound_of(state: CycleState, improver: Improvement, layout: Layout) -> Score:
    """Admitted gangs, and those whose refusal is neither a proof nor a rule that no arrangement can lift."""
    admitted: dict[int, int] = {}
    doubtful = 0
    for record in state.records.values():
        priority = record.gang.group.priority
        refusal = record.refusal
        may_fit = refusal is not None and refusal.blocker in _REARRANGEABLE and not refusal.is_proof
        admitted[priority] = admitted.get(priority, 0) + (bool(record.placed) or may_fit)
        doubtful += may_fit and not record.placed
    return _tiers(improver.rescues + doubtful, admitted, 0, layout)


def _tiers(rescued: int, admitted: dict[int, int], evicted: int, layout: Layout) -> Score:
    """Whoever gets a place in its turn goes before the number of gangs: a later gang may lose the room it had."""
    return (
        ("gangsRescued", rescued),
        *((f"gangsOfPriority{priority}", admitted[priority]) for priority in sorted(admitted, reverse=True)),
        ("evictedPods", evicted),
        ("surplusDomains", layout.surplus_domains),
        ("openedNodes", layout.opened_nodes),
        ("openedBoxes", layout.opened_boxes),
    )
