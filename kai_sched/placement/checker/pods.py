"""Which pods a plan may place at all: known, pending, once, and of a group that is in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from kai_sched.model.plan import Placement
from kai_sched.model.workloads import GroupOrigin, Pod, PodState
from kai_sched.placement.checker.books import Books
from kai_sched.placement.checker.violation import Violation, ViolationKind

_UNPLACEABLE_ORIGINS = frozenset({GroupOrigin.UNKNOWN_KIND, GroupOrigin.AWAITED, GroupOrigin.MISSING})


def check_pods(books: Books) -> Iterator[Violation]:
    """Identity and state of every placed pod."""
    times: Counter[str] = Counter()
    resting = {rest.pod_group: rest.reason for rest in books.snapshot.rests}
    for placement in books.plan.binds + books.plan.pipelined:
        times[placement.pod] += 1
        if times[placement.pod] == 2:
            yield Violation(ViolationKind.POD, placement.pod, "is placed more than once")
        message = _wrong_with(books, placement)
        if not message and placement.pod_group in resting:
            message = f"belongs to a group that steps aside: {resting[placement.pod_group]}"
        if message:
            yield Violation(ViolationKind.POD, placement.pod, message)


def _wrong_with(books: Books, placement: Placement) -> str:
    pod = books.pods.get(placement.pod)
    if pod is None:
        return "is not in the snapshot"
    if placement.node not in books.nodes:
        return f"goes to node {placement.node}, which is not in the snapshot"
    if placement.uid != pod.uid:
        return f"has uid {pod.uid}, the plan means {placement.uid}"
    if pod.state is not PodState.PENDING:
        return f"is {pod.state.name.lower()}, only pending pods are placed"
    return _wrong_by_itself(pod) or _wrong_with_group(books, placement, pod)


def _wrong_by_itself(pod: Pod) -> str:
    if pod.problem or pod.spec.unsupported:
        return f"must not be placed: {pod.problem or pod.spec.unsupported[0]}"
    if any(ref.claim is None for ref in pod.claims):
        return "has a claim that does not exist yet"
    return ""


def _wrong_with_group(books: Books, placement: Placement, pod: Pod) -> str:
    if pod.group is None or placement.pod_group != pod.group:
        return f"belongs to {pod.group}, the plan says {placement.pod_group}"
    group = books.groups.get(pod.group)
    if group is None:
        return f"belongs to {pod.group}, which is not in the snapshot"
    if group.problem:
        return f"belongs to an invalid group: {group.problem}"
    if group.origin in _UNPLACEABLE_ORIGINS:
        return f"belongs to a group of origin {group.origin}"
    return ""
