"""Holders: whose pods take what a gang lacks, in the order in which one would ask them to leave."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kai_sched.model.ids import PodGroupKey, QueueName
from kai_sched.model.outlook import Holder, Prospect
from kai_sched.model.plan import Blocker
from kai_sched.model.queues import QuotaResource
from kai_sched.model.workloads import HOLDS_ROOM, Pod
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.horizon import Horizon
from kai_sched.planning.outlook.counterfactual import group_of
from kai_sched.planning.outlook.remedies import Case, Counts

_LIMITED = frozenset({Blocker.QUEUE_LIMIT, Blocker.NON_PREEMPTIBLE_OVER_QUOTA})
MOST_LEAVERS = 64
"""More groups than this are not named one by one."""


@dataclass(frozen=True, slots=True)
class _Tenant:
    """A group with what it holds in all; ``is_ahead``: placed by this plan, not running yet."""

    group: PodGroupKey
    queue: QueueName
    is_ahead: bool
    priority: int
    amount: float
    over_share: float


class Holders:
    """Everybody who holds room in one case, running or placed by its plan."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._groups = {group.key: group for group in case.state.snapshot.pod_groups}
        self._pods: dict[PodGroupKey, list[int]] = {}
        self._nodes: dict[PodGroupKey, set[int]] = {}
        self._ahead: set[PodGroupKey] = set()
        self.resource = _resource_of(case)
        """In what amounts are told: GPUs where the gang asks for any, unless something else is short."""
        own = case.record.gang.group.key
        base = case.state.boards.world.base
        for position, pod in enumerate(base.pods):
            if pod.node in base.table.index_of and pod.state in HOLDS_ROOM and group_of(pod) != own:
                self._note(position, pod, base.table.index_of[pod.node])
        self._running = frozenset(self._pods)
        for seat in case.state.boards.world.seats:
            pod = base.pods[seat.pod]
            if group_of(pod) != own:
                self._note(seat.pod, pod, seat.node)
                if group_of(pod) not in self._running:
                    self._ahead.add(group_of(pod))

    def _note(self, position: int, pod: Pod, node: int) -> None:
        self._pods.setdefault(group_of(pod), []).append(position)
        self._nodes.setdefault(group_of(pod), set()).add(node)

    def is_running(self, group: PodGroupKey) -> bool:
        """Whether it holds room already; else it waits, too, and goes first."""
        return group in self._running

    def in_the_way(self) -> list[PodGroupKey]:
        """Groups whose leaving might help, those who should go first in front."""
        case = self._case
        if case.refusal.blocker in _LIMITED:
            conflict = case.refusal.conflict
            queue = conflict.queue if conflict is not None else case.record.gang.group.queue
            found = [group for group in self._pods if self._is_below(group, queue)]
            if case.refusal.blocker is Blocker.NON_PREEMPTIBLE_OVER_QUOTA:
                found = [group for group in found if not self._groups[group].is_preemptible]
        else:
            nodes = self._nodes_to_clear()
            found = [group for group, theirs in self._nodes.items() if not theirs.isdisjoint(nodes)]
        if case.prospect is Prospect.NOT_YOUR_TURN:
            found = [group for group in found if group in self._ahead]
        tenants = sorted(
            map(self._tenant, found),
            key=lambda one: (
                not one.queue,
                one.is_ahead,
                one.over_share <= 0,
                one.priority,
                -one.amount,
                one.group,
            ),
        )
        return [tenant.group for tenant in tenants if tenant.amount > 0] or [one.group for one in tenants]

    def holder(self, group: PodGroupKey) -> Holder:
        """One of them with what it holds."""
        tenant = self._tenant(group)
        return Holder(
            group=group,
            queue=tenant.queue,
            resource=self.resource,
            amount=tenant.amount,
            over_share=tenant.over_share,
        )

    def _is_below(self, group: PodGroupKey, queue: QueueName) -> bool:
        known = self._groups.get(group)
        tree = self._case.state.tree
        return known is not None and known.queue in tree.queues and queue in tree.ancestors(known.queue)

    def _tenant(self, group: PodGroupKey) -> _Tenant:
        state, known = self._case.state, self._groups.get(group)
        base = state.boards.world.base
        amount = sum(
            state.accounting.quota_of_pod(base.pods[position]).get(self.resource)
            for position in self._pods[group]
        )
        queue = known.queue if known is not None else QueueName("")
        priority = known.priority if known is not None else 0
        return _Tenant(group, queue, group in self._ahead, priority, amount, self._over_share(group))

    def _over_share(self, group: PodGroupKey) -> float:
        """By how much its queue is above its fair share."""
        known = self._groups.get(group)
        share = self._case.state.shares.get(known.queue) if known is not None else None
        if share is None:
            return 0.0
        return max(0.0, share.allocated.get(self.resource) - share.fair_share.get(self.resource))

    def _nodes_to_clear(self) -> set[int]:
        """Nodes that would give what is missing if they were empty, those first that have least to give up."""
        case = self._case
        base = case.state.boards.world.base
        codes = case.codes()
        chosen: set[int] = set()
        is_owed = self._held_by({group for group in self._pods if not self._over_share(group)})
        for shape, wanted in case.shapes().items():
            now, empty = case.slots(shape), case.empty_slots(shape)
            home = _home(codes, now, empty, wanted) if codes is not None else -1
            usable = base.everywhere if codes is None else np.equal(codes, home)
            gain = np.where(usable, np.maximum(empty - now, 0), 0)
            missing = max(1, wanted - int(now[usable].sum()))
            if case.prospect is Prospect.NOT_YOUR_TURN:
                gain[~self._held_by(self._ahead)] = 0
            held = _held_share(case.state.boards)
            order = np.lexsort((np.arange(len(gain)), held / np.maximum(gain, 1), is_owed))
            for node in order:
                if missing <= 0:
                    break
                if gain[node] > 0:
                    chosen.add(int(node))
                    missing -= int(gain[node])
        return chosen

    def _held_by(self, groups: AbstractSet[PodGroupKey]) -> NDArray[np.bool_]:
        """bool[N]: nodes on which some of these groups have pods."""
        mask = np.zeros(len(self._case.state.boards.world.base.all_nodes), dtype=bool)
        for group in groups:
            mask[list(self._nodes[group])] = True
        return mask


