"""Tells about pods: why they wait, as a condition, and what became of commands, as events.

A waiting pod says itself why it waits and for which group. Events go to the pod group, to the workload that owns it
and to the pods; of a large gang to its first pod only.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from kai_sched.api import keys
from kai_sched.api.times import format_time
from kai_sched.binder.outcomes import CommandOutcome, Result
from kai_sched.cluster.contained import Contained
from kai_sched.cluster.kube.resources import POD_GROUPS, PODS
from kai_sched.cluster.ports import Document
from kai_sched.model.commands import BindGang, Evict
from kai_sched.model.ids import PodGroupKey, PodKey
from kai_sched.model.plan import Outcome
from kai_sched.model.workloads import GroupOrigin, Pod, PodGroup, PodState
from kai_sched.operator.events import About, Event, event_document, event_path
from kai_sched.operator.publisher import Publisher, Saying, Send
from kai_sched.operator.sentences import Told, patience_for
from kai_sched.operator.tally import NOBODY, GroupTally

MOST_PODS_WITH_EVENTS: Final = 20
"""Waiting pods of a gang; of a larger one the first pod speaks for all."""
FAILED_SCHEDULING: Final = "FailedScheduling"
_ONCE: Final = "once"


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

    def __init__(
        self, calls: PodCalls, publisher: Publisher, speaker: Speaker, contained: Contained | None = None
    ) -> None:
        self._calls = calls
        self._publisher = publisher
        self._speaker = speaker
        self._contained = contained or Contained()
        self._told_pods: set[tuple[str, str]] = set()
        self._told_events: set[tuple[str, str]] = set()

    def tell_waiting(
        self,
        told: Mapping[PodGroupKey, Told],
        records: Mapping[PodGroupKey, PodGroup],
        tallies: Mapping[PodGroupKey, GroupTally],
        groups: Mapping[str, Document],
    ) -> None:
        """Every gang that waits: its pods, its group and its owner."""
        pods: set[tuple[str, str]] = set()
        events: set[tuple[str, str]] = set()
        for key, one in told.items():
            # A gated pod waits for whoever gated it: nothing is wrong with it.
            waiting = [pod for pod in tallies.get(key, NOBODY).waiting if pod.state is not PodState.GATED]
            if not waiting:
                continue
            record, document = records.get(key), groups.get(key)
            says_pods = record is None or record.mark_unschedulable
            for event in _events_of(key, one, waiting if says_pods else [], document):
                with self._contained.guard("event", event.key):
                    events.add(self._tell_event(key, one, event))
            is_alone = record is None or record.origin is GroupOrigin.BARE_POD
            for pod in waiting if says_pods else ():
                with self._contained.guard("pod_condition", pod.key):
                    pods.add(self._tell_pod(pod, one, None if is_alone else key))
        for subject in self._told_pods - pods:
            self._publisher.forget(subject)
        for subject in self._told_events - events:
            self._publisher.withdraw(subject)
        self._told_pods, self._told_events = pods, events

    def tell_outcome(self, outcome: CommandOutcome) -> None:
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

    def _tell_pod(self, pod: Pod, told: Told, group: PodGroupKey | None) -> tuple[str, str]:
        """In one write: the condition, and which pod group it waits with."""
        path = PODS.item_of_key(pod.key, "status")
        # Waiting since it was created: a time that a restarted operator tells again without a change.
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": told.sentence,
            "lastTransitionTime": format_time(int(pod.created_at)) if pod.created_at else None,
        }
        metadata: Document = {"uid": pod.uid}
        if group is not None:
            metadata["annotations"] = {keys.WAITS_WITH: group.rpartition("/")[2]}
        body = {"metadata": metadata, "status": {"conditions": [condition]}}

        async def send() -> object:
            return await self._calls.patch_strategic(path, body)

        subject = ("pod", pod.uid)
        self._offer(subject, pod.key, told, told.sentence, send)
        return subject

    def _tell_event(self, group: PodGroupKey, told: Told, event: Event) -> tuple[str, str]:
        # A workload may own several groups: each says what it has to say.
        subject = (f"event of {group}", event.uid)
        if self._speaker.writes_events:
            self._offer(subject, event.key, told, event.note, self._event_sender(event))
        return subject

    def _offer(self, subject: tuple[str, str], key: str, told: Told, detail: object, send: Send) -> None:
        verdict = told.verdict
        self._publisher.offer(
            Saying(
                subject=subject,
                namespace=key.rpartition("/")[0],
                gist=(verdict.outcome, verdict.blocker),
                detail=detail,
                send=send,
                # A sentence has waited for its turn already.
                calm_seconds=0.0,
                patience_seconds=patience_for(verdict),
            )
        )

    def _say_once(self, event: Event) -> None:
        if not self._speaker.writes_events:
            return
        self._publisher.once(
            Saying(
                subject=(f"{_ONCE} {event.reason}", event.uid),
                namespace=event.key.rpartition("/")[0],
                gist=None,
                send=self._event_sender(event),
            )
        )

    def _say_on_change(self, event: Event) -> None:
        """A gang that is refused again and again hears each reason once."""
        if self._speaker.writes_events:
            self._publisher.offer(
                Saying(
                    subject=(f"{_ONCE} {event.reason}", event.uid),
                    namespace=event.key.rpartition("/")[0],
                    gist=event.note,
                    send=self._event_sender(event),
                )
            )

    def _event_sender(self, event: Event) -> Send:
        speaker = self._speaker

        async def send() -> object:
            document = event_document(
                event, scheduler_name=speaker.scheduler_name, instance=speaker.instance, now=time.time()
            )
            return await self._calls.post(event_path(event), document)

        return send


def owners_of(document: Document) -> Iterator[tuple[About, str, str]]:
    """Kind, name and uid of what a pod group was made for."""
    references = document["metadata"].get("ownerReferences")
    for reference in references if isinstance(references, list) else ():
        parts = [reference.get(part) for part in ("apiVersion", "kind", "name", "uid")]
        if all(isinstance(part, str) and part for part in parts):
            yield About(parts[0], parts[1]), parts[2], parts[3]


def _events_of(key: PodGroupKey, told: Told, pods: list[Pod], document: Document | None) -> Iterable[Event]:
    """The events by which a gang that waits is told."""
    note = told.sentence
    if document is not None:
        reason = "NotReady" if told.verdict.outcome is Outcome.NOT_READY else "Unschedulable"
        yield _warning(About.of(POD_GROUPS), key, document["metadata"]["uid"], reason, note)
        namespace = key.rpartition("/")[0]
        for kind, name, uid in owners_of(document):
            yield _warning(kind, f"{namespace}/{name}", uid, FAILED_SCHEDULING, note)
    for pod in pods if len(pods) <= MOST_PODS_WITH_EVENTS else pods[:1]:
        yield _warning(About.of(PODS), pod.key, pod.uid, FAILED_SCHEDULING, note)


def _warning(about: About, key: str, uid: str, reason: str, note: str) -> Event:
    return Event(
        about=about, key=key, uid=uid, reason=reason, note=note, action="Scheduling", is_warning=True
    )


def _about_pod(pod: PodKey, uid: str, reason: str, note: str, *, is_warning: bool = False) -> Event:
    return Event(
        about=About.of(PODS),
        key=pod,
        uid=uid,
        reason=reason,
        note=note,
        action="Binding" if reason != "Evict" else "Evicting",
        is_warning=is_warning,
    )
