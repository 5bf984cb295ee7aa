"""Accounting: what pods hold and ask for, in the units that quotas speak of.

gpu counts whole GPUs of device plugins, MIG resources by their g, parts of shared GPUs, and the devices of claims
(``gpu_counting``). A claim that several pods share counts once; unless it is shared by parts
(``Claim.parts_millis``): then each pod counts its part. Which queue pays: ``charging``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy

from kai_sched.devices.extended import backing_classes
from kai_sched.devices.index import DeviceIndex
from kai_sched.fairness.shares import LeafUsage
from kai_sched.model.devices import Claim
from kai_sched.model.ids import ClaimKey, NodeName, QueueName
from kai_sched.model.integers import parse_int64
from kai_sched.model.nodes import Node
from kai_sched.model.policy import Policy
from kai_sched.model.queues import QuotaVector
from kai_sched.model.resources import CPU, MEMORY, Amounts
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import ACTIVE, HOLDS_ROOM, Pod, PodSpec, PodState
from kai_sched.planning.charging import Charging
from kai_sched.planning.gpu_counting import GpuCounting, gpu_counting, partition_size

_BYTES_PER_MB = 1_000_000
_GPU_WORKER_LABEL = "node-role.kubernetes.io/gpu-worker"
_UTILITY_LABELS = frozenset({("app", "kai-resource-reservation"), ("app", "scaling-pod")})

_NOTHING = QuotaVector()
_NOWHERE: Mapping[int, NodeName] = {}

_Place = tuple[QueueName, bool, bool]
"""(queue, held rather than waited for, may be taken back)."""


class Accounting:
    """The account of one snapshot. Only ``note_placed`` changes it, and of that only later requests know."""

    def __init__(self, snapshot: ClusterSnapshot, policy: Policy, counting: GpuCounting) -> None:
        self._snapshot = snapshot
        self._policy = policy
        self._counting = counting
        self._charging = Charging(snapshot, policy)
        self._claims = {claim.key: claim for claim in snapshot.claims}
        self._nodes = {node.name: node for node in snapshot.fleet.nodes}
        memories = [node.gpu_memory_mib for node in snapshot.fleet.nodes if node.gpu_memory_mib > 0]
        self._smallest_gpu = min(memories, default=0)
        self._largest_gpu = max(memories, default=0)
        self._class_of_resource = self._classes_of_extended_resources()
        # Specs are shared and live as long as the snapshot: their identity is a cheap key.
        self._vectors: dict[int, QuotaVector] = {}
        self._claim_vectors: dict[int, QuotaVector] = {}
        self._payers: dict[ClaimKey, set[QueueName]] = {}
        """The queues of the pods of ours that hold a claim, running or placed in this cycle."""
        for pod in snapshot.pods:
            if pod.state in ACTIVE and pod.group is not None:
                self._note_holder(pod)
        self._held = frozenset(self._payers)

    @staticmethod
    def of(snapshot: ClusterSnapshot, policy: Policy, index: DeviceIndex) -> Accounting:
        """The account of a snapshot; ``index`` is that of its fleet."""
        return Accounting(snapshot, policy, gpu_counting(index, policy.gpu_classes))

    def usage(self) -> dict[QueueName, LeafUsage]:
        """What each queue's pods hold and wait for in the snapshot, without its descendants."""
        tally = _Tally()
        consumers: dict[ClaimKey, list[Pod]] = {}
        for pod in self._snapshot.pods:
            if pod.group is None or not (pod.state in ACTIVE or pod.state is PodState.PENDING):
                continue
            group = self._charging.group_of(pod)
            given_up = group.given_up_on and group.given_up_on == self._policy.node_pool
            if pod.state is PodState.PENDING and given_up:
                continue
            tally.add(self._place_of(pod), self._own_vector(pod))
            for key in pod.claim_keys:
                consumers.setdefault(key, []).append(pod)
        for key, pods in consumers.items():
            claim = self._claims.get(key)
            if claim is not None and claim.parts_millis:
                for pod in pods:
                    tally.add(self._place_of(pod), self._part_vector(claim, pod))
            elif claim is not None:
                holders = [pod for pod in pods if pod.state in ACTIVE]
                payer = self._charging.payer(claim, holders or pods)
                tally.add(self._place_of(payer), self._claim_vector(claim))
        return tally.by_queue()

    def _place_of(self, pod: Pod) -> _Place:
        queue, group = self._charging.queue_of(pod), self._charging.group_of(pod)
        return queue, pod.state in ACTIVE, group.is_preemptible

    def request_of(self, pods: Iterable[int], node_of: Mapping[int, NodeName] = _NOWHERE) -> QuotaVector:
        """What these pods (by position) would add to the account of their queue, on these nodes if they have any.

        A shared claim adds nothing once a pod that holds it is placed, unless its label makes this queue pay from then
        on; one that is shared by parts adds the part of each pod. GPU memory counts as a part of a GPU of the node,
        without a node of the smallest GPU.
        """
        return self._request(pods, {pod: self._gpu_memory_of(node) for pod, node in node_of.items()})

    def least_request_of(self, pods: Sequence[int]) -> QuotaVector:
        """What they would add at least, wherever they go: GPU memory as a part of the largest GPU."""
        return self._request(pods, dict.fromkeys(pods, self._largest_gpu))

    def depends_on_node(self, pods: Iterable[int]) -> bool:
        """Whether what they add depends on where they go."""
        shares = (self._snapshot.pods[position].spec.gpu_share for position in pods)
        return any(share is not None and share.memory_mib for share in shares)

    def _request(self, pods: Iterable[int], gpu_memory_of: Mapping[int, int]) -> QuotaVector:
        gpu = cpu = memory = 0.0
        claims: dict[ClaimKey, Claim] = {}
        for position in pods:
            pod = self._snapshot.pods[position]
            own = self._own_vector(pod, gpu_memory_of.get(position, 0))
            # Part by part: a gang may have thousands of pods, and a vector for each sum is work.
            gpu, cpu, memory = gpu + own.gpu, cpu + own.cpu, memory + own.memory
            for claim in self._claims_of(pod) if pod.claims else ():
                if claim.parts_millis:
                    gpu += self._part_vector(claim, pod).gpu
                elif self._pays_anew(claim, pod):
                    claims[claim.key] = claim
        return sum(map(self._claim_vector, claims.values()), QuotaVector(gpu, cpu, memory))

    def fork(self) -> Accounting:
        """The same account, from which the two go their own ways."""
        other: Accounting = copy(self)
        other._payers = {key: set(queues) for key, queues in self._payers.items()}
        return other

    def note_placed(self, pods: Iterable[int]) -> None:
        """From now on the claims of these pods are taken: requests for them add nothing."""
        for position in pods:
            self._note_holder(self._snapshot.pods[position])

    def _note_holder(self, pod: Pod) -> None:
        for key in pod.claim_keys:
            self._payers.setdefault(key, set()).add(self._charging.queue_of(pod))

    def _pays_anew(self, claim: Claim, pod: Pod) -> bool:
        """Whether a pod that takes a claim brings it to the account of its queue."""
        payers = self._payers.get(claim.key)
        if not payers:
            return True
        queue = self._charging.queue_of(pod)
        return queue == claim.queue_label and queue not in payers

    def quota_of_pod(self, pod: Pod) -> QuotaVector:
        """What a pod with its claims takes, as if it shared them with nobody."""
        return sum((self._part_vector(claim, pod) for claim in self._claims_of(pod)), self._own_vector(pod))

    def held_by(self, pods: Iterable[int], is_freed: Callable[[ClaimKey], bool]) -> QuotaVector:
        """What these running pods hold, with the claims that come free with them."""
        held = _NOTHING
        claims: dict[ClaimKey, Claim] = {}
        for position in pods:
            pod = self._snapshot.pods[position]
            held += self._own_vector(pod)
            for claim in self._claims_of(pod):
                if claim.parts_millis:
                    held += self._part_vector(claim, pod)
                elif is_freed(claim.key):
                    claims[claim.key] = claim
        return sum(map(self._claim_vector, claims.values()), held)

    def total_capacity(self) -> QuotaVector:
        """What there is to divide: ready nodes, less what pods of other schedulers take there."""
        ready = {node.name: node for node in self._snapshot.fleet.nodes if node.is_ready}
        total = sum((self._node_vector(node) for node in ready.values()), _NOTHING)
        total += QuotaVector(gpu=self._counting.on_node(None))
        held: dict[ClaimKey, Claim] = {}
        for pod in self._snapshot.pods:
            if pod.group is None and pod.state in HOLDS_ROOM and pod.node in ready and not _is_utility(pod):
                total -= self._own_vector(pod)
                held.update(
                    (claim.key, claim) for claim in self._claims_of(pod) if claim.key not in self._held
                )
        for claim in held.values():
            total -= self._claim_vector(claim)
        return total

    def _node_vector(self, node: Node) -> QuotaVector:
        amounts = dict(node.allocatable)
        gpus = self._plain_gpus(node.allocatable)
        published = self._counting.on_node(node.name)
        if self._policy.restrict_node_scheduling and node.label(_GPU_WORKER_LABEL) is None:
            gpus = published = 0.0
        return QuotaVector(
            _counted_once(node, self._policy.gpu_count_label, gpus, published),
            amounts.get(CPU, 0),
            amounts.get(MEMORY, 0) / _BYTES_PER_MB,
        )

    def _own_vector(self, pod: Pod, gpu_memory_mib: int = 0) -> QuotaVector:
        """A pod without its claims; pods with one spec share the answer where the node does not matter.

        ``gpu_memory_mib``: what a GPU has, of which the pod asks for memory; 0: as much as those of its node.
        """
        share = pod.spec.gpu_share
        if share is not None and share.memory_mib:
            memory = gpu_memory_mib or self._gpu_memory_of(pod.node)
            part = share.devices * share.memory_mib / memory if memory else float(share.devices)
            return self._spec_vector(pod.spec) + QuotaVector(gpu=part)
        known = self._vectors.get(id(pod.spec))
        if known is None:
            part = share.devices * share.portion_micros / 10**6 if share is not None else 0.0
            known = self._vectors[id(pod.spec)] = self._spec_vector(pod.spec) + QuotaVector(gpu=part)
        return known

    def _gpu_memory_of(self, node_name: NodeName | None) -> int:
        """The memory of a node's GPUs, else of the cluster's smallest."""
        node = self._nodes.get(node_name) if node_name is not None else None
        return (node.gpu_memory_mib if node is not None else 0) or self._smallest_gpu

    def _spec_vector(self, spec: PodSpec) -> QuotaVector:
        amounts = dict(spec.requests)
        return QuotaVector(
            self._plain_gpus(spec.requests) + self._class_backed_gpus(amounts),
            amounts.get(CPU, 0),
            amounts.get(MEMORY, 0) / _BYTES_PER_MB,
        )

    def _plain_gpus(self, amounts: Amounts) -> float:
        """GPUs of device plugins: whole ones, and partitions by their size."""
        pattern = self._policy.partition_resources
        whole = sum(amount for name, amount in amounts if name in self._policy.gpu_resources)
        return float(whole + sum(amount * partition_size(name, pattern) for name, amount in amounts))

    def _class_backed_gpus(self, amounts: Mapping[str, int]) -> float:
        """Extended resources that a device class stands for, unless they count as GPUs by name already."""
        return sum(
            amount * self._counting.of_class(self._class_of_resource[name])
            for name, amount in amounts.items()
            if name in self._class_of_resource
        )

    def _classes_of_extended_resources(self) -> dict[str, str]:
        return {
            resource: name
            for resource, name in backing_classes(self._snapshot.fleet.device_classes).items()
            if resource not in self._policy.gpu_resources
            and not partition_size(resource, self._policy.partition_resources)
        }

    def _claims_of(self, pod: Pod) -> Iterator[Claim]:
        """The pod's claims that exist; one made for extended resources counts by the pod's requests instead."""
        for key in pod.claim_keys:
            claim = self._claims.get(key)
            if claim is not None and not claim.is_extended_resource:
                yield claim

    def _claim_vector(self, claim: Claim) -> QuotaVector:
        if claim.is_extended_resource:
            return _NOTHING
        if claim.allocation is not None:
            return QuotaVector(gpu=self._counting.of_claim(claim))
        known = self._claim_vectors.get(id(claim.spec))
        if known is None:
            known = self._claim_vectors[id(claim.spec)] = QuotaVector(gpu=self._counting.of_claim(claim))
        return known

    def _part_vector(self, claim: Claim, pod: Pod) -> QuotaVector:
        """What of a claim is this pod's: its part by the claim's book, all of it where that does not know the pod."""
        whole = self._claim_vector(claim)
        part = dict(claim.parts_millis).get(pod.share_ticket)
        if part is None or claim.is_extended_resource:
            return whole
        return QuotaVector(gpu=whole.gpu * part / 1000)


