"""Verdicts: every group that waits or loses pods hears what became of it, and what it hears is what was done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from kai_sched.model.ids import PodGroupKey
from kai_sched.model.plan import Outcome, Verdict
from kai_sched.model.workloads import PodState
from kai_sched.placement.checker.books import Books
from kai_sched.placement.checker.violation import Violation, ViolationKind

_WAITS = frozenset({PodState.PENDING, PodState.GATED})


def check_verdicts(books: Books) -> Iterator[Violation]:
    """One true verdict for every known group with a pending, gated or evicted pod."""
    times = Counter(verdict.pod_group for verdict in books.plan.verdicts)
    concerned = {
        pod.group
        for pod in books.snapshot.pods
        if pod.group in books.groups and (pod.state in _WAITS or pod.key in books.evicted)
    }
    for key in sorted(group for group in concerned if group is not None):
        if times[key] != 1:
            yield Violation(ViolationKind.VERDICT, key, f"has {times[key]} verdicts, one is due")
    bound = {placement.pod_group for placement in books.plan.binds}
    waiting = {placement.pod_group for placement in books.plan.pipelined}
    for verdict in books.plan.verdicts:
        message = _wrong_with(verdict, bound, waiting)
        if message:
            yield Violation(ViolationKind.VERDICT, verdict.pod_group, message)


def _wrong_with(verdict: Verdict, bound: set[PodGroupKey], waiting: set[PodGroupKey]) -> str:
    has_binds, has_pipelined = verdict.pod_group in bound, verdict.pod_group in waiting
    match verdict.outcome:
        case Outcome.PLACED if not has_binds:
            return "is said to be placed, nothing is bound"
        case Outcome.PIPELINED if has_binds or not has_pipelined:
            return "is said to be pipelined, it is not"
        case Outcome.UNPLACED | Outcome.NOT_READY if has_binds or has_pipelined:
            return f"is said to be {verdict.outcome}, yet has placements"
        case Outcome.UNPLACED | Outcome.NOT_READY if verdict.blocker is None:
            return "has no blocker"
    return ""
