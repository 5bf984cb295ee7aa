"""Holdings: what every queue's pods hold before a plan, and what they hold after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from kai_sched.model.devices import Claim, ClaimAllocation
from kai_sched.model.ids import ClaimKey, NodeName
from kai_sched.model.plan import Plan
from kai_sched.model.queues import QuotaVector
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import ACTIVE, Pod
from kai_sched.planning.checks.amounts import Amounts
from kai_sched.planning.checks.payers import Payers, Place

Holdings = Mapping[Place, QuotaVector]
Charge = tuple[Place, QuotaVector]


class Ledgers:
    """The pods and claims of a snapshot and a plan, laid out for counting."""

    def __init__(self, snapshot: ClusterSnapshot, plan: Plan, amounts: Amounts, payers: Payers) -> None:
        self._amounts = amounts
        self._payers = payers
        self._claims = {claim.key: claim for claim in snapshot.claims}
        self._here = [pod for pod in snapshot.pods if pod.group is not None and pod.state in ACTIVE]
        self._gone = {eviction.pod for eviction in plan.evictions}
        pods = {pod.key: pod for pod in snapshot.pods} if plan.binds or plan.pipelined else {}
        placements = {one.pod: one for one in plan.binds + plan.pipelined if one.pod in pods}
        self._new = [(pods[key], one.node) for key, one in placements.items() if pods[key].group is not None]
        self._planned: dict[ClaimKey, ClaimAllocation] = {
            entry.claim: entry.allocation
            for one in placements.values()
            for entry in one.claims
            if entry.allocation is not None
        }
        self._made = {
            entry.claim: (pods[one.pod], one.node, entry.creation.spec, entry.allocation)
            for one in placements.values()
            for entry in one.claims
            if entry.creation is not None and entry.allocation is not None and entry.claim not in self._claims
        }

    def before(self) -> Holdings:
        """What is held now."""
        held: dict[Place, QuotaVector] = defaultdict(QuotaVector)
        for place, vector in self._charges([(pod, pod.node) for pod in self._here], {}):
            held[place] += vector
        return held

    def after(self) -> Holdings:
        """What is held once the plan is carried out."""
        staying = [(pod, pod.node) for pod in self._here if pod.key not in self._gone]
        held: dict[Place, QuotaVector] = defaultdict(QuotaVector)
        for place, vector in self._charges([*staying, *self._new], self._planned):
            held[place] += vector
        for pod, node, spec, allocation in self._made.values():
            gpus = self._amounts.of_devices(spec, allocation, node, self._amounts.counted_by_name(pod))
            held[self._payers.place_of(pod)] += QuotaVector(gpu=gpus)
        return held

    def places_of_newcomers(self) -> set[Place]:
        """Where the plan adds."""
        return {self._payers.place_of(pod) for pod, _ in self._new}

    def _charges(
        self,
        holders: Sequence[tuple[Pod, NodeName | None]],
        planned: Mapping[ClaimKey, ClaimAllocation],
    ) -> Iterator[Charge]:
        users: dict[ClaimKey, list[tuple[Pod, NodeName | None]]] = {}
        for pod, node in holders:
            yield self._payers.place_of(pod), self._amounts.of_pod(pod, node)
            for key in pod.claim_keys:
                users.setdefault(key, []).append((pod, node))
        for key, mine in users.items():
            claim = self._claims.get(key)
            allocation = None if claim is None else claim.allocation or planned.get(key)
            if claim is not None and allocation is not None:
                yield from self._charges_of_claim(claim, allocation, mine)

    def _charges_of_claim(
        self, claim: Claim, allocation: ClaimAllocation, users: Sequence[tuple[Pod, NodeName | None]]
    ) -> Iterator[Charge]:
        first, node = users[0]
        but = self._amounts.counted_by_name(first) if claim.is_extended_resource else ()
        gpus = self._amounts.of_devices(claim.spec, allocation, node, but)
        if not claim.parts_millis:
            payer = self._payers.payer(claim, [pod for pod, _ in users])
            yield self._payers.place_of(payer), QuotaVector(gpu=gpus)
            return
        part_of = dict(claim.parts_millis)
        for pod, _ in users:
            part = part_of.get(pod.share_ticket, 1000)
            yield self._payers.place_of(pod), QuotaVector(gpu=gpus * part / 1000)
