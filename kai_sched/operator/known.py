"""The mirror as the binder sees it: last documents of claims, and what broke while a command was under way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kai_sched.cluster.mirror import Mirror
from kai_sched.cluster.ports import Document
from kai_sched.devices.standing import PublishedDevices
from kai_sched.model.ids import ClaimKey, PodKey
from kai_sched.model.plan import Placement


class MirrorKnowledge:
    """Answers the binder from the watches, without a call."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._published = PublishedDevices((), ())
        self._published_at = (-1, -1)

    def claim_document(self, claim: ClaimKey) -> Document | None:
        return self._mirror.stock.claims.documents.get(claim)

    def broken_preconditions(self, placements: Iterable[Placement]) -> Mapping[PodKey, str]:
        pods, nodes = self._mirror.pods.records, self._mirror.stock.nodes.records
        broken: dict[PodKey, str] = {}
        for placement in placements:
            pod = pods.get(placement.pod)
            if pod is None or pod.uid != placement.uid:
                broken[placement.pod] = f"pod {placement.pod} is gone"
            elif pod.releasing_since is not None:
                broken[placement.pod] = f"pod {placement.pod} is being deleted"
            elif placement.node not in nodes:
                broken[placement.pod] = f"node {placement.node} of pod {placement.pod} is gone"
        return broken

    def broken_devices(self, placements: Iterable[Placement]) -> Mapping[PodKey, str]:
        broken: dict[PodKey, str] = {}
        nodes = self._mirror.stock.nodes.records
        for placement in placements:
            node = nodes.get(placement.node)
            if node is None:
                continue
            for part in placement.claims:
                if part.allocation is not None and (
                    problem := self._devices().problem(node, part.allocation.results)
                ):
                    broken[placement.pod] = f"claim {part.claim}: {problem}"
        return broken

    def others_take_devices(self) -> bool:
        return self._mirror.device_book.others_take_devices

    def shows_claims(self, placements: Iterable[Placement]) -> bool:
        claims = self._mirror.stock.claims.records
        for placement in placements:
            for part in placement.claims:
                claim = claims.get(part.claim)
                if claim is None or claim.allocation is None:
                    return False
                if all(consumer.uid != placement.uid for consumer in claim.reserved_for):
                    return False
        return True

    def doubly_given(self, placements: Iterable[Placement]) -> Mapping[PodKey, str]:
        book = self._mirror.device_book
        found: dict[PodKey, str] = {}
        for placement in placements:
            for part in placement.claims:
                if part.allocation is None:
                    continue
                if other := book.other_holder(part.claim, part.allocation.results):
                    found[placement.pod] = f"claim {part.claim}: {other}"
        return found

    def _devices(self) -> PublishedDevices:
        stock = self._mirror.stock
        versions = (stock.slices.version, stock.taint_rules.version)
        if versions != self._published_at:
            self._published = PublishedDevices(stock.slices.in_order(), stock.taint_rules.in_order())
            self._published_at = versions
        return self._published
