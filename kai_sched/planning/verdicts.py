"""Verdicts: the one true, current reason for every gang considered, with the missing amount and the next step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from kai_sched.model.ids import PodGroupKey
from kai_sched.model.outlook import Outlook, Prospect
from kai_sched.model.plan import Blocker, Outcome, Verdict
from kai_sched.model.words import counted
from kai_sched.placement.refusal import Refusal
from kai_sched.planning.cycle_state import CycleState, GangRecord
from kai_sched.planning.demand import COMPLETE_IT, MAKE_THE_QUEUE
from kai_sched.planning.losses import Losses
from kai_sched.planning.missing_pods import lack_of
from kai_sched.planning.outlook.judging import Finding
from kai_sched.planning.outlook.phrases import about, instructions, next_step, within_bounds

NOT_JUDGED: Final[Mapping[PodGroupKey, Finding]] = MappingProxyType({})
"""Nobody's prospects were looked at."""


def verdicts_of(
    state: CycleState, findings: Mapping[PodGroupKey, Finding] = NOT_JUDGED
) -> tuple[Verdict, ...]:
    """A verdict for every group with a waiting pod, in key order; ``findings``: what some of them may hope for."""
    losses = Losses.of(state)
    found = [
        *(_early(verdict, findings.get(verdict.pod_group)) for verdict in state.early),
        *(_verdict(state, record, findings.get(key), losses) for key, record in state.records.items()),
    ]
    kept = (verdict for verdict in found if verdict.pod_group not in state.losses)
    return tuple(sorted((*kept, *losses.verdicts()), key=lambda verdict: verdict.pod_group))


def _early(verdict: Verdict, finding: Finding | None) -> Verdict:
    if finding is None:
        return verdict
    step = verdict.next_step
    if step in {MAKE_THE_QUEUE, COMPLETE_IT}:
        step = instructions(finding.outlook) or step
    return replace(verdict, next_step=step, outlook=finding.outlook)


def _verdict(state: CycleState, record: GangRecord, finding: Finding | None, losses: Losses) -> Verdict:
    group = record.gang.group
    waiting = len(record.gang.pending_pods())
    refusal = record.refusal
    if record.pipelined and not record.placed:
        return Verdict(
            pod_group=group.key,
            queue=group.queue,
            outcome=Outcome.PIPELINED,
            message=f"{counted(len(record.pipelined), 'pod')} placed on room that is still being released"
            + losses.for_whom(group.key),
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
            message=f"{message}; {record.gang.stray}" if record.gang.stray else message,
            next_step=refusal.next_step if waiting and refusal is not None else "",
        )
    if refusal is None and not record.gang.core_pods() and not record.gang.extra_pods():
        lack = lack_of(record.gang.root) or "their subgroup is not complete"
        return Verdict(
            pod_group=group.key,
            queue=group.queue,
            outcome=Outcome.NOT_READY,
            blocker=Blocker.GANG_NOT_READY,
            message=f"{counted(waiting, 'pod')} above the minimum cannot be started: {lack}",
            next_step=COMPLETE_IT,
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
            outlook=Outlook(prospect=Prospect.NOT_YOUR_TURN),
        )
    if finding is not None and finding.refusal is not None and finding.outlook.prospect is Prospect.NEVER:
        refusal = replace(finding.refusal, is_proof=finding.refusal.is_proof or refusal.is_proof)
    verdict = Verdict(
        pod_group=group.key,
        queue=group.queue,
        outcome=Outcome.UNPLACED,
        blocker=refusal.blocker,
        message=_running(record) + _sentence(refusal, len(record.gang.core_pods())),
        next_step=refusal.next_step,
        is_proof=refusal.is_proof,
        conflict=refusal.conflict,
    )
    if finding is None:
        return verdict
    outlook = finding.outlook
    return replace(
        verdict,
        message=within_bounds(f"{verdict.message}. {about(outlook, group.queue, state.shares)}"),
        next_step=within_bounds(next_step(outlook, refusal)),
        outlook=outlook,
    )


def _running(record: GangRecord) -> str:
    """Of a gang that has its minimum: that it runs, and that only more pods wait."""
    if record.gang.core_pods() or not record.gang.active_count:
        return ""
    run, wait = record.gang.active_count, len(record.gang.pending_pods())
    runs, waits = ("runs" if run == 1 else "run"), ("waits" if wait == 1 else "wait")
    return f"{counted(run, 'pod')} of it {runs}, {counted(wait, 'pod')} above the minimum {waits}: "


def _sentence(refusal: Refusal, wanted: int) -> str:
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
