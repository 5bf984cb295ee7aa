"""Queue status: shares, gangs that run and wait, and the reason that holds most of them up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kai_sched.api.keys import WHOLE_GPU
from kai_sched.api.quantities import number_of
from kai_sched.cluster.ports import Document
from kai_sched.fairness.tree import QueueTree
from kai_sched.model.ids import PodGroupKey, QueueName
from kai_sched.model.plan import Blocker, Outcome, Plan, Verdict
from kai_sched.model.queues import QUOTA_RESOURCES, QueueShare, QuotaVector
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.texts import QUEUE_TEXT, shown
from kai_sched.model.workloads import PodGroup
from kai_sched.operator.conditions import TOLD, Condition, entries_of, merged_conditions
from kai_sched.operator.tally import GroupTally, is_running

_WORST_FIRST: Final = (
    Blocker.INVALID,
    Blocker.QUEUE_NOT_FOUND,
    Blocker.UNKNOWN_WORKLOAD_KIND,
    Blocker.UNSUPPORTED,
    Blocker.SHARING_NOT_ENABLED,
    Blocker.NON_PREEMPTIBLE_OVER_QUOTA,
    Blocker.QUEUE_LIMIT,
    Blocker.DEVICES,
    Blocker.TOPOLOGY,
    Blocker.NODE_CONSTRAINTS,
    Blocker.CAPACITY,
    Blocker.FAIR_SHARE,
    Blocker.GANG_NOT_READY,
    Blocker.DELAYED,
    Blocker.REFUSED,
)
"""What only a person can change comes before what time may bring."""
_RANK: Final = {blocker: rank for rank, blocker in enumerate(_WORST_FIRST)}


@dataclass(slots=True)
class QueueTally:
    """Gangs of a queue and everything below it."""

    running: int = 0
    pending: int = 0
    worst: Verdict | None = None


@dataclass(frozen=True, slots=True)
class QueueView:
    """What one cycle says about all queues."""

    tree: QueueTree
    shares: Mapping[QueueName, QueueShare]
    tallies: Mapping[QueueName, QueueTally]
    children: Mapping[QueueName, tuple[QueueName, ...]]
    orphans: frozenset[QueueName]
    """Queues whose parent does not exist."""


def view_queues(
    snapshot: ClusterSnapshot,
    plan: Plan,
    groups: Mapping[PodGroupKey, PodGroup],
    pods: Mapping[PodGroupKey, GroupTally],
) -> QueueView:
    """Roll the gangs up the tree."""
    tree = QueueTree.build(snapshot.queues)
    tallies: dict[QueueName, QueueTally] = {queue.name: QueueTally() for queue in snapshot.queues}
    verdicts = {verdict.pod_group: verdict for verdict in plan.verdicts}
    for key, tally in pods.items():
        group = groups.get(key)
        if group is None or group.queue not in tallies:
            continue
        path = tree.ancestors(group.queue) if group.queue not in tree.problems else (group.queue,)
        for name in path:
            _count(tallies[name], group, tally, verdicts.get(key))
    children: dict[QueueName, list[QueueName]] = {}
    for queue in snapshot.queues:
        if queue.parent is not None:
            children.setdefault(queue.parent, []).append(queue.name)
    return QueueView(
        tree=tree,
        shares={share.queue: share for share in plan.shares},
        tallies=tallies,
        children={name: tuple(sorted(names)) for name, names in children.items()},
        orphans=frozenset(
            queue.name for queue in snapshot.queues if queue.parent and queue.parent not in tallies
        ),
    )


def queue_status(name: QueueName, view: QueueView, present: Document, now: float) -> Document:
    """The status of one queue; ``present`` is the one it has, whose foreign parts stay."""
    problem = view.tree.problems.get(name, "")
    is_orphan = name in view.orphans
    conditions = (
        Condition("Invalid", bool(problem), "InvalidSpec" if problem else "Valid", problem),
        Condition(
            "Orphan",
            is_orphan,
            "ParentNotFound" if is_orphan else "ParentFound",
            problem if is_orphan else "",
        ),
        TOLD,
    )
    status: Document = {
        "conditions": merged_conditions(entries_of(present.get("conditions")), conditions, now),
        "childQueues": list(view.children.get(name, ())),
    }
    tally = view.tallies[name]
    ours: Document = {
        "pendingGangs": tally.pending,
        "runningGangs": tally.running,
        **_reason(name, view, tally),
    }
    share = view.shares.get(name)
    if share is not None:
        status["allocated"] = resource_list(share.allocated)
        status["allocatedNonPreemptible"] = resource_list(share.allocated_non_preemptible)
        status["requested"] = resource_list(share.requested)
        ours["resources"] = _rows(share)
    status["kaiSched"] = ours
    return status


def _reason(name: QueueName, view: QueueView, tally: QueueTally) -> Document:
    """Why a queue can have no workloads; else what holds most of its gangs up."""
    problem = view.tree.problems.get(name)
    if problem is not None:
        reason, message = view.tree.kinds[name].value, problem
    elif tally.worst is not None and tally.worst.blocker is not None:
        reason, message = tally.worst.blocker.value, tally.worst.message
    else:
        reason = message = ""
    return {"waitingReason": reason, "waitingMessage": shown(message, QUEUE_TEXT)}


def resource_list(vector: QuotaVector) -> Document:
    """A ResourceList with KAI's keys."""
    return {
        WHOLE_GPU: f"{vector.gpu:g}",
        "cpu": f"{round(vector.cpu)}m",
        "memory": f"{round(vector.memory)}M",
    }


def _count(into: QueueTally, group: PodGroup, pods: GroupTally, verdict: Verdict | None) -> None:
    is_placed = verdict is not None and verdict.outcome is Outcome.PLACED
    if is_placed or is_running(group, pods):
        into.running += 1
    elif pods.waiting:
        into.pending += 1
    # Pods of an elastic gang may wait although the gang runs.
    if verdict is None or verdict.blocker is None or not pods.waiting:
        return
    if into.worst is None or into.worst.blocker is None or _RANK[verdict.blocker] < _RANK[into.worst.blocker]:
        into.worst = verdict


def _rows(share: QueueShare) -> Document:
    return {
        resource.value: {
            "deserved": _number(share.deserved.get(resource)),
            "fairShare": _number(share.fair_share.get(resource)),
            "allocated": _number(share.allocated.get(resource)),
            "requested": _number(share.requested.get(resource)),
            "limit": _number(share.limit.get(resource)),
        }
        for resource in QUOTA_RESOURCES
    }


def _number(value: float) -> float | int:
    """Whole where it is whole, else to the thousandth: tiny float noise must not look like a change."""
    return number_of(round(value, 3))
