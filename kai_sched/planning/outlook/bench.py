"""Bench: one opened cycle in which gangs are served one at a time, each as if no other waited.

Opening a cycle costs as much as its nodes and pods; serving one gang in it costs next to nothing. So the same bench
answers for all gangs that hold nothing yet and share nothing with others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from kai_sched.fairness.ledger import Ledger
from kai_sched.model.ids import PodGroupKey
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.planning.cycle_state import CycleState, GangRecord


class Engine(Protocol):
    """How cycles are made over other snapshots."""

    def opened(self, snapshot: ClusterSnapshot) -> CycleState:
        """A cycle before its first stage."""

    def serve(self, state: CycleState) -> None:
        """The stages of an opened cycle."""

    def planned(self, snapshot: ClusterSnapshot, *, thorough: bool) -> CycleState:
        """A cycle after its stages; ``thorough``: with a rescuer where one might help."""


@dataclass(frozen=True, slots=True)
class Bench:
    """``state``: the opened cycle, with nothing seated between two questions."""

    engine: Engine
    state: CycleState
    ledger: Ledger

    @classmethod
    def over(cls, engine: Engine, snapshot: ClusterSnapshot) -> Bench:
        """A bench for the gangs of a snapshot."""
        state = engine.opened(snapshot)
        return cls(engine, state, state.ledger.fork())

    def serve(self, group: PodGroupKey) -> GangRecord | None:
        """What becomes of one gang; None where it is not considered at all."""
        known = self.state.records.get(group)
        if known is None:
            return None
        record = GangRecord(known.gang)
        self.engine.serve(replace(self.state, records={group: record}, ledger=self.ledger.fork()))
        self.state.boards.world.rollback(0)
        return record
