"""Tells what a cycle decided: status of queues and pod groups, conditions of pods, events."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from kai_sched.binder.outcomes import Outcome, Result
from kai_sched.cluster.kube.resources import POD_GROUPS, QUEUES, SHARDS, Resource
from kai_sched.cluster.ports import Document
from kai_sched.model.commands import BindGang
from kai_sched.model.ids import PodGroupKey, QueueName
from kai_sched.model.plan import Plan, Verdict
from kai_sched.model.policy import GpuClassRule
from kai_sched.model.snapshot import ClusterSnapshot, Unreadable
from kai_sched.model.workloads import PodGroup
from kai_sched.operator.claim_counts import DeviceCounts
from kai_sched.operator.group_resources import GroupResources
from kai_sched.operator.group_status import group_status, invalid_status, is_waiting
from kai_sched.operator.pod_teller import PodCalls, PodTeller, Speaker, patience_for
from kai_sched.operator.pruning import PRUNED, Pruning, first_root, without_it
from kai_sched.operator.publisher import Publisher
from kai_sched.operator.queue_status import queue_status, view_queues
from kai_sched.operator.status_teller import Calm, MergePatch, StatusTeller
from kai_sched.operator.tally import NOBODY, GroupTally, by_key, tally_groups

QUEUE_CALM: Final = Calm(1.0)
GROUP_CALM: Final = Calm(15.0)


class StatusCalls(MergePatch, PodCalls, Protocol):
    """The calls that telling takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice(Speaker):
    """As whom we speak, for which nodes, and what counts as GPUs there."""

    node_pool: str = "default"
    gpu_classes: tuple[GpuClassRule, ...] = ()


class Narrator:
    """Offers to the publisher whatever a cycle makes sayable; the publisher writes what is news."""

    def __init__(self, calls: StatusCalls, publisher: Publisher, voice: Voice) -> None:
        self._voice = voice
        self._publisher = publisher
        self._pruning = Pruning()
        self._statuses = StatusTeller(calls, publisher, self._pruning)
        self._pods = PodTeller(calls, publisher, voice)
        self._device_counts = DeviceCounts(voice.gpu_classes)
        self._told_groups: set[PodGroupKey] = set()
        self._owed: set[PodGroupKey] = set()
        """Groups that changed and do not say so yet: a cycle may end without a plan, and a write may fail."""
        self._group_documents: Mapping[str, Document] = {}
        self._has_shard = False
        """Whether there is a shard that says what we have to say about the cluster as a whole."""

    def note_changed(self, groups: Iterable[PodGroupKey]) -> None:
        """Pods of these groups changed: every cycle tells them until it is written."""
        self._owed.update(groups)

    def tell_cycle(
        self,
        snapshot: ClusterSnapshot,
        plan: Plan,
        queues: Mapping[str, Document],
        groups: Mapping[str, Document],
    ) -> None:
        """Everything about one cycle; ``queues`` and ``groups`` are the objects as they are now."""
        self._group_documents = groups
        tallies = tally_groups(snapshot)
        records = by_key(snapshot.pod_groups)
        self._tell_queues(snapshot, plan, records, tallies, queues)
        self._tell_groups(snapshot, plan, records, tallies, groups)
        verdicts = {verdict.pod_group: verdict for verdict in plan.verdicts}
        self._pods.tell_waiting(verdicts, records, tallies, groups)
        self._tell_unreadable(snapshot.unreadable, queues, groups, plan.now)
        self._publisher.forget_others(
            lambda: {pod.uid for pod in snapshot.pods} | _uids_of(queues) | _uids_of(groups)
        )
        self._has_shard = False

    def tell_outcome(self, outcome: Outcome) -> None:
        """What became of one command; what was to be said of a gang that is refused is no longer true."""
        self._pods.tell_outcome(outcome)
        command = outcome.command
        if not isinstance(command, BindGang) or outcome.result is Result.DONE:
            return
        self._owed.add(command.pod_group)
        document = self._group_documents.get(command.pod_group)
        if document is not None:
            self._publisher.withdraw((POD_GROUPS.plural, document["metadata"]["uid"]))

    def tell_shard(self, name: str, document: Document, problem: str, now: float) -> None:
        """Before its cycle: whether the SchedulingShard can be used as it stands."""
        self._has_shard = True
        status = invalid_status(problem, document.get("status") or {}, now)
        status["conditions"] = self._pruning.said_on(status["conditions"], now)
        gist = (problem, self._pruning.definitions)
        self._statuses.tell(SHARDS, name, document, status, gist, GROUP_CALM)

    def _tell_queues(
        self,
        snapshot: ClusterSnapshot,
        plan: Plan,
        records: Mapping[PodGroupKey, PodGroup],
        tallies: Mapping[PodGroupKey, GroupTally],
        documents: Mapping[str, Document],
    ) -> None:
        view = view_queues(snapshot, plan, records, tallies)
        spokesman = "" if self._has_shard else first_root(snapshot.queues)
        for queue in snapshot.queues:
            document = documents.get(queue.name)
            if document is None:
                continue
            status = queue_status(QueueName(queue.name), view, document.get("status") or {}, plan.now)
            if queue.name == spokesman:
                status["conditions"] = self._pruning.said_on(status["conditions"], plan.now)
            else:
                status["conditions"] = without_it(status["conditions"])
            said = [entry["status"] for entry in status["conditions"] if entry.get("type") == PRUNED]
            gist = (view.tree.problems.get(queue.name), status["kaiSched"]["waitingReason"], *said)
            self._statuses.tell(QUEUES, queue.name, document, status, gist, QUEUE_CALM)

    def _tell_groups(
        self,
        snapshot: ClusterSnapshot,
        plan: Plan,
        records: Mapping[PodGroupKey, PodGroup],
        tallies: Mapping[PodGroupKey, GroupTally],
        documents: Mapping[str, Document],
    ) -> None:
        verdicts = {verdict.pod_group: verdict for verdict in plan.verdicts}
        shares = {share.queue: share for share in plan.shares}
        resources = GroupResources(snapshot, self._device_counts)
        due, self._owed = {*verdicts, *self._owed, *self._told_groups}, set()
        for key in due:
            record, document = records.get(key), documents.get(key)
            if record is None or document is None:
                continue
            tally, verdict = tallies.get(key, NOBODY), verdicts.get(key)
            present = document.get("status") or {}
            status = group_status(record, tally, verdict, shares, present, plan.now, self._voice.node_pool)
            status["resourcesStatus"] = resources.status_of(record, tally)
            calm = Calm(GROUP_CALM.seconds, patience_for(verdict))
            if not self._statuses.tell(POD_GROUPS, key, document, status, _group_gist(verdict), calm):
                self._owed.add(key)
        self._told_groups = {key for key, verdict in verdicts.items() if is_waiting(verdict)}

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
            self._statuses.tell(resource, problem.key, document, status, ("unreadable", text), GROUP_CALM)


def _uids_of(documents: Mapping[str, Document]) -> set[str]:
    return {document["metadata"]["uid"] for document in documents.values()}


def _group_gist(verdict: Verdict | None) -> Hashable:
    return None if verdict is None else (verdict.outcome, verdict.blocker)
