"""Which pods a plan may evict: active ones of ours, once, and whoever waits for room waits for somebody leaving."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from kai_sched.model.workloads import ACTIVE, PodState
from kai_sched.placement.checker.books import Books
from kai_sched.placement.checker.violation import Violation, ViolationKind


def check_evictions(books: Books) -> Iterator[Violation]:
    """Identity and state of every victim, and of everybody that is waited for."""
    times = Counter(eviction.pod for eviction in books.plan.evictions)
    for eviction in books.plan.evictions:
        pod = books.pods.get(eviction.pod)
        if times[eviction.pod] > 1:
            yield Violation(ViolationKind.EVICTION, eviction.pod, "is evicted more than once")
        if pod is None or pod.uid != eviction.uid:
            yield Violation(ViolationKind.EVICTION, eviction.pod, "is not in the snapshot under that uid")
        elif pod.state not in ACTIVE:
            yield Violation(ViolationKind.EVICTION, eviction.pod, f"is {pod.state.name.lower()}, not active")
        elif pod.group is None or pod.group != eviction.pod_group:
            yield Violation(ViolationKind.EVICTION, eviction.pod, f"does not belong to {eviction.pod_group}")
        if eviction.moves_to is not None and eviction.moves_to not in books.nodes:
            yield Violation(
                ViolationKind.EVICTION, eviction.pod, f"moves to unknown node {eviction.moves_to}"
            )
    yield from _check_waits(books)


def _check_waits(books: Books) -> Iterator[Violation]:
    for placement in books.plan.binds:
        if placement.waits_for:
            yield Violation(
                ViolationKind.EVICTION, placement.pod, "is bound now although it waits for others"
            )
    for placement in books.plan.pipelined:
        for awaited in placement.waits_for:
            pod = books.pods.get(awaited)
            if pod is None or not (pod.state is PodState.RELEASING or awaited in books.evicted):
                yield Violation(
                    ViolationKind.EVICTION, placement.pod, f"waits for {awaited}, which is not leaving"
                )
