"""Tells what a cycle decided: status of queues and pod groups, conditions of pods, events."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import orjson
import structlog

from kai_sched.api.times import format_time
from kai_sched.binder.outcomes import Outcome, Result
from kai_sched.cluster.kube.resources import POD_GROUPS, PODS, QUEUES, SHARDS, Resource
from kai_sched.cluster.ports import Document
from kai_sched.model.commands import BindGang, Evict
from kai_sched.model.ids import PodGroupKey, PodKey, QueueName
from kai_sched.model.plan import Outcome as GangOutcome
from kai_sched.model.plan import Plan, Verdict
from kai_sched.model.snapshot import ClusterSnapshot, Unreadable
from kai_sched.model.workloads import Pod, PodGroup, PodState
from kai_sched.operator.events import Told, event_document, event_path
from kai_sched.operator.group_status import group_status, invalid_status, is_waiting, sentence_of
from kai_sched.operator.publisher import Publisher, Saying, Send
from kai_sched.operator.queue_status import queue_status, view_queues
from kai_sched.operator.tally import GroupTally, by_key, tally_groups

_log = structlog.get_logger(__name__)

QUEUE_CALM_SECONDS: Final = 1.0
GROUP_CALM_SECONDS: Final = 15.0
POD_CALM_SECONDS: Final = 60.0
EVENT_CALM_SECONDS: Final = 300.0
REPAIR_SECONDS: Final = 5.0
"""A status that was written and does not show: longer than a watch takes to tell of our own write."""
NOT_READY_PATIENCE_SECONDS: Final = 2.0
"""A gang whose pods and claims are just being made is nobody's problem yet."""
_NOBODY: Final = GroupTally()


@dataclass(frozen=True, slots=True)
class _Calm:
    """How long other figures, and a new reason, are held back."""

    seconds: float
    patience_seconds: float = 0.0


class StatusCalls(Protocol):
    """The calls that telling takes."""

    async def patch_merge(self, path: str, body: Document) -> Document: ...

    async def patch_strategic(self, path: str, body: Document) -> Document: ...

    async def post(self, path: str, body: Document) -> Document: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """As whom we speak."""

    scheduler_name: str
    instance: str
    node_pool: str = "default"
    writes_events: bool = True


