"""Verdicts: the one true, current reason for every gang considered, with the missing amount and the next step."""

from __future__ import annotations

from kai_sched.model.plan import Blocker, Outcome, Verdict
from kai_sched.model.words import counted
from kai_sched.planning.cycle_state import CycleState, GangRecord


def verdicts_of(state: CycleState) -> tuple[Verdict, ...]:
    """A verdict for every group with a waiting pod, in key order."""
    found = [*state.early, *(_verdict(record) for record in state.records.values())]
    return tuple(sorted(found, key=lambda verdict: verdict.pod_group))


def _verdict(record: GangRecord) -> Verdict:
    group = record.gang.group
    waiting = len(record.gang.pending_pods())
    refusal = record.refusal
    if record.pipelined and not record.placed:
        return Verdict(
            pod_group=group.key,
            queue=group.queue,
            outcome=Outcome.PIPELINED,
            message=f"{counted(len(record.pipelined), 'pod')} placed on room that is still being released",
            next_step="nothing: it is bound when the room is free",
        )
    if record.placed:
        message = f"{counted(len(record.placed), 'pod')} placed"
        if waiting and refusal is not None:
            message += f"; {counted(waiting, 'pod')} above the minimum still waiting: {refusal.message}"
        return Verdict(
            pod_group=group.key,
            queue=group.queue,
            outcome=Outcome.PLACED,
            message="; ".join(filter(None, (message, record.gang.stray))),
            next_step=refusal.next_step if waiting and refusal is not None else "",
        )
    if refusal is None:
        # Only a stage that never looked at it leaves a gang without a reason: the policy's queue depth.
        return Verdict(
            pod_group=group.key,
            queue=group.queue,
            outcome=Outcome.UNPLACED,
            blocker=Blocker.DELAYED,
            message="not tried this cycle: earlier workloads of its queue filled the queue depth of the shard",
            next_step="wait, or raise queueDepthPerAction",
        )
    return Verdict(
        pod_group=group.key,
        queue=group.queue,
        outcome=Outcome.UNPLACED,
        blocker=refusal.blocker,
        message=_sentence(record),
        next_step=refusal.next_step,
        is_proof=refusal.is_proof,
        conflict=refusal.conflict,
    )


def _sentence(record: GangRecord) -> str:
    refusal = record.refusal
    if refusal is None:
        return ""
    wanted = len(record.gang.core_pods())
    if wanted > 1 and refusal.sub_group:
        return (
            f"Resources were found for {refusal.fitted} pods from all sub-groups while sub-group {refusal.sub_group} "
            f"requires {refusal.wanted} pods for gang scheduling. Additional pods cannot be scheduled in this sub-group "
            f"due to: {refusal.message}"
        )
    if wanted > 1 and refusal.wanted:
        return (
            f"Resources were found for {refusal.fitted} pods while {wanted} are required for gang scheduling. "
            f"Additional pods cannot be scheduled due to: {refusal.message}"
        )
    return refusal.message