def _resource_of(case: Case) -> QuotaResource:
    bound = case.refusal.bound
    named = bound.resource if bound is not None else ""
    if named in {QuotaResource.CPU, QuotaResource.MEMORY} or case.refusal.conflict is not None:
        return QuotaResource(named) if named in set(QuotaResource) else QuotaResource.GPU
    return QuotaResource.GPU if case.state.request_of(case.core).gpu else QuotaResource.CPU


def _home(codes: NDArray[np.int32], now: Counts, empty: Counts, wanted: int) -> int:
    """The domain that could hold the pods if it were empty and has most room now; -1 where there is none."""
    inside = codes >= 0
    if not inside.any():
        return -1
    most = np.bincount(codes[inside], weights=empty[inside])
    free = np.bincount(codes[inside], weights=now[inside])
    return int(np.where(most >= wanted, free, -1.0).argmax())


def _held_share(boards: Boards) -> NDArray[np.float64]:
    """float64[N]: how full a node is, by its fullest resource."""
    world = boards.world
    total = np.maximum(world.base.table.allocatable, 1)
    free = np.clip(world.free_for(Horizon.NOW), 0, total)
    share: NDArray[np.float64] = (1.0 - free / total).max(axis=1, initial=0.0)
    return share


def as_groups(found: Iterable[PodGroupKey]) -> tuple[PodGroupKey, ...]:
    """In key order."""
    return tuple(sorted(found))
