"""Gangs: whoever gets a place gets its minimum, counted over the whole tree of subgroups."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from kai_sched.model.ids import PodGroupKey, PodKey
from kai_sched.model.plan import Placement
from kai_sched.model.workloads import Pod, PodGroup, PodState, SubGroup
from kai_sched.placement.checker.books import Books
from kai_sched.placement.checker.violation import Violation, ViolationKind


def check_gangs(books: Books) -> Iterator[Violation]:
    """Binds alone must complete a gang; a gang that waits must be complete with its pipelined pods."""
    binds, pipelined = _by_group(books.binds, books), _by_group(books.pipelined, books)
    members: dict[PodGroupKey, list[Pod]] = defaultdict(list)
    for pod in books.snapshot.pods:
        if pod.group in binds or pod.group in pipelined:
            members[pod.group].append(pod)
    for key in sorted({*binds, *pipelined}):
        group = books.groups.get(key)
        if group is None:
            continue
        bound = {pod.key for pod in binds.get(key, ())}
        waiting = {pod.key for pod in pipelined.get(key, ())}
        if bound:
            yield from _check_minimum(books, group, members[key], bound, "bound")
        else:
            yield from _check_minimum(books, group, members[key], waiting, "pipelined")


def _by_group(placements: Iterable[Placement], books: Books) -> dict[PodGroupKey, list[Pod]]:
    grouped: dict[PodGroupKey, list[Pod]] = defaultdict(list)
    for placement in placements:
        pod = books.pods[placement.pod]
        if pod.group is not None:
            grouped[pod.group].append(pod)
    return grouped


def _check_minimum(
    books: Books, group: PodGroup, members: Iterable[Pod], placed: set[PodKey], how: str
) -> Iterator[Violation]:
    counts: Counter[str] = Counter()
    for pod in members:
        if pod.key in placed or books.stays_active(pod) or pod.state is PodState.SUCCEEDED:
            counts[pod.subgroup if group.sub_groups else ""] += 1
    missing = _missing(group, counts) or _half_started(
        group, counts, {books.pods[key].subgroup for key in placed}
    )
    if missing:
        yield Violation(ViolationKind.GANG, group.key, f"{len(placed)} pods {how}, but {missing}")


def _missing(group: PodGroup, counts: Mapping[str, int]) -> str:
    if not group.sub_groups:
        have = counts.get("", 0)
        return "" if have >= group.min_member else f"{have} of at least {group.min_member} have a place"
    children: dict[str, list[SubGroup]] = defaultdict(list)
    for subgroup in group.sub_groups:
        children[subgroup.parent].append(subgroup)
    leaves = {subgroup.name for subgroup in group.sub_groups if subgroup.name not in children}
    stray = sorted(set(counts) - leaves)
    if stray:
        return f"pods name subgroup {stray[0]!r}, which is no leaf"
    return _missing_children("the root", children[""], group.min_sub_group, children, counts)


def _half_started(group: PodGroup, counts: Mapping[str, int], touched: set[str]) -> str:
    """An optional subgroup may stay empty, but pods put there must complete it."""
    for subgroup in group.sub_groups:
        minimum = 1 if subgroup.min_member is None else subgroup.min_member
        if subgroup.name in touched and counts[subgroup.name] < minimum:
            return f"{subgroup.name} has {counts[subgroup.name]} of {minimum}"
    return ""


def _missing_children(
    name: str,
    below: list[SubGroup],
    wanted: int | None,
    children: Mapping[str, list[SubGroup]],
    counts: Mapping[str, int],
) -> str:
    wanted = len(below) if wanted is None else min(wanted, len(below))
    reasons = [_missing_in(child, children, counts) for child in below]
    complete = reasons.count("")
    if complete >= wanted:
        return ""
    return f"{complete} of {wanted} subgroups of {name} are complete ({next(filter(None, reasons))})"


def _missing_in(subgroup: SubGroup, children: Mapping[str, list[SubGroup]], counts: Mapping[str, int]) -> str:
    below = children.get(subgroup.name, [])
    if below:
        return _missing_children(subgroup.name, below, subgroup.min_sub_group, children, counts)
    minimum = 1 if subgroup.min_member is None else subgroup.min_member
    have = counts.get(subgroup.name, 0)
    return "" if have >= minimum else f"{subgroup.name} has {have} of {minimum}"
