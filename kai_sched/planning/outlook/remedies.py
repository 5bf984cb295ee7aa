"""Remedies: what might help a gang that was refused, as actions, the most natural first. Counted, not yet tried.

Each candidate is a handful of actions to be taken together; ``judging`` tries them on a counterfactual snapshot and
keeps those that work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kai_sched.model.ids import NodeName, QueueName
from kai_sched.model.outlook import Action, ActionKind, Fact, Prospect
from kai_sched.model.plan import Blocker
from kai_sched.model.queues import QUOTA_RESOURCES, UNLIMITED, QuotaVector
from kai_sched.placement.gangs import GangNode
from kai_sched.placement.refusal import Refusal
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.world.horizon import Horizon
from kai_sched.placement.world.spans import shapes_of
from kai_sched.planning.cycle_state import CycleState, GangRecord
from kai_sched.planning.outlook.node_fixes import node_fixes

Counts = NDArray[np.int64]
_LIMITED = frozenset({Blocker.QUEUE_LIMIT, Blocker.NON_PREEMPTIBLE_OVER_QUOTA})
_MOST_ADDED = 64
"""More nodes than this are no advice."""


@dataclass(frozen=True, slots=True)
class Case:
    """A refused gang: the cycle that refused it, and the world without anybody else, both with nothing of it seated."""

    state: CycleState
    record: GangRecord
    refusal: Refusal
    prospect: Prospect
    empty: CycleState

    @property
    def core(self) -> tuple[int, ...]:
        return self.record.gang.core_pods()

    def shapes(self) -> dict[Shape, int]:
        """The gang's shapes in the busy world, the bulkiest first."""
        counts = shapes_of(self.state.boards.world, self.core)
        gpus = self.state.boards.world.base.gpu_columns
        return dict(
            sorted(
                counts.items(),
                key=lambda item: -item[1] * (1 + sum(int(item[0].request[column]) for column in gpus)),
            )
        )

    def slots(self, shape: Shape) -> Counts:
        """int64[N]: pods of a shape that each node takes beside everybody else."""
        return self.state.boards.slots(shape, Horizon.NOW)

    def empty_slots(self, shape: Shape) -> Counts:
        """int64[N]: the same without anybody else."""
        boards = self.empty.boards
        position = next(
            index
            for index, pod in enumerate(boards.world.base.pods)
            if pod.group == self.record.gang.group.key and pod.spec == shape.spec and pod.node is None
        )
        return boards.slots(boards.world.base.shape_of(position), Horizon.NOW)

    def constrained(self) -> GangNode | None:
        """The part of the gang whose required level was not met, the gang itself if it is not said."""
        nodes = [self.record.gang.root, *_below(self.record.gang.root)]
        required = [node for node in nodes if node.constraint is not None and node.constraint.required_level]
        named = [node for node in required if node.name == self.refusal.sub_group]
        return next(iter((*named, *required)), None)

    def codes(self) -> NDArray[np.int32] | None:
        """int32[N]: the domain of each node at that level."""
        node = self.constrained()
        if node is None or node.constraint is None:
            return None
        domains = self.state.boards.world.base.domains
        return domains.codes(node.constraint.topology, node.constraint.required_level)


def remedies(case: Case) -> Iterator[tuple[Action, ...]]:
    """Candidates for one case. What others hold is not in here: see ``holders``."""
    refusal = case.refusal
    if refusal.blocker in _LIMITED:
        yield from _of_queues(case)
        return
    if case.prospect is Prospect.NEVER:
        bound = refusal.bound
        if bound is not None and bound.fact is Fact.BIGGEST_DOMAIN:
            node = case.constrained()
            yield (Action(kind=ActionKind.RELAX_LEVEL, key=node.name if node is not None else ""),)
        if (
            bound is not None
            and bound.fact is Fact.BIGGEST_NODE
            and bound.there > 0
            and bound.resource != "GPUs"
        ):
            yield (
                Action(
                    kind=ActionKind.ASK_FOR_LESS,
                    resource=bound.resource,
                    amount=bound.there,
                    key=bound.subject,
                ),
            )
    yield from node_fixes(case.state, case.shapes())
    for added in _nodes_to_add(case):
        yield (added,)
    if case.prospect is Prospect.NEVER:
        yield from _lower_minimum(case)


