"""Tells what a cycle decided: status of queues and pod groups, conditions of pods, events."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from kai_sched.binder.outcomes import CommandOutcome, Result
from kai_sched.cluster.contained import Contained
from kai_sched.cluster.kube.resources import POD_GROUPS, QUEUES, SHARDS, Resource
from kai_sched.cluster.ports import Document
from kai_sched.model.commands import BindGang
from kai_sched.model.ids import PodGroupKey, QueueName
from kai_sched.model.plan import Plan, Verdict
from kai_sched.model.policy import GpuClassRule
from kai_sched.model.queues import QueueShare
from kai_sched.model.snapshot import ClusterSnapshot, Unreadable
from kai_sched.model.workloads import PodGroup
from kai_sched.operator.claim_counts import ClassCounts
from kai_sched.operator.group_resources import GroupResources
from kai_sched.operator.group_status import group_status
from kai_sched.operator.object_status import failed_status, invalid_status, shard_status
from kai_sched.operator.pod_teller import PodCalls, PodTeller, Speaker
from kai_sched.operator.pruning import PRUNED, Pruning, first_root, without_it
from kai_sched.operator.publisher import Publisher
from kai_sched.operator.queue_status import QueueView, queue_status, view_queues
from kai_sched.operator.sentences import Sentences, Told, is_waiting, patience_for
from kai_sched.operator.shard import ShardNotice
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

    def __init__(
        self, calls: StatusCalls, publisher: Publisher, voice: Voice, contained: Contained | None = None
    ) -> None:
        self._voice = voice
        self._publisher = publisher
        self._contained = contained or Contained()
        self._sentences = Sentences()
        self._pruning = Pruning()
        self._statuses = StatusTeller(calls, publisher, self._pruning)
        self._pods = PodTeller(calls, publisher, voice, self._contained)
        self._device_counts = ClassCounts(voice.gpu_classes)
        self._told_groups: set[PodGroupKey] = set()
        self._owed: set[PodGroupKey] = set()
        """Groups that changed and do not say so yet: a cycle may end without a plan, and a write may fail."""
        self._group_documents: Mapping[str, Document] = {}

    def note_changed(self, groups: Iterable[PodGroupKey]) -> None:
        """Pods of these groups changed: every cycle tells them until it is written."""
        self._owed.update(groups)

    def tell_cycle(
        self,
        snapshot: ClusterSnapshot,
        plan: Plan,
        queues: Mapping[str, Document],
        groups: Mapping[str, Document],
        shard: ShardNotice,
    ) -> None:
        """Everything about one cycle; ``queues`` and ``groups`` are the objects as they are now.

        What fails about one object, or about one kind of telling, costs only that.
        """
        guard = self._contained.guard
        self._group_documents = groups
        self.tell_shard(shard, plan.now)
        tallies = tally_groups(snapshot)
        records = by_key(snapshot.pod_groups)
        verdicts = {verdict.pod_group: verdict for verdict in plan.verdicts}
        told = self._sentences.of_cycle(verdicts, self._publisher.now)
        with guard("queue_view", "all queues"):
            # What is to be said of the cluster as a whole, the shard says, or else one queue.
            spokesman = first_root(snapshot.queues) if shard.document is None else ""
            self._tell_queues(snapshot, plan, records, tallies, queues, spokesman)
        with guard("group_view", "all pod groups"):
            shown = {**verdicts, **{key: one.verdict for key, one in told.items()}}
            self._tell_groups(snapshot, replace(plan, verdicts=tuple(shown.values())), told, tallies, groups)
        with guard("pod_view", "all pods"):
            self._pods.tell_waiting(told, records, tallies, groups)
        self._tell_unreadable(snapshot.unreadable, queues, groups, plan.now)
        with guard("forgetting", "all objects"):
            self._publisher.forget_others(
                lambda: {pod.uid for pod in snapshot.pods} | _uids_of(queues) | _uids_of(groups)
            )

    def tell_outcome(self, outcome: CommandOutcome) -> None:
        """What became of one command; what was to be said of a gang that is refused is no longer true."""
        command = outcome.command
        with self._contained.guard("outcome", type(command).__name__):
            self._pods.tell_outcome(outcome)
        if not isinstance(command, BindGang) or outcome.result is Result.DONE:
            return
        self._owed.add(command.pod_group)
        document = self._group_documents.get(command.pod_group)
        if document is not None:
            self._publisher.withdraw((POD_GROUPS.plural, document["metadata"]["uid"]))

    def tell_shard(self, shard: ShardNotice, now: float) -> None:
        """What is wrong in the SchedulingShard, and what of it is left out."""
        document = shard.document
        if document is None:
            return
        with self._contained.guard("shard_status", shard.name):
            status = shard_status(shard.problem, shard.remarks, document.get("status") or {}, now)
            status["conditions"] = self._pruning.said_on(status["conditions"], now)
            gist = (shard.problem, *shard.remarks, self._pruning.definitions)
            self._statuses.tell(SHARDS, shard.name, document, status, gist, GROUP_CALM)

    def _tell_queues(
        self,
        snapshot: ClusterSnapshot,
        plan: Plan,
        records: Mapping[PodGroupKey, PodGroup],
        tallies: Mapping[PodGroupKey, GroupTally],
        documents: Mapping[str, Document],
        spokesman: str,
    ) -> None:
        view = view_queues(snapshot, plan, records, tallies)
        for queue in snapshot.queues:
            document = documents.get(queue.name)
            if document is None:
                continue
            is_spokesman = queue.name == spokesman
            with self._contained.guard("queue_status", queue.name) as attempt:
                self._tell_queue(QueueName(queue.name), document, view, plan.now, is_spokesman=is_spokesman)
            if attempt.failure:
                self._telling_failed(QUEUES, queue.name, document, attempt.failure, plan.now)

    def _tell_queue(
        self, name: QueueName, document: Document, view: QueueView, now: float, *, is_spokesman: bool
    ) -> None:
        status = queue_status(name, view, document.get("status") or {}, now)
        if is_spokesman:
            status["conditions"] = self._pruning.said_on(status["conditions"], now)
        else:
            status["conditions"] = without_it(status["conditions"])
        said = [entry["status"] for entry in status["conditions"] if entry.get("type") == PRUNED]
        gist = (view.tree.problems.get(name), status["kaiSched"]["waitingReason"], *said)
        self._statuses.tell(QUEUES, name, document, status, gist, QUEUE_CALM)

    def _tell_groups(
        self,
        snapshot: ClusterSnapshot,
        plan: Plan,
        told: Mapping[PodGroupKey, Told],
        tallies: Mapping[PodGroupKey, GroupTally],
        documents: Mapping[str, Document],
    ) -> None:
        records = by_key(snapshot.pod_groups)
        verdicts = {verdict.pod_group: verdict for verdict in plan.verdicts}
        cycle = _GroupCycle(
            shares={share.queue: share for share in plan.shares},
            resources=GroupResources(snapshot, self._device_counts),
            now=plan.now,
            node_pool=self._voice.node_pool,
            contained=self._contained,
        )
        due, self._owed = {*verdicts, *self._owed, *self._told_groups}, set()
        for key in due:
            record, document = records.get(key), documents.get(key)
            if record is None or document is None:
                continue
            is_told = False
            with self._contained.guard("podgroup_status", key) as attempt:
                status = cycle.status(record, tallies.get(key, NOBODY), verdicts.get(key), document)
                is_told = self._tell_group(key, document, status, verdicts.get(key), told.get(key))
            if attempt.failure:
                self._telling_failed(POD_GROUPS, key, document, attempt.failure, plan.now)
            if not is_told:
                self._owed.add(key)
        self._told_groups = {key for key, verdict in verdicts.items() if is_waiting(verdict)}

    def _tell_group(
        self,
        key: PodGroupKey,
        document: Document,
        status: Document,
        verdict: Verdict | None,
        told: Told | None,
    ) -> bool:
        # A sentence has waited for its turn already; amounts and counts wait here.
        is_new_sentence = told is not None and told.at == self._publisher.now
        calm = Calm(0.0 if is_new_sentence else GROUP_CALM.seconds, patience_for(verdict))
        return self._statuses.tell(POD_GROUPS, key, document, status, _group_gist(verdict), calm)

    def _telling_failed(
        self, resource: Resource, key: str, document: Document, failure: str, now: float
    ) -> None:
        """Have the object say at least that."""
        with self._contained.guard("failure_status", key):
            status = failed_status(failure, document.get("status") or {}, now)
            self._statuses.tell(resource, key, document, status, ("failed", failure), GROUP_CALM)

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
            with self._contained.guard("unreadable_status", problem.key):
                text = f"{problem.field}: {problem.reason}" if problem.field else problem.reason
                status = invalid_status(text, document.get("status") or {}, now)
                self._statuses.tell(resource, problem.key, document, status, ("unreadable", text), GROUP_CALM)


@dataclass(frozen=True, slots=True)
class _GroupCycle:
    """What the statuses of one cycle's pod groups have in common."""

    shares: Mapping[QueueName, QueueShare]
    resources: GroupResources
    now: float
    node_pool: str
    contained: Contained

    def status(
        self, record: PodGroup, tally: GroupTally, verdict: Verdict | None, document: Document
    ) -> Document:
        """The whole status of one group."""
        present = document.get("status") or {}
        status = group_status(record, tally, verdict, self.shares, present, self.now, self.node_pool)
        with self.contained.guard("resources", record.key):
            status["resourcesStatus"] = self.resources.status_of(record, tally)
        return status


def _uids_of(documents: Mapping[str, Document]) -> set[str]:
    return {document["metadata"]["uid"] for document in documents.values()}


def _group_gist(verdict: Verdict | None) -> Hashable:
    return None if verdict is None else (verdict.outcome, verdict.blocker)
