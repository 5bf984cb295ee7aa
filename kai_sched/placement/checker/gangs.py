"""Gangs: whoever gets a place gets its minimum, and who loses pods keeps it or ends; over the whole tree of subgroups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from kai_sched.model.ids import PodGroupKey, PodKey
from kai_sched.model.plan import Placement
from kai_sched.model.workloads import Pod, PodGroup, PodState, SubGroup
from kai_sched.placement.checker.books import Books
from kai_sched.placement.checker.leaves import leaf_of, leaves_of
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


def check_losers(books: Books) -> Iterator[Violation]:
    """A gang that had its minimum keeps it, or leaves as a whole."""
    members: dict[PodGroupKey, list[Pod]] = defaultdict(list)
    losers = {books.pods[key].group for key in books.evicted if key in books.pods}
    for pod in books.snapshot.pods:
        if pod.group is not None and pod.group in losers and pod.group in books.groups:
            members[pod.group].append(pod)
    for key in sorted(members):
        group = books.groups[key]
        left, _ = _count(books, group, members[key], set())
        before, _ = _count(books, group, members[key], set(books.evicted))
        stays = sum(leaf.placed for leaf in left.values())
        if stays and not group.problem and not _missing(group, before) and (lack := _missing(group, left)):
            yield Violation(ViolationKind.GANG, key, f"keeps {stays} pods where others leave, but {lack}")


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
    counts, stray = _count(books, group, members, placed)
    touched = {leaf_of(books.pods[key], counts) or "" for key in placed}
    missing = stray or _missing(group, counts) or _half_started(group, counts, touched)
    if missing:
        yield Violation(ViolationKind.GANG, group.key, f"{len(placed)} pods {how}, but {missing}")


@dataclass(slots=True)
class _Leaf:
    """One subgroup's pods: with a place, succeeded, and without a place but able to get one."""

    minimum: int
    placed: int = 0
    done: int = 0
    waiting: int = 0

    @property
    def needed(self) -> int:
        """All of the minimum, unless so few are left at the end of a workload: then all that are left."""
        return max(self.minimum - self.done, min(self.minimum, self.placed + self.waiting))

    @property
    def lack(self) -> str:
        return "" if self.placed >= self.needed else f"{self.placed} of at least {self.needed}"


def _count(
    books: Books, group: PodGroup, members: Iterable[Pod], placed: set[PodKey]
) -> tuple[Mapping[str, _Leaf], str]:
    """The leaves of a group by name, and what is wrong with where pods were put."""
    minima = {
        subgroup.name: 1 if subgroup.min_member is None else subgroup.min_member
        for subgroup in group.sub_groups
    }
    leaves = {name: _Leaf(minima.get(name, group.min_member)) for name in leaves_of(group)}
    for pod in members:
        name = leaf_of(pod, leaves)
        leaf = None if name is None else leaves[name]
        if leaf is None:
            if pod.key in placed:
                return leaves, f"pod {pod.key} names subgroup {pod.subgroup!r}, which is no leaf"
        elif pod.key in placed or books.stays_active(pod):
            leaf.placed += 1
        elif pod.state is PodState.SUCCEEDED:
            leaf.done += 1
        elif pod.state in {PodState.PENDING, PodState.GATED} or pod.key in books.evicted:
            leaf.waiting += 1
    return leaves, ""


def _missing(group: PodGroup, leaves: Mapping[str, _Leaf]) -> str:
    if not group.sub_groups:
        return f"{leaves[''].lack} have a place" if leaves[""].lack else ""
    children: dict[str, list[SubGroup]] = defaultdict(list)
    for subgroup in group.sub_groups:
        children[subgroup.parent].append(subgroup)
    return _missing_children("the root", children[""], group.min_sub_group, children, leaves)


def _half_started(group: PodGroup, leaves: Mapping[str, _Leaf], touched: set[str]) -> str:
    """An optional subgroup may stay empty, but pods put there must complete it."""
    for subgroup in group.sub_groups:
        if subgroup.name in touched and leaves[subgroup.name].lack:
            return f"{subgroup.name} has {leaves[subgroup.name].lack}"
    return ""


def _missing_children(
    name: str,
    below: list[SubGroup],
    wanted: int | None,
    children: Mapping[str, list[SubGroup]],
    leaves: Mapping[str, _Leaf],
) -> str:
    wanted = len(below) if wanted is None else wanted
    reasons = [_missing_in(child, children, leaves) for child in below]
    complete = reasons.count("")
    if complete >= wanted:
        return ""
    example = next(filter(None, reasons), "there are no more")
    return f"{complete} of {wanted} subgroups of {name} are complete ({example})"


def _missing_in(
    subgroup: SubGroup, children: Mapping[str, list[SubGroup]], leaves: Mapping[str, _Leaf]
) -> str:
    below = children.get(subgroup.name, [])
    if below:
        return _missing_children(subgroup.name, below, subgroup.min_sub_group, children, leaves)
    lack = leaves[subgroup.name].lack
    return f"{subgroup.name} has {lack}" if lack else ""
