"""The baseline: KAI's search for victims, a prefix of the gangs in the reverse of the order of service.

One gang more each time, until the gang fits once all of them have left; then those who still have room beside it stay, the
most important first. Before a set on many nodes is tried, those of it that lie on one node of the gang added last are.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.evict.worlds import IT
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.seating.greedy import place_core
from kai_sched.placement.site.fleet_index import FleetCache
from kai_sched.placement.world.ground import Ground
from kai_sched.placement.world.horizon import Horizon
from kai_sched.planning.cycle_state import CycleState
from kai_sched.planning.eviction.book import Book, Entry
from kai_sched.planning.eviction.rights import ReclaimRights, exact_request
from kai_sched.planning.opening import Opening


def prefix_search(snapshot: ClusterSnapshot, policy: Policy, cache: FleetCache) -> list[Entry] | None:
    """Who leaves; None where nobody is found."""
    return _Search(CycleState.begin(Opening.of(snapshot, policy, cache))).run()


class _Search:
    def __init__(self, state: CycleState) -> None:
        self.state = state
        self.world = state.boards.world
        self.gang = state.records[IT].gang
        rights = ReclaimRights.of(state, self.gang.group, exact_request(state, self.gang.core_pods()))
        assert rights is not None
        self.rights = rights
        book = Book(state)
        self.entries = sorted(
            (entry for entry in book.entries if rights.may_lose(entry.victim)),
            key=lambda entry: (
                *self._standing(entry.victim.group.queue, entry.victim.group),
                entry.unit.rank,
            ),
        )

    def _standing(self, queue: str, group: object) -> tuple[float, int, float, str]:
        """Reverse order of service: the queue that uses most of its share, the lowest priority, the youngest."""
        share = self.state.shares[queue]  # type: ignore[index]
        used = share.allocated.gpu / max(share.fair_share.gpu, 1e-9)
        return (-used, group.priority, -group.created_at, group.key)  # type: ignore[attr-defined]

    def run(self) -> list[Entry] | None:
        chosen: list[Entry] = []
        for entry in self.entries:
            chosen.append(entry)
            for node in sorted(entry.unit.nodes):
                found = self._tried([one for one in chosen if node in one.unit.nodes])
                if found is not None:
                    return found
            found = self._tried(chosen)
            if found is not None:
                return found
        return None

    def _tried(self, chosen: Sequence[Entry]) -> list[Entry] | None:
        if not self._may(chosen) or not self._fits(chosen):
            return None
        left = list(chosen)
        for entry in reversed(chosen):
            later = [one for one in left if one.victim is entry.victim and one.unit.rank > entry.unit.rank]
            fewer = [one for one in left if one is not entry]
            if not later and self._fits(fewer):
                left = fewer
        return left

    def _may(self, chosen: Sequence[Entry]) -> bool:
        """Its rights, in its own order: of a gang what leaves first comes along."""
        amounts = [(entry.victim.group.queue, entry.amount) for entry in chosen]
        ranks: dict[str, int] = {}
        for entry in chosen:
            if entry.unit.rank != ranks.get(entry.unit.owner, 0):
                return False
            ranks[entry.unit.owner] = entry.unit.rank + 1
        return self.rights.taker(amounts).take(range(len(chosen)))

    def _fits(self, chosen: Sequence[Entry]) -> bool:
        mark = self.world.checkpoint()
        for entry in chosen:
            for stay in entry.unit.stays:
                self.world.leave(stay)
        is_seated = place_core(Ground(self.state.boards, Horizon.LATER), self.gang) is None
        self.world.rollback(mark)
        return is_seated