class Narrator:
    """Offers to the publisher whatever a cycle makes sayable; the publisher writes what is news."""

    def __init__(self, calls: StatusCalls, publisher: Publisher, voice: Voice) -> None:
        self._calls = calls
        self._publisher = publisher
        self._voice = voice
        self._told_pods: set[str] = set()
        self._told_groups: set[PodGroupKey] = set()
        self._told_events: set[str] = set()

    def tell_cycle(
        self,
        snapshot: ClusterSnapshot,
        plan: Plan,
        changed: Iterable[PodGroupKey],
        queues: Mapping[str, Document],
        groups: Mapping[str, Document],
    ) -> None:
        """Everything about one cycle; ``queues`` and ``groups`` are the objects as they are now."""
        tallies = tally_groups(snapshot)
        records = by_key(snapshot.pod_groups)
        self._tell_queues(snapshot, plan, records, tallies, queues)
        verdicts = {verdict.pod_group: verdict for verdict in plan.verdicts}
        shares = {share.queue: share for share in plan.shares}
        for key in {*verdicts, *changed, *self._told_groups}:
            record, document = records.get(key), groups.get(key)
            if record is None or document is None:
                continue
            tally = tallies.get(key, _NOBODY)
            present = document.get("status") or {}
            status = group_status(
                record, tally, verdicts.get(key), shares, present, plan.now, self._voice.node_pool
            )
            verdict = verdicts.get(key)
            calm = _Calm(GROUP_CALM_SECONDS, _patience(verdict))
            self._tell_status(POD_GROUPS, key, document, status, _group_gist(verdict), calm)
        self._told_groups = {key for key, verdict in verdicts.items() if is_waiting(verdict)}
        self._tell_waiting(verdicts, records, tallies, groups)
        self._tell_unreadable(snapshot.unreadable, queues, groups, plan.now)

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
            if outcome.result is Result.FAILED:
                first = command.placements[0]
                self._say_once(
                    _about_pod(first.pod, first.uid, "FailedBinding", outcome.reason, is_warning=True)
                )
        elif isinstance(command, Evict) and outcome.result is Result.DONE:
            note = f"Evicted by {command.stage.value} for {command.beneficiary or 'nobody'}"
            self._say_once(_about_pod(command.pod, command.uid, "Evict", note))

    def tell_shard(self, name: str, document: Document, problem: str, now: float) -> None:
        """Whether the SchedulingShard can be used as it stands."""
        status = invalid_status(problem, document.get("status") or {}, now)
        self._tell_status(SHARDS, name, document, status, problem, _Calm(GROUP_CALM_SECONDS))

    def _tell_queues(
        self,
        snapshot: ClusterSnapshot,
        plan: Plan,
        records: Mapping[PodGroupKey, PodGroup],
        tallies: Mapping[PodGroupKey, GroupTally],
        documents: Mapping[str, Document],
    ) -> None:
        view = view_queues(snapshot, plan, records, tallies)
        for queue in snapshot.queues:
            document = documents.get(queue.name)
            if document is None:
                continue
            status = queue_status(QueueName(queue.name), view, document.get("status") or {}, plan.now)
            gist = (view.tree.problems.get(queue.name), status["kaiSched"]["waitingReason"])
            self._tell_status(QUEUES, queue.name, document, status, gist, _Calm(QUEUE_CALM_SECONDS))

    def _tell_status(
        self,
        resource: Resource,
        key: str,
        document: Document,
        status: Document,
        gist: Hashable,
        calm: _Calm,
    ) -> None:
        path = resource.item_of_key(key, "status")

        async def send() -> object:
            return await self._calls.patch_merge(path, {"status": status})

        uid = document["metadata"]["uid"]
        saying = Saying(
            subject=(resource.plural, uid),
            gist=gist,
            detail=orjson.dumps(status, option=orjson.OPT_SORT_KEYS),
            send=send,
            calm_seconds=calm.seconds,
            patience_seconds=calm.patience_seconds,
            repair_seconds=None if _is_pruned(document.get("status") or {}, status) else REPAIR_SECONDS,
        )
        if _says(document.get("status") or {}, status):
            self._publisher.is_so(saying)
        else:
            self._publisher.offer(saying)

    def _tell_waiting(
        self,
        verdicts: Mapping[PodGroupKey, Verdict],
        records: Mapping[PodGroupKey, PodGroup],
        tallies: Mapping[PodGroupKey, GroupTally],
        groups: Mapping[str, Document],
    ) -> None:
        still: set[str] = set()
        events: set[str] = set()
        for key, verdict in verdicts.items():
            waiting = tallies.get(key, _NOBODY).waiting
            if not is_waiting(verdict) or not waiting:
                continue
            events.add(self._tell_event(key, verdict, waiting[0], groups.get(key)))
            record = records.get(key)
            if record is not None and not record.mark_unschedulable:
                continue
            message = sentence_of(verdict)
            for pod in waiting:
                if pod.state is PodState.PENDING:
                    still.add(pod.uid)
                    self._tell_pod(pod, verdict, message)
        for uid in self._told_pods - still:
            self._publisher.forget(("pod", uid))
        for uid in self._told_events - events:
            self._publisher.withdraw(("event", uid))
        self._told_pods, self._told_events = still, events

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
                patience_seconds=_patience(verdict),
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
        if self._voice.writes_events:
            self._publisher.offer(
                Saying(
                    subject=("event", uid),
                    gist=(reason, verdict.blocker),
                    detail=told.note,
                    send=self._event_sender(told),
                    calm_seconds=EVENT_CALM_SECONDS,
                    patience_seconds=_patience(verdict),
                )
            )
        return uid

    def _tell_unreadable(
        self,
        problems: Iterable[Unreadable],
        queues: Mapping[str, Document],
        groups: Mapping[str, Document],
        now: float,
    ) -> None:
        places: dict[str, tuple[Resource, Mapping[str, Document]]] = {
            QUEUES.kind: (QUEUES, queues),
            POD_GROUPS.kind: (POD_GROUPS, groups),
        }
        for problem in problems:
            resource, documents = places.get(problem.kind, (None, {}))
            document = documents.get(problem.key)
            if resource is None or document is None:
                continue
            text = f"{problem.field}: {problem.reason}" if problem.field else problem.reason
            status = invalid_status(text, document.get("status") or {}, now)
            calm = _Calm(GROUP_CALM_SECONDS)
            self._tell_status(resource, problem.key, document, status, ("unreadable", text), calm)

    def _say_once(self, told: Told) -> None:
        if not self._voice.writes_events:
            return
        self._publisher.once(
            Saying(subject=(told.uid, told.reason), gist=None, send=self._event_sender(told))
        )

    def _event_sender(self, told: Told) -> Send:
        voice = self._voice

        async def send() -> object:
            document = event_document(
                told, scheduler_name=voice.scheduler_name, instance=voice.instance, now=time.time()
            )
            return await self._calls.post(event_path(told), document)

        return send


def _about_pod(pod: PodKey, uid: str, reason: str, note: str, *, is_warning: bool = False) -> Told:
    return Told(
        about=PODS, key=pod, uid=uid, reason=reason, note=note, action="Binding", is_warning=is_warning
    )


def _patience(verdict: Verdict | None) -> float:
    is_early = verdict is not None and verdict.outcome is GangOutcome.NOT_READY
    return NOT_READY_PATIENCE_SECONDS if is_early else 0.0


def _group_gist(verdict: Verdict | None) -> Hashable:
    return None if verdict is None else (verdict.outcome, verdict.blocker)


def _is_pruned(present: Document, wanted: Document) -> bool:
    """Whether our own part is all that is missing: a CRD that is not ours does not keep it."""
    return "kaiSched" not in present and _says(
        present, {name: part for name, part in wanted.items() if name != "kaiSched"}
    )


def _says(present: Document, wanted: Document) -> bool:
    """Whether a merge patch with ``wanted`` would change nothing."""
    for key, value in wanted.items():
        if isinstance(value, dict):
            if not _says(present.get(key) or {}, value):
                return False
        elif present.get(key) != value:
            return False
    return True
