"""CycleState: everything the stages of one cycle share and change: world, ledger, gangs and what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kai_sched.devices.work import WorkMeter
from kai_sched.fairness.ledger import Ledger
from kai_sched.fairness.ordering import Fill, JobInQueue
from kai_sched.fairness.tree import QueueTree
from kai_sched.model.ids import PodGroupKey, QueueName
from kai_sched.model.plan import Contained, Eviction, Verdict
from kai_sched.model.policy import Policy
from kai_sched.model.queues import QueueShare, QuotaVector
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.gangs import Gang
from kai_sched.placement.refusal import Refusal
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.room import Seat
from kai_sched.planning.accounting import Accounting
from kai_sched.planning.opening import Opening
from kai_sched.planning.turns import Turns


@dataclass(slots=True)
class GangRecord:
    """What became of one gang so far."""

    gang: Gang
    """As it stands: pods seated this cycle count as active."""
    placed: list[int] = field(default_factory=list)
    pipelined: list[int] = field(default_factory=list)
    refusal: Refusal | None = None
    waits: bool = False
    """A minimum of it waits for room that is being released; nothing more of it may start before."""


class RoomMaker(Protocol):
    """Who can rearrange what a stage has seated."""

    def make_room(self, state: CycleState, record: GangRecord, refusal: Refusal) -> Refusal | None:
        """Seat the record's core too, moving others of this cycle; None on success, else why not."""


@dataclass(slots=True)
class CycleState:
    """Shared by the stages of one run; what does not change in it is its opening's."""

    opening: Opening
    boards: Boards
    ledger: Ledger
    accounting: Accounting
    records: dict[PodGroupKey, GangRecord]
    """Gangs considered, in key order."""
    turns: Turns
    contained: dict[PodGroupKey, Contained] = field(default_factory=dict)
    """Failures of our own that cost one gang its decision."""
    evictions: list[Eviction] = field(default_factory=list)
    """In the order of leaving."""
    losses: dict[PodGroupKey, list[Eviction]] = field(default_factory=dict)
    """The same by the group that loses them."""
    rescuer: RoomMaker | None = None
    """None in the greedy run."""

    @classmethod
    def begin(cls, opening: Opening, settled: Mapping[PodGroupKey, Refusal] | None = None) -> CycleState:
        """A run from the opening on: nothing of it is built again, and nothing of it changes.

        ``settled``: what an earlier run of the same cycle has told gangs that took all their work.
        """
        postponed = {one.pod_group: one for one in opening.snapshot.postponed}
        return cls(
            turns=Turns(opening.policy.solver.work, postponed, opening.snapshot.now, settled),
            contained={found.pod_group: found for found in opening.contained},
            opening=opening,
            boards=Boards(opening.world.begin()),
            ledger=opening.ledger.fork(),
            accounting=opening.accounting.fork(),
            records={gang.group.key: GangRecord(gang) for gang in opening.gangs},
        )

    @property
    def meter(self) -> WorkMeter:
        """What counts the work of this run."""
        return self.boards.world.base.meter

    def contain(self, record: GangRecord, error: Exception) -> None:
        """A gang whose deciding failed is told so."""
        group, kind = record.gang.group.key, type(error).__name__
        self.contained[group] = Contained(group, kind)
        record.refusal = self.turns.failed(group, kind)

    @property
    def snapshot(self) -> ClusterSnapshot:
        return self.opening.snapshot

    @property
    def policy(self) -> Policy:
        return self.opening.policy

    @property
    def tree(self) -> QueueTree:
        return self.opening.tree

    @property
    def total(self) -> QuotaVector:
        return self.opening.total

    @property
    def early(self) -> Sequence[Verdict]:
        return self.opening.early

    @property
    def shares(self) -> Mapping[QueueName, QueueShare]:
        return self.opening.shares

    def request_of(self, pods: tuple[int, ...]) -> QuotaVector:
        """What these pending pods add to their queue's account."""
        return self.accounting.request_of(pods)

    def request_on(self, seats: Sequence[Seat]) -> QuotaVector:
        """What pods add on the nodes where they are seated."""
        nodes = self.boards.world.base.table.nodes
        node_of = {seat.pod: nodes[seat.node].name for seat in seats}
        return self.accounting.request_of(node_of, node_of)

    def job_of(self, record: GangRecord) -> JobInQueue | None:
        """What the gang asks for next, None when nothing is pending."""
        gang = record.gang
        core = gang.core_pods()
        if core:
            pods, fill = core, Fill.BELOW_MIN
        elif extra := gang.extra_pods():
            pods = extra
            fill = Fill.ABOVE_MIN if gang.root.is_above_minimum else Fill.AT_MIN
        else:
            return None
        group = gang.group
        return JobInQueue(
            group=group.key,
            queue=group.queue,
            priority=group.priority,
            created_at=group.created_at,
            uid=group.uid,
            request=self.request_of(pods),
            fill=fill,
            signature=self.signature_of(gang, core),
        )

    def open_to(self, group: PodGroupKey) -> NDArray[np.bool_] | None:
        """Nodes on which the check of an earlier plan did not refuse the group; None: all."""
        refused = [one.node for one in self.snapshot.refused_places if one.pod_group == group]
        if not refused:
            return None
        base = self.boards.world.base
        mask = base.everywhere.copy()
        mask[[base.table.index_of[node] for node in refused if node in base.table.index_of]] = False
        return mask

    def signature_of(self, gang: Gang, core: tuple[int, ...]) -> tuple[object, ...] | None:
        """Equal for gangs whose cores are interchangeable; None for gangs that are like no other.

        Claims shared by name are part of a shape, so two gangs that name different claims never match.
        """
        if gang.group.sub_groups or gang.root.has_active or not core:
            return None
        if self.open_to(gang.group.key) is not None:
            return None
        counts: dict[int, int] = {}
        for pod in core:
            index = self.boards.world.base.shape_of(pod).index
            counts[index] = counts.get(index, 0) + 1
        return (tuple(sorted(counts.items())), gang.group.constraint, gang.group.is_preemptible)
