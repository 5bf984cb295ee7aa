"""Tells about pods: why they wait, as a condition and one event a gang, and what became of commands."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from kai_sched.api.times import format_time
from kai_sched.binder.outcomes import Outcome, Result
from kai_sched.cluster.kube.resources import POD_GROUPS, PODS
from kai_sched.cluster.ports import Document
from kai_sched.model.commands import BindGang, Evict
from kai_sched.model.ids import PodGroupKey, PodKey
from kai_sched.model.plan import Outcome as GangOutcome
from kai_sched.model.plan import Verdict
from kai_sched.model.workloads import Pod, PodGroup, PodState
from kai_sched.operator.events import Told, event_document, event_path
from kai_sched.operator.group_status import is_waiting, sentence_of
from kai_sched.operator.publisher import Publisher, Saying, Send
from kai_sched.operator.tally import NOBODY, GroupTally

POD_CALM_SECONDS: Final = 60.0
EVENT_CALM_SECONDS: Final = 300.0
NOT_READY_PATIENCE_SECONDS: Final = 2.0
"""A gang whose pods and claims are just being made is nobody's problem yet."""


class PodCalls(Protocol):
    """The calls that telling about pods takes."""

    async def patch_strategic(self, path: str, body: Document) -> Document: ...

    async def post(self, path: str, body: Document) -> Document: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """As whom events are written, if at all."""

    scheduler_name: str
    instance: str
    writes_events: bool = True


class PodTeller:
    """Remembers whom it told that they wait, so that it can stop."""

    def __init__(self, calls: PodCalls, publisher: Publisher, speaker: Speaker) -> None:
        self._calls = calls
        self._publisher = publisher
        self._speaker = speaker
        self._told_pods: set[str] = set()
        self._told_events: set[str] = set()

    def tell_waiting(
        self,
        verdicts: Mapping[PodGroupKey, Verdict],
        records: Mapping[PodGroupKey, PodGroup],
        tallies: Mapping[PodGroupKey, GroupTally],
        groups: Mapping[str, Document],
    ) -> None:
        """Every gang that waits, its pods and one event."""
        still: set[str] = set()
        events: set[str] = set()
        for key, verdict in verdicts.items():
            waiting = tallies.get(key, NOBODY).waiting
            if not is_waiting(verdict) or not waiting:
                continue
            events.add(self._tell_event(key, verdict, waiting[0], groups.get(key)))
            record = records.get(key)
            if record is not None and not record.mark_unschedulable:
                continue
            message = sentence_of(verdict)
            for pod in waiting:
                if pod.state is not PodState.GATED:
                    still.add(pod.uid)
                    self._tell_pod(pod, verdict, message)
        for uid in self._told_pods - still:
            self._publisher.forget(("pod", uid))
        for uid in self._told_events - events:
            self._publisher.withdraw(("event", uid))
        self._told_pods, self._told_events = still, events

    def tell_outcome(self, outcome: Outcome) -> None:
        """What became of one command."""
        command = outcome.command
        if isinstance(command, BindGang):
            bound = set(outcome.bound)
            for placement in command.placements:
                if placement.pod in bound:
                    self._publisher.forget(("pod", placement.uid))
                    note = f"Successfully assigned {placement.pod} to {placement.node}"
                    self._say_once(_about_pod(placement.pod, placement.uid, "Scheduled", note))
            if outcome.result in {Result.FAILED, Result.UNPREPARED}:
                first = command.placements[0]
                self._say_on_change(
                    _about_pod(first.pod, first.uid, "FailedBinding", outcome.reason, is_warning=True)
                )
        elif isinstance(command, Evict) and outcome.result is Result.DONE:
            note = f"Evicted by {command.stage.value} for {command.beneficiary or 'nobody'}"
            self._say_once(_about_pod(command.pod, command.uid, "Evict", note))

    def _tell_pod(self, pod: Pod, verdict: Verdict, message: str) -> None:
        path = PODS.item_of_key(pod.key, "status")
        # Waiting since it was created: a time that a restarted operator tells again without a change.
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastTransitionTime": format_time(int(pod.created_at)) if pod.created_at else None,
        }
        body = {"metadata": {"uid": pod.uid}, "status": {"conditions": [condition]}}

        async def send() -> object:
            return await self._calls.patch_strategic(path, body)

        self._publisher.offer(
            Saying(
                subject=("pod", pod.uid),
                gist=verdict.blocker,
                detail=message,
                send=send,
                calm_seconds=POD_CALM_SECONDS,
                patience_seconds=patience_for(verdict),
            )
        )

    def _tell_event(self, key: PodGroupKey, verdict: Verdict, pod: Pod, document: Document | None) -> str:
        """On the pod group where there is one, else on its first waiting pod: one event a gang. Returns whose."""
        reason = "NotReady" if verdict.outcome is GangOutcome.NOT_READY else "Unschedulable"
        uid = document["metadata"]["uid"] if document is not None else pod.uid
        told = Told(
            about=POD_GROUPS if document is not None else PODS,
            key=key if document is not None else pod.key,
            uid=uid,
            reason=reason,
            note=sentence_of(verdict),
            action="Scheduling",
            is_warning=True,
        )
        if self._speaker.writes_events:
            self._publisher.offer(
                Saying(
                    subject=("event", uid),
                    gist=(reason, verdict.blocker),
                    detail=told.note,
                    send=self._event_sender(told),
                    calm_seconds=EVENT_CALM_SECONDS,
                    patience_seconds=patience_for(verdict),
                )
            )
        return uid

    def _say_once(self, told: Told) -> None:
        if not self._speaker.writes_events:
            return
        self._publisher.once(
            Saying(subject=(told.reason, told.uid), gist=None, send=self._event_sender(told))
        )

    def _say_on_change(self, told: Told) -> None:
        """A gang that is refused again and again hears each reason once."""
        if self._speaker.writes_events:
            self._publisher.offer(
                Saying(subject=(told.reason, told.uid), gist=told.note, send=self._event_sender(told))
            )

    def _event_sender(self, told: Told) -> Send:
        speaker = self._speaker

        async def send() -> object:
            document = event_document(
                told, scheduler_name=speaker.scheduler_name, instance=speaker.instance, now=time.time()
            )
            return await self._calls.post(event_path(told), document)

        return send


def _about_pod(pod: PodKey, uid: str, reason: str, note: str, *, is_warning: bool = False) -> Told:
    return Told(
        about=PODS, key=pod, uid=uid, reason=reason, note=note, action="Binding", is_warning=is_warning
    )


def patience_for(verdict: Verdict | None) -> float:
    """How long what a verdict says must hold before it is told."""
    is_early = verdict is not None and verdict.outcome is GangOutcome.NOT_READY
    return NOT_READY_PATIENCE_SECONDS if is_early else 0.0
