"""The quota tree: which queues there are, who is above whom, and what is wrong with the rest.

One broken queue must not stop the others: it is left out with everything below it, each with a text that names
the field, and the remaining queues share as if it were not there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from kai_sched.model.ids import QueueName
from kai_sched.model.queues import QUOTA_RESOURCES, UNLIMITED, Queue
from kai_sched.model.words import CHAIN_SHOWN, chained


class ProblemKind(StrEnum):
    """What is wrong with a queue, in a word."""

    FIELD = "InvalidField"
    LIMIT_BELOW_QUOTA = "LimitBelowQuota"
    PARENT_NOT_FOUND = "ParentNotFound"
    PARENT_CYCLE = "ParentCycle"
    PARENT_INVALID = "ParentInvalid"


_Problem = tuple[ProblemKind, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueTree:
    """Valid queues by name, in name order."""

    queues: Mapping[QueueName, Queue]
    problems: Mapping[QueueName, str]
    """Queues left out -> "spec.path: what is wrong"."""
    kinds: Mapping[QueueName, ProblemKind]
    """The same in a word."""
    roots: tuple[QueueName, ...]
    children: Mapping[QueueName, tuple[QueueName, ...]]
    """Valid children of every valid queue, () for leaves."""
    leaves: frozenset[QueueName]
    """Queues that may hold workloads: nobody names them as parent, not even a broken queue."""
    paths: Mapping[QueueName, tuple[QueueName, ...]]
    """What ``ancestors`` answers."""

    @staticmethod
    def build(queues: Iterable[Queue]) -> QueueTree:
        """Order the queues and set the broken ones apart."""
        by_name = {queue.name: queue for queue in sorted(queues, key=lambda queue: queue.name)}
        found = _find_problems(by_name)
        problems = {name: text for name, (_, text) in found.items()}
        valid = {name: queue for name, queue in by_name.items() if name not in problems}
        children: dict[QueueName, list[QueueName]] = {name: [] for name in valid}
        for name, queue in valid.items():
            if queue.parent:
                children[queue.parent].append(name)
        parents = {queue.parent for queue in by_name.values()}
        return QueueTree(
            queues=valid,
            problems=problems,
            kinds={name: kind for name, (kind, _) in found.items()},
            roots=tuple(name for name, queue in valid.items() if not queue.parent),
            children={name: tuple(below) for name, below in children.items()},
            leaves=frozenset(name for name in valid if name not in parents),
            paths=_paths(by_name, problems),
        )

    def ancestors(self, name: QueueName) -> tuple[QueueName, ...]:
        """The queue itself first, then up to its root.

        For a broken queue only the valid ones above it: what still runs in it keeps counting against them.
        """
        return self.paths.get(name, ())

    def is_leaf(self, name: QueueName) -> bool:
        """Whether workloads may name this queue."""
        return name in self.leaves


def _find_problems(by_name: Mapping[QueueName, Queue]) -> dict[QueueName, _Problem]:
    own = {name: found for name, queue in by_name.items() if (found := _own_problem(queue, by_name))}
    for name, text in _cycles(by_name).items():
        own.setdefault(name, (ProblemKind.PARENT_CYCLE, text))
    culprit: dict[QueueName, QueueName | None] = {name: name for name in own}
    for start in by_name:
        trail: list[QueueName] = []
        name = start
        while name not in culprit:
            trail.append(name)
            parent = by_name[name].parent
            if not parent:
                culprit[name] = None
            else:
                name = parent
        culprit.update(dict.fromkeys(trail, culprit[name]))
    return {
        name: own.get(name, (ProblemKind.PARENT_INVALID, f'spec.parentQueue: ancestor "{above}" is invalid'))
        for name in by_name
        if (above := culprit[name]) is not None
    }


def _own_problem(queue: Queue, by_name: Mapping[QueueName, Queue]) -> _Problem | None:
    if queue.problem:
        return ProblemKind.FIELD, queue.problem
    if queue.parent and queue.parent not in by_name:
        return ProblemKind.PARENT_NOT_FOUND, f'spec.parentQueue: queue "{queue.parent}" does not exist'
    for name in QUOTA_RESOURCES:
        amounts = queue.resource(name)
        path = f"spec.resources.{name.value}"
        for field, value in (("quota", amounts.deserved), ("limit", amounts.limit)):
            if not math.isfinite(value) or (value < 0 and value != UNLIMITED):
                return ProblemKind.FIELD, f"{path}.{field}: must be -1 or at least 0, not {value:g}"
        if not math.isfinite(amounts.over_quota_weight) or amounts.over_quota_weight < 0:
            weight = f"must be at least 0, not {amounts.over_quota_weight:g}"
            return ProblemKind.FIELD, f"{path}.overQuotaWeight: {weight}"
        # An unlimited quota under a limit is guaranteed up to that limit and contradicts nothing.
        if amounts.limit != UNLIMITED and amounts.deserved > amounts.limit:
            text = f"{amounts.limit:g} is below the quota of {amounts.deserved:g}"
            return ProblemKind.LIMIT_BELOW_QUOTA, f"{path}.limit: {text}"
    return None


def _cycles(by_name: Mapping[QueueName, Queue]) -> dict[QueueName, str]:
    texts: dict[QueueName, str] = {}
    seen: set[QueueName] = set()
    for start in by_name:
        trail: dict[QueueName, None] = {}
        name: QueueName | None = start
        while name and name in by_name and name not in seen:
            seen.add(name)
            trail[name] = None
            name = by_name[name].parent
        if name in trail:
            names = list(trail)
            ring = names[names.index(name) :]
            for index, member in enumerate(ring):
                start_of = [ring[(index + step) % len(ring)] for step in range(min(len(ring), CHAIN_SHOWN))]
                texts[member] = f"spec.parentQueue: cycle {chained((*start_of, member), len(ring) + 1)}"
    return texts


def _paths(
    by_name: Mapping[QueueName, Queue], problems: Mapping[QueueName, str]
) -> dict[QueueName, tuple[QueueName, ...]]:
    paths: dict[QueueName, tuple[QueueName, ...]] = {}
    for start in by_name:
        trail: list[QueueName] = []
        name: QueueName | None = start
        while name and name in by_name and name not in paths and name not in trail:
            trail.append(name)
            name = by_name[name].parent
        above = paths.get(name, ()) if name else ()
        for member in reversed(trail):
            above = above if member in problems else (member, *above)
            paths[member] = above
    return paths
