"""PodGroup status and the words about waiting pods: KAI's conditions, and our verdict beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kai_sched.api.outlook_document import outlook_document
from kai_sched.cluster.ports import Document
from kai_sched.model.ids import QueueName
from kai_sched.model.integers import parse_int64
from kai_sched.model.plan import Blocker, Outcome, Verdict
from kai_sched.model.queues import QueueShare, QuotaVector
from kai_sched.model.workloads import PodGroup
from kai_sched.operator.conditions import (
    TOLD,
    Condition,
    entries_of,
    merged_conditions,
    stamp,
)
from kai_sched.operator.queue_status import resource_list
from kai_sched.operator.sentences import is_waiting, sentence_of
from kai_sched.operator.tally import GroupTally

UNSCHEDULABLE: Final = "UnschedulableOnNodePool"
_MOST_TRANSITIONS: Final = 2**31 - 1
_DEFAULT_REASON: Final = "PodSchedulingErrors"
_KAI_REASONS: Final = {
    Blocker.QUEUE_LIMIT: "OverLimit",
    Blocker.NON_PREEMPTIBLE_OVER_QUOTA: "NonPreemptibleOverQuota",
    Blocker.QUEUE_NOT_FOUND: "QueueDoesNotExist",
}


def group_status(
    group: PodGroup,
    tally: GroupTally,
    verdict: Verdict | None,
    shares: Mapping[QueueName, QueueShare],
    present: Document,
    now: float,
    node_pool: str,
) -> Document:
    """The status of one pod group; ``present`` is the one it has, whose foreign parts stay."""
    problem = group.problem or (
        verdict.message if verdict is not None and verdict.blocker is Blocker.INVALID else ""
    )
    invalid = Condition("Invalid", bool(problem), "InvalidSpec" if problem else "Valid", problem)
    entries = entries_of(present.get("schedulingConditions"))
    known = [entry for entry in entries if entry.get("nodePool") != node_pool]
    status: Document = {
        "conditions": merged_conditions(entries_of(present.get("conditions")), (invalid, TOLD), now),
        "schedulingConditions": known,
        "kaiSched": _verdict_part(tally, verdict),
    }
    if verdict is not None and is_waiting(verdict):
        known += _entries_of(group, verdict, shares, present, now, node_pool)
    return status


def _entries_of(
    group: PodGroup,
    verdict: Verdict,
    shares: Mapping[QueueName, QueueShare],
    present: Document,
    now: float,
    node_pool: str,
) -> list[Document]:
    """The scheduling condition of this node pool.

    A group that is tried only once reads it as the end of its tries here: it comes with a true refusal only, and stays
    as it is from then on.
    """
    if group.scheduling_backoff >= 0:
        if verdict.outcome is Outcome.NOT_READY:
            return []
        if verdict.blocker is Blocker.DELAYED:
            entries = entries_of(present.get("schedulingConditions"))
            return [entry for entry in entries if entry.get("nodePool") == node_pool]
    return [_scheduling_condition(group, verdict, shares, present, now, node_pool)]


def _verdict_part(tally: GroupTally, verdict: Verdict | None) -> Document:
    part: Document = {
        "verdict": None,
        "blocker": None,
        "message": None,
        "nextStep": None,
        "isProof": None,
        **dict.fromkeys(("prospect", "decidedBy", "heldBy", "goesFirst", "advice")),
        "pendingPods": len(tally.waiting),
        "runningPods": tally.active,
    }
    if verdict is not None and tally.waiting:
        part["verdict"] = verdict.outcome.value
        part["message"] = verdict.message or None
        part["nextStep"] = verdict.next_step or None
        if verdict.blocker is not None:
            part |= {"blocker": verdict.blocker.value, "isProof": verdict.is_proof}
        if verdict.outlook is not None:
            part |= outlook_document(verdict.outlook)
    elif tally.active:
        part["verdict"] = Outcome.PLACED.value
    return part


def _scheduling_condition(
    group: PodGroup,
    verdict: Verdict,
    shares: Mapping[QueueName, QueueShare],
    present: Document,
    now: float,
    node_pool: str,
) -> Document:
    """KAI's condition of the node pool; its transitionID counts the transitions of the whole list."""
    entries = entries_of(present.get("schedulingConditions"))
    known = next((entry for entry in entries if entry.get("nodePool") == node_pool), None)
    reason = _KAI_REASONS.get(verdict.blocker, _DEFAULT_REASON) if verdict.blocker else _DEFAULT_REASON
    explained: Document = {"reason": reason, "message": verdict.message}
    conflict = verdict.conflict
    if conflict is not None and conflict.queue in shares:
        fixed = QuotaVector() if group.is_preemptible else conflict.requested
        explained["details"] = {
            "queueDetails": {
                **_queue_details(shares[conflict.queue]),
                "podGroupRequestedResources": resource_list(conflict.requested),
                "podGroupRequestedNonPreemptibleResources": resource_list(fixed),
            }
        }
    condition: Document = {
        "type": UNSCHEDULABLE,
        "nodePool": node_pool,
        "status": "True",
        "reason": reason,
        "message": sentence_of(verdict),
        "reasons": [explained],
    }
    if known is not None:
        condition["transitionID"] = known.get("transitionID") or "0"
        condition["lastTransitionTime"] = known.get("lastTransitionTime") or stamp(now)
    else:
        # Others may have written anything there.
        numbers = [parse_int64(str(entry.get("transitionID"))) or 0 for entry in entries]
        condition["transitionID"] = str(min(max(numbers, default=-1) + 1, _MOST_TRANSITIONS))
        condition["lastTransitionTime"] = stamp(now)
    return condition


def _queue_details(share: QueueShare) -> Document:
    return {
        "name": share.queue,
        "queueRequestedResources": resource_list(share.requested),
        "queueDeservedResources": resource_list(share.deserved),
        "queueAllocatedResources": resource_list(share.allocated),
        "queueAllocatedNonPreemptibleResources": resource_list(share.allocated_non_preemptible),
        "queueResourceLimits": resource_list(share.limit),
    }
