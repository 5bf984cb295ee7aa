"""The order of service: which job is tried next, as queues fill up.

After every decision the queue that got something moves back among its siblings, so capacity is given out a job
at a time to whoever is worst off. Only the path from that queue to its root is looked at again: each group of
siblings is a heap whose outdated entries are dropped when they come up.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from heapq import heappop, heappush

from kai_sched.fairness.exact import Exact, add, exact_of, times
from kai_sched.fairness.ledger import Ledger
from kai_sched.fairness.standing import Key, Standing, choose, is_chain
from kai_sched.fairness.tree import QueueTree
from kai_sched.model.ids import PodGroupKey, QueueName, Uid
from kai_sched.model.queues import QueueShare, QuotaVector


class Fill(IntEnum):
    """How far a job has got; of equal priority, the less served goes first."""

    BELOW_MIN = 0
    AT_MIN = 1
    ABOVE_MIN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInQueue:
    """What one pod group asks for next: its gang, or one more of its elastic pods."""

    group: PodGroupKey
    queue: QueueName
    priority: int
    created_at: float
    uid: Uid
    request: QuotaVector
    fill: Fill = Fill.BELOW_MIN
    signature: Hashable = None
    """Equal for jobs of one queue that can stand in for each other; None: like no other."""

    def is_like(self, other: JobInQueue) -> bool:
        """Whether deciding one is deciding the other."""
        return (
            self.signature is not None and self.signature == other.signature and self.request == other.request
        )


def job_order(job: JobInQueue) -> tuple[int, int, float, str]:
    """The order of jobs inside a queue; smaller is served first."""
    return -job.priority, job.fill, job.created_at, job.uid


class ServiceOrder:
    """The jobs of all leaf queues, handed out in fair order. Decisions come back through the ledger."""

    def __init__(
        self,
        tree: QueueTree,
        shares: Mapping[QueueName, QueueShare],
        ledger: Ledger,
        jobs_by_queue: Mapping[QueueName, Iterable[JobInQueue]],
        *,
        total: QuotaVector,
        queue_depth: int | None = None,
    ) -> None:
        """Jobs of queues that are no valid leaf are not served. ``queue_depth``: only so many of each queue."""
        self._tree = tree
        self._ledger = ledger
        self._seen = len(ledger.touched_since(0))
        capacity = exact_of(total)
        self._groups = {name: _Group() for name in (None, *tree.queues)}
        self._nodes: dict[QueueName, _Node] = {}
        for parent, members in ((None, tree.roots), *tree.children.items()):
            for name in members:
                queue = tree.queues[name]
                standing = Standing.of(queue, shares[name], capacity)
                self._nodes[name] = _Node(name, standing, self._groups[parent], self._groups[name])
        for group in self._groups.values():
            group.rank()
        for name in tree.leaves:
            waiting = sorted(jobs_by_queue.get(name, ()), key=job_order)
            self._nodes[name].jobs = waiting if queue_depth is None else waiting[:queue_depth]
        self._outdated: dict[QueueName, None] = dict.fromkeys(sorted(tree.leaves))

    def peek(self) -> JobInQueue | None:
        """The next job, None when all are served."""
        node = self._next_leaf()
        return node.jobs[node.served] if node else None

    def pop(self) -> JobInQueue | None:
        """Take the next job."""
        taken = self.pop_many(1)
        return taken[0] if taken else None

    def pop_many(self, count: int) -> tuple[JobInQueue, ...]:
        """Take up to ``count`` jobs of the queue that is next; see ``run_length`` for how many are safe."""
        node = self._next_leaf()
        if node is None:
            return ()
        taken = tuple(node.jobs[node.served : node.served + count])
        node.served += len(taken)
        self._outdated[node.name] = None
        return taken

    def push_back(self, job: JobInQueue) -> None:
        """Queue a job (again), for example with its next elastic pod."""
        node = self._nodes[job.queue]
        insort(node.jobs, job, lo=node.served, key=job_order)
        node.alike_until = 0
        self._outdated[job.queue] = None

    def run_length(self) -> int:
        """How many interchangeable jobs would be popped in a row, if each were charged before the next pop.

        ``pop_many(run_length())`` and as many charges give what popping and charging one by one gives.
        """
        leaf = self._next_leaf()
        if leaf is None:
            return 0
        request = exact_of(leaf.jobs[leaf.served].request)
        path = [
            (self._nodes[name], self._ledger.exact_allocated(name), self._nodes[name].group.runner_up())
            for name in self._tree.ancestors(leaf.name)
        ]

        def stays_first(served: int) -> bool:
            return all(
                node.is_ahead(add(held, times(request, served)), request, other) for node, held, other in path
            )

        # The more a queue got, the later its turn: so the first refusal ends the run, and halving finds it.
        low, high, most = 1, 2, leaf.alike()
        while high <= most and stays_first(high - 1):
            low, high = high, high * 2
        high = min(high, most + 1)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if stays_first(middle - 1) else (low, middle)
        return low

    def _next_leaf(self) -> _Node | None:
        self._refresh()
        node = self._groups[None].first()
        while node is not None and (below := node.below.first()) is not None:
            node = below
        return node

    def _refresh(self) -> None:
        touched = self._ledger.touched_since(self._seen)
        self._seen += len(touched)
        self._outdated.update(dict.fromkeys(touched))
        for changed in self._outdated:
            for name in self._tree.ancestors(changed):
                node = self._nodes[name]
                request = node.next_request()
                node.renew(None if request is None else (self._ledger.exact_allocated(name), request))
        self._outdated.clear()


class _Group:
    """Siblings that have something to serve, best first."""

    __slots__ = ("heap", "is_chain", "nodes")

    def __init__(self) -> None:
        self.nodes: list[_Node] = []
        self.heap: list[tuple[Key, tuple[object, ...], int, _Node]] = []
        self.is_chain = True

    def rank(self) -> None:
        """Fix how ties are broken, once all members are known."""
        self.is_chain = is_chain([node.standing for node in self.nodes])
        for node in self.nodes:
            standing = node.standing
            node.rank = (standing.allocatable, *standing.seniority) if self.is_chain else standing.seniority

    def first(self) -> _Node | None:
        """The member to serve next."""
        heap = self.heap
        while heap and heap[0][2] != heap[0][3].version:
            heappop(heap)
        if not heap:
            return None
        if self.is_chain:
            return heap[0][3]
        return self._first_of_tied()

    def runner_up(self) -> _Node | None:
        """The member that would be next without the first."""
        best = self.first()
        if best is None:
            return None
        version, best.version = best.version, -1
        second = self.first()
        best.version = version
        best.enter()
        return second

    def _first_of_tied(self) -> _Node:
        heap = self.heap
        key, tied = heap[0][0], []
        while heap and heap[0][0] == key:
            entry = heappop(heap)
            if entry[2] == entry[3].version:
                tied.append(entry)
        for entry in tied:
            heappush(heap, entry)
        return tied[choose([entry[3].standing for entry in tied])][3]


class _Node:
    """A queue in the order: its place among its siblings, and its jobs if it is a leaf."""

    __slots__ = (
        "alike_until",
        "below",
        "group",
        "jobs",
        "key",
        "name",
        "rank",
        "served",
        "standing",
        "version",
    )

    def __init__(self, name: QueueName, standing: Standing, group: _Group, below: _Group) -> None:
        self.name = name
        self.standing = standing
        self.group = group
        self.below = below
        self.jobs: list[JobInQueue] = []
        self.served = 0
        self.alike_until = 0
        self.key: Key | None = None
        self.rank: tuple[object, ...] = ()
        self.version = 0
        group.nodes.append(self)

    def next_request(self) -> Exact | None:
        """What the next job in or below this queue asks for."""
        node: _Node | None = self
        while node is not None and node.below.nodes:
            node = node.below.first()
        if node is None or node.served == len(node.jobs):
            return None
        return exact_of(node.jobs[node.served].request)

    def renew(self, state: tuple[Exact, Exact] | None) -> None:
        """Take the place that (allocated, next request) gives; none without a job."""
        self.version += 1
        self.key = None if state is None else self.standing.key(*state)
        self.enter()

    def enter(self) -> None:
        if self.key is not None:
            heappush(self.group.heap, (self.key, self.rank, self.version, self))

    def alike(self) -> int:
        """How many jobs at the front of this leaf are interchangeable."""
        if self.alike_until <= self.served:
            first, end = self.jobs[self.served], self.served + 1
            while end < len(self.jobs) and self.jobs[end].is_like(first):
                end += 1
            self.alike_until = end
        return self.alike_until - self.served

    def is_ahead(self, allocated: Exact, request: Exact, other: _Node | None) -> bool:
        """Whether it would still go before ``other`` while it holds ``allocated``."""
        if other is None or other.key is None:
            return True
        key = self.standing.key(allocated, request)
        if key == other.key and self.group.is_chain:
            return self.rank < other.rank
        return key < other.key
