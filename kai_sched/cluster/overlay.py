"""Commands in flight, laid over what the watches have shown: the next cycle already counts what we are writing.

Every entry ends by evidence, never by time: a pod's when it is seen with a node or is gone, a claim's
reservation when the claim is seen with it, or is gone, or its pod has ended. ``forget`` ends what failed.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace

from kai_sched.model.commands import BindGang
from kai_sched.model.devices import Claim, ClaimAllocation, Consumer
from kai_sched.model.ids import ClaimKey, NodeName, PodKey, Uid
from kai_sched.model.plan import Placement
from kai_sched.model.workloads import Pod, PodState

_ENDED = frozenset({PodState.SUCCEEDED, PodState.FAILED})


@dataclass(slots=True)
class _AssumedClaim:
    """A claim as we are about to write it."""

    uid: Uid
    allocation: ClaimAllocation | None
    consumers: dict[PodKey, Consumer] = field(default_factory=dict)


class Overlay:
    """Placements of commands that run."""

    def __init__(self) -> None:
        self._pods: dict[PodKey, Placement] = {}
        self._claims: dict[ClaimKey, _AssumedClaim] = {}
        self._made: dict[ClaimKey, tuple[PodKey, Claim]] = {}
        """Claims that a command makes itself, and for which pod."""
        self.version = 0
        """Changes whenever a view could."""

    def __len__(self) -> int:
        return len(self._pods) + len(self._claims) + len(self._made)

    def node_of(self, key: PodKey) -> NodeName | None:
        """The node that the pod is being bound to."""
        placement = self._pods.get(key)
        return None if placement is None else placement.node

    def assume(self, command: BindGang, pods: Mapping[PodKey, Pod], claims: Mapping[str, Claim]) -> None:
        """Count these placements as made, except where they are seen already or can no longer be."""
        for placement in command.placements:
            pod = pods.get(placement.pod)
            if pod is None or pod.uid != placement.uid or pod.state in _ENDED:
                continue
            if pod.node is None:
                self._pods[placement.pod] = placement
            self._assume_claims(placement, claims)
        self.version += 1

    def forget(self, pods: Iterable[PodKey]) -> None:
        """These pods are not being bound any more: the command failed or was given up."""
        for key in pods:
            self._pods.pop(key, None)
            self._drop_consumer(key)
            self._drop_made(key)
        self.version += 1

    def pod_seen(self, key: PodKey, pod: Pod | None) -> None:
        """The watch shows this pod, or (None) that it is gone."""
        alive = None if pod is None or pod.state in _ENDED else pod.uid
        placement = self._pods.get(key)
        if placement is not None and (alive != placement.uid or pod is None or pod.node is not None):
            del self._pods[key]
            self.version += 1
        if self._claims:
            self._drop_consumer(key, unless=alive)
        if self._made and alive is None:
            self._drop_made(key)

    def claim_seen(self, key: ClaimKey, claim: Claim | None) -> None:
        """The watch shows this claim, or (None) that it is gone."""
        if key in self._made and (claim is None or claim.allocation is not None):
            del self._made[key]
            self.version += 1
        assumed = self._claims.get(key)
        if assumed is None:
            return
        self.version += 1
        if claim is None or claim.uid != assumed.uid:
            del self._claims[key]
            return
        reserved = {consumer.uid for consumer in claim.reserved_for}
        left = {pod: consumer for pod, consumer in assumed.consumers.items() if consumer.uid not in reserved}
        assumed.consumers = left
        if not left:
            del self._claims[key]

    def pod_view(self, pod: Pod) -> Pod:
        """The pod with its assumed node, if it has one."""
        placement = self._pods.get(pod.key)
        if placement is None or placement.uid != pod.uid:
            return pod
        state = PodState.BINDING if pod.state in {PodState.PENDING, PodState.GATED} else pod.state
        return replace(
            pod,
            state=state,
            node=placement.node,
            gpu_groups=placement.gpu_groups or pod.gpu_groups,
            gpu_indices=placement.gpu_indices or pod.gpu_indices,
        )

    def claims_made(self, seen: Container[str]) -> list[Claim]:
        """Claims that commands are making and nobody has seen yet."""
        return [claim for key, (_, claim) in self._made.items() if key not in seen]

    def claim_view(self, claim: Claim) -> Claim:
        """The claim with its assumed allocation and consumers; an allocation that is seen stands."""
        made = self._made.get(claim.key)
        if made is not None:
            return replace(claim, allocation=made[1].allocation, reserved_for=made[1].reserved_for)
        assumed = self._claims.get(claim.key)
        if assumed is None or assumed.uid != claim.uid:
            return claim
        held = {consumer.uid for consumer in claim.reserved_for}
        more = tuple(consumer for consumer in assumed.consumers.values() if consumer.uid not in held)
        return replace(
            claim,
            allocation=claim.allocation if claim.allocation is not None else assumed.allocation,
            reserved_for=(*claim.reserved_for, *more),
        )

    def _assume_claims(self, placement: Placement, claims: Mapping[str, Claim]) -> None:
        consumer = Consumer("pods", placement.pod.partition("/")[2], placement.uid)
        for part in placement.claims:
            if part.creation is not None:
                made = Claim(
                    key=part.claim,
                    uid=part.uid,
                    spec=part.creation.spec,
                    allocation=part.allocation,
                    reserved_for=(consumer,),
                    owner_uid=placement.uid,
                    is_extended_resource=True,
                )
                self._made[part.claim] = (placement.pod, made)
                continue
            claim = claims.get(part.claim)
            if claim is None or claim.uid != part.uid:
                continue
            if any(known.uid == placement.uid for known in claim.reserved_for):
                continue
            assumed = self._claims.setdefault(part.claim, _AssumedClaim(part.uid, None))
            assumed.consumers[placement.pod] = consumer
            if part.allocation is not None:
                assumed.allocation = part.allocation

    def _drop_made(self, pod: PodKey) -> None:
        for key, (maker, _) in list(self._made.items()):
            if maker == pod:
                del self._made[key]

    def _drop_consumer(self, pod: PodKey, unless: Uid | None = None) -> None:
        """End the reservations of this pod; not those of the uid that lives."""
        for key, assumed in list(self._claims.items()):
            consumer = assumed.consumers.get(pod)
            if consumer is None or consumer.uid == unless:
                continue
            del assumed.consumers[pod]
            if not assumed.consumers:
                del self._claims[key]
            self.version += 1