def _below(node: GangNode) -> Iterator[GangNode]:
    for child in node.children:
        yield child
        yield from _below(child)


def _of_queues(case: Case) -> Iterator[tuple[Action, ...]]:
    """Every bound of the queue and its ancestors that the request passes is lifted, or the request escapes it."""
    state, group = case.state, case.record.gang.group
    request = state.request_of(case.core)
    limits = _raised(state, group.queue, request, is_quota=False)
    if case.refusal.blocker is Blocker.QUEUE_LIMIT:
        yield tuple(limits)
        return
    yield (Action(kind=ActionKind.MAKE_PREEMPTIBLE),)
    yield (*_raised(state, group.queue, request, is_quota=True), *limits)


def _raised(state: CycleState, queue: QueueName, request: QuotaVector, *, is_quota: bool) -> list[Action]:
    found: list[Action] = []
    for name in state.tree.ancestors(queue):
        held = state.ledger.allocated_non_preemptible(name) if is_quota else state.ledger.allocated(name)
        for resource in QUOTA_RESOURCES:
            own = state.tree.queues[name].resource(resource)
            bound = own.deserved if is_quota else own.limit
            needed = held.get(resource) + request.get(resource)
            if request.get(resource) <= 0 or bound == UNLIMITED or needed <= bound:
                continue
            kind = ActionKind.RAISE_QUOTA if is_quota else ActionKind.RAISE_LIMIT
            found.append(Action(kind=kind, queue=name, resource=resource.value, amount=needed))
    return found


def _nodes_to_add(case: Case) -> Iterator[Action]:
    """So many nodes like one that takes most of the bulkiest pods, where the gang may use them.

    Where counting does not tell how many such pods a node takes, one node is tried first.
    """
    shapes = case.shapes()
    if not shapes:
        return
    shape, wanted = next(iter(shapes.items()))
    each = case.empty_slots(shape)
    codes = case.codes()
    now = case.slots(shape)
    room = int(now.sum())
    if codes is not None:
        by_domain = np.bincount(codes + 1, weights=now)
        if len(by_domain) < 2:
            return
        home = int(by_domain[1:].argmax())
        each = np.where(codes == home, each, 0)
        room = int(by_domain[home + 1])
    if not len(each) or each.max() <= 0:
        return
    model = int(each.argmax())
    count = -(-max(1, wanted - room) // int(each[model]))
    name: NodeName = case.state.boards.world.base.table.nodes[model].name
    counts = [count] if case.state.boards.is_counted(shape) else sorted({1, count})
    for each_count in counts:
        if each_count <= _MOST_ADDED:
            yield Action(kind=ActionKind.ADD_NODES, amount=each_count, nodes=(name,))


def _lower_minimum(case: Case) -> Iterator[tuple[Action, ...]]:
    """As many members as an empty fleet takes, for a gang of equal pods without subgroups.

    That is what was seated there, or, where pods must stay together, what counting gives the roomiest domain.
    """
    group, shapes = case.record.gang.group, case.shapes()
    if group.sub_groups or len(shapes) != 1 or case.record.gang.root.has_active:
        return
    each, codes = case.empty_slots(next(iter(shapes))), case.codes()
    room = int(each.sum())
    if codes is not None:
        room = int(np.bincount(codes + 1, weights=each)[1:].max(initial=0))
    fitted = case.refusal.fitted
    for amount in dict.fromkeys((max(fitted, room), fitted, room) if codes is None else (room, fitted)):
        if 0 < amount < group.min_member:
            yield (Action(kind=ActionKind.LOWER_MINIMUM, amount=amount),)
