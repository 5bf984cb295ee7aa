"""What the pods of a group hold and ask for: ``status.resourcesStatus``, as KAI's pod group controller writes it.

Every pod that has not ended asks; those that have a node hold, also while they are being deleted. Resources are keyed
as pods name them, devices of claims by their class, as far as it counts as GPUs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from functools import cached_property
from typing import Final

from kai_sched.api.keys import WAITED_GPU_MEMORY, WHOLE_GPU
from kai_sched.api.quantities import text_of
from kai_sched.cluster.ports import Document
from kai_sched.model.devices import Claim
from kai_sched.model.ids import ClaimKey, NodeName
from kai_sched.model.nodes import Node
from kai_sched.model.resources import PODS
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import GpuShare, Pod, PodGroup, PodSpec
from kai_sched.operator.claim_counts import ClassCounts, Sums, add
from kai_sched.operator.tally import GroupTally

_DECIMALS: Final = 3
_WHOLE: Final = 1000
"""Thousandths."""


class GroupResources:
    """One cycle's answers; what it needs of the snapshot is looked up when a group asks for it first."""

    def __init__(self, snapshot: ClusterSnapshot, counts: ClassCounts) -> None:
        self._snapshot = snapshot
        self._counts = counts
        counts.use(snapshot.fleet)

    def status_of(self, group: PodGroup, tally: GroupTally) -> Document:
        """The three lists; None where there is nothing to list."""
        placed = [pod for pod in tally.holding if pod.node is not None]
        allocated = _resource_list(self._sum(placed, is_held=True))
        return {
            "allocated": allocated,
            "allocatedNonPreemptible": None if group.is_preemptible else allocated,
            "requested": _resource_list(self._sum([*tally.holding, *tally.waiting], is_held=False)),
        }

    def _sum(self, pods: Iterable[Pod], *, is_held: bool) -> Sums:
        pods = tuple(pods)
        sums: Sums = {}
        specs: dict[int, list[Pod]] = {}
        for pod in pods:
            specs.setdefault(id(pod.spec), []).append(pod)
        for alike in specs.values():
            spec = alike[0].spec
            _add_requests(sums, spec, len(alike))
            if spec.gpu_share is not None:
                for pod in alike:
                    self._add_share(sums, spec.gpu_share, pod.node if is_held else None)
        for claim in self._claims_of(pods):
            for name, count in self._counts.of_claim(claim).items():
                add(sums, name, count)
        for claim, part in self._parts_of(pods):
            for name, count in self._counts.of_claim(claim).items():
                add(sums, name, count * part)
        return sums

    def _add_share(self, sums: Sums, share: GpuShare, node_name: NodeName | None) -> None:
        if share.portion_micros:
            add(sums, WHOLE_GPU, Fraction(share.devices * share.portion_micros, 10**6))
            return
        node = self._nodes.get(node_name) if node_name is not None else None
        if node is not None and node.gpu_memory_mib:
            add(sums, WHOLE_GPU, Fraction(share.devices * share.memory_mib, node.gpu_memory_mib))
        else:
            add(sums, WAITED_GPU_MEMORY, Fraction(share.devices * share.memory_mib))

    def _claims_of(self, pods: Iterable[Pod]) -> list[Claim]:
        """Each claim once, those made for extended resources never: the pods' requests name them already."""
        own: dict[ClaimKey, Claim] = {}
        shared: dict[ClaimKey, Claim] = {}
        uids: set[str] = set()
        for pod in pods:
            uids.add(pod.uid)
            for ref in pod.claims:
                claim = self._claims.get(ref.claim) if ref.claim is not None else None
                if claim is not None and not claim.is_extended_resource and not claim.parts_millis:
                    (own if ref.is_own else shared)[claim.key] = claim
        # Shared with another group: it counts where it was reserved first.
        mine = [
            claim for claim in shared.values() if not claim.reserved_for or claim.reserved_for[0].uid in uids
        ]
        return [*own.values(), *mine]

    def _parts_of(self, pods: Iterable[Pod]) -> Iterator[tuple[Claim, Fraction]]:
        """Claims that are shared by parts, with the part of each pod: all of it where the book does not know it."""
        for pod in pods:
            for ref in pod.claims:
                claim = self._claims.get(ref.claim) if ref.claim is not None else None
                if claim is not None and claim.parts_millis:
                    part = dict(claim.parts_millis).get(pod.share_ticket, _WHOLE)
                    yield claim, Fraction(part, _WHOLE)

    @cached_property
    def _claims(self) -> Mapping[ClaimKey, Claim]:
        return {claim.key: claim for claim in self._snapshot.claims}

    @cached_property
    def _nodes(self) -> Mapping[NodeName, Node]:
        return {node.name: node for node in self._snapshot.fleet.nodes}


def _add_requests(sums: Sums, spec: PodSpec, pods: int) -> None:
    for name, amount in spec.requests:
        if name != PODS:
            add(sums, name, Fraction(amount * pods))


def _resource_list(sums: Sums) -> Document | None:
    return {name: _text(name, sums[name]) for name in sorted(sums)} or None


def _text(name: str, amount: Fraction) -> str:
    if amount.denominator == 1:
        return text_of(name, amount.numerator)
    return f"{float(amount):.{_DECIMALS}f}".rstrip("0").rstrip(".")