class _Tally:
    """Sums of vectors by place. Counts equal objects first: pods of one spec bring the same one."""

    def __init__(self) -> None:
        self._counts: dict[_Place, dict[int, int]] = {}
        self._vectors: dict[int, QuotaVector] = {}

    def add(self, place: _Place, vector: QuotaVector) -> None:
        counts = self._counts.setdefault(place, {})
        key = id(vector)
        counts[key] = counts.get(key, 0) + 1
        self._vectors[key] = vector

    def by_queue(self) -> dict[QueueName, LeafUsage]:
        return {
            queue: LeafUsage(
                allocated=self._sum((queue, True, True)) + self._sum((queue, True, False)),
                allocated_non_preemptible=self._sum((queue, True, False)),
                pending=self._sum((queue, False, True)) + self._sum((queue, False, False)),
            )
            for queue in sorted({queue for queue, _, _ in self._counts})
        }

    def _sum(self, place: _Place) -> QuotaVector:
        total = _NOTHING
        for key, count in self._counts.get(place, {}).items():
            vector = self._vectors[key]
            total += QuotaVector(vector.gpu * count, vector.cpu * count, vector.memory * count)
        return total


def _counted_once(node: Node, label: str, plain: float, published: float) -> float:
    """GPUs of a node that both a device plugin and slices offer: the node's own count says if they are the same."""
    if plain and published:
        count = parse_int64(node.label(label) or "")
        if count is not None:
            return max(plain, published, min(plain + published, count))
    return plain + published


def _is_utility(pod: Pod) -> bool:
    """KAI's pods that stand for the work of others take nothing from the total.

    They hold a shared GPU, or make an autoscaler add a node.
    """
    return not _UTILITY_LABELS.isdisjoint(pod.spec.labels)
