"""Evictions: whether everybody who is made to leave may be, and leaves for somebody who gets a place by it. Counted anew.

Judged in the order of service, as rights shrink with what was taken: what the plan binds is held first; then, gang after
gang, those leave who leave for it, and it takes its place. Fair shares are those that the plan itself tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from kai_sched.model.devices import Claim
from kai_sched.model.ids import ClaimKey, PodGroupKey, PodKey, QueueName
from kai_sched.model.plan import Eviction, Placement, Plan
from kai_sched.model.policy import Policy, StageName
from kai_sched.model.queues import QUOTA_RESOURCES, UNLIMITED, Queue, QuotaVector
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import ACTIVE, Pod, PodGroup
from kai_sched.placement.checker import Violation, ViolationKind
from kai_sched.planning.checks.amounts import Amounts
from kai_sched.planning.checks.holdings import Ledgers
from kai_sched.planning.checks.payers import Payers, upwards

_SLACK: Final = 1e-6


def check_evictions(
    snapshot: ClusterSnapshot, policy: Policy, plan: Plan, amounts: Amounts
) -> Iterator[Violation]:
    """Everything that is wrong with who leaves for whom."""
    if not plan.evictions:
        return
    trial = _Trial.open(snapshot, policy, plan, amounts)
    left_for: dict[PodGroupKey | None, list[Eviction]] = {}
    for eviction in plan.evictions:
        left_for.setdefault(eviction.beneficiary, []).append(eviction)
    # Who waits for room is told in the order in which it was served.
    for key in dict.fromkeys(one.pod_group for one in plan.pipelined):
        if key in left_for:
            yield from trial.judge(key, left_for.pop(key))
        trial.charge(key)
    for beneficiary, evictions in left_for.items():
        yield from trial.judge(beneficiary, evictions)


@dataclass(slots=True)
class _Trial:
    snapshot: ClusterSnapshot
    policy: Policy
    amounts: Amounts
    payers: Payers
    queues: Mapping[QueueName, Queue]
    groups: Mapping[PodGroupKey, PodGroup]
    pods: Mapping[PodKey, Pod]
    claims: Mapping[ClaimKey, Claim]
    fair: Mapping[QueueName, QuotaVector]
    placed: Mapping[PodGroupKey, Sequence[Placement]]
    held: dict[QueueName, QuotaVector]
    users: dict[ClaimKey, set[PodKey]]
    """Active pods that hold a claim still."""
    members: Mapping[PodGroupKey, set[PodKey]]
    """Active pods of a group still; changes as they leave."""

    @classmethod
    def open(cls, snapshot: ClusterSnapshot, policy: Policy, plan: Plan, amounts: Amounts) -> _Trial:
        payers = Payers(snapshot, policy)
        before = replace(plan, evictions=(), pipelined=())
        queues = {queue.name: queue for queue in snapshot.queues}
        held: dict[QueueName, QuotaVector] = {}
        for place, vector in Ledgers(snapshot, before, amounts, payers).after().items():
            for name in upwards(place.queue, queues):
                held[name] = held.get(name, QuotaVector()) + vector
        users: dict[ClaimKey, set[PodKey]] = {}
        members: dict[PodGroupKey, set[PodKey]] = {}
        for pod in snapshot.pods:
            if pod.state in ACTIVE and pod.group is not None:
                members.setdefault(pod.group, set()).add(pod.key)
                for key in pod.claim_keys:
                    users.setdefault(key, set()).add(pod.key)
        placed: dict[PodGroupKey, list[Placement]] = {}
        for one in plan.pipelined:
            placed.setdefault(one.pod_group, []).append(one)
        return cls(
            snapshot=snapshot,
            policy=policy,
            amounts=amounts,
            payers=payers,
            queues=queues,
            groups={group.key: group for group in snapshot.pod_groups},
            pods={pod.key: pod for pod in snapshot.pods},
            claims={claim.key: claim for claim in snapshot.claims},
            fair={share.queue: share.fair_share for share in plan.shares},
            placed=placed,
            held=held,
            users=users,
            members=members,
        )

    def judge(self, key: PodGroupKey | None, evictions: Sequence[Eviction]) -> Iterator[Violation]:
        """One beneficiary with all who leave for it."""
        taker = self.groups.get(key) if key is not None else None
        if key is None or taker is None:
            yield _wrong(evictions[0], "leaves for nobody that is known")
            return
        if not self.placed.get(key):
            yield _wrong(evictions[0], f"leaves for {key}, which gets no place by it")
        request = self._request_of(key)
        lost: dict[QueueName, QuotaVector] = {}
        for victim, pods in groupby(evictions, key=lambda one: one.pod_group):
            yield from self._judge_victim(taker, request, self.groups.get(victim), list(pods), lost)
        if evictions[0].stage is StageName.RECLAIM:
            yield from self._judge_balance(taker, request, lost)

    def charge(self, key: PodGroupKey) -> None:
        """A gang has its place."""
        group = self.groups.get(key)
        request = self._request_of(key)
        for name in upwards(group.queue if group is not None else None, self.queues):
            self.held[name] = self.held.get(name, QuotaVector()) + request

    def _judge_victim(
        self,
        taker: PodGroup,
        request: QuotaVector,
        victim: PodGroup | None,
        evictions: Sequence[Eviction],
        lost: dict[QueueName, QuotaVector],
    ) -> Iterator[Violation]:
        first = evictions[0]
        if victim is None or not victim.is_preemptible or victim.key == taker.key:
            yield _wrong(first, "belongs to no gang that may be taken back")
            return
        problem = self._may_not(taker, request, victim, first.stage)
        if problem:
            yield _wrong(first, problem)
        gone = {one.pod for one in evictions}
        left = self.members.get(victim.key, set()) - gone
        if not left and self._is_protected(taker, victim, first.stage):
            yield _wrong(first, f"{victim.key} has not run for as long as it may")
        for key in [one.pod for one in evictions if one.pod in self.pods]:
            self._let_go(self.pods[key], lost)

    def _may_not(self, taker: PodGroup, request: QuotaVector, victim: PodGroup, stage: StageName) -> str:
        theirs = self._queue_of(victim)
        if stage is StageName.PREEMPT:
            if theirs != taker.queue:
                return f"preempted for {taker.key} of another queue"
            return "" if victim.priority < taker.priority else f"is worth no less than {taker.key}"
        if stage is not StageName.RECLAIM:
            return f"leaves in stage {stage.value}, which makes nobody leave"
        sides = self._sides(taker.queue, theirs)
        if sides is None:
            return f"is reclaimed for {taker.key} of its own queue"
        if self._is_above(self._sum(taker.queue, request), self.fair.get(taker.queue, QuotaVector())):
            return f"leaves for {taker.key}, with which queue {taker.queue} is above its fair share"
        mine, other = sides
        held = self.held.get(other, QuotaVector())
        if self._is_above(held, self._allocatable(other)):
            return ""
        is_owed = not self._is_above(self._sum(mine, request), self._deserved(mine))
        if is_owed and self._is_above(held, self._deserved(other)):
            return ""
        return f"queue {other} holds no more than its share, none of it may be taken for {taker.key}"

    def _judge_balance(
        self, taker: PodGroup, request: QuotaVector, lost: Mapping[QueueName, QuotaVector]
    ) -> Iterator[Violation]:
        for name in upwards(taker.queue, self.queues):
            mine = self._sum(name, request)
            for sibling in self.queues.values():
                taken = lost.get(sibling.name)
                if taken is None or sibling.name == name or sibling.parent != self.queues[name].parent:
                    continue
                theirs = self.held.get(sibling.name, QuotaVector())
                for resource in QUOTA_RESOURCES:
                    own, other = self.fair[name].get(resource), self.fair[sibling.name].get(resource)
                    if taken.get(resource) <= 0 or other <= 0 or mine.get(resource) <= own * (1 + _SLACK):
                        continue
                    ratio = mine.get(resource) / own if own > 0 else float("inf")
                    if ratio * self.policy.saturation_multiplier > theirs.get(resource) / other + _SLACK:
                        text = f"uses more of its fair share of {resource.value} than {sibling.name}, which loses some"
                        yield Violation(ViolationKind.EVICTION, name, text)

    def _is_protected(self, taker: PodGroup, victim: PodGroup, stage: StageName) -> bool:
        if not self.policy.min_runtime or victim.last_start_at is None:
            return False
        theirs = list(upwards(self._queue_of(victim), self.queues))
        if stage is StageName.PREEMPT:
            set_by = [self.queues[name].preempt_min_runtime_seconds for name in theirs]
            default = self.policy.preempt_min_runtime_seconds
        else:
            above = set(upwards(taker.queue, self.queues))
            own = [name for name in theirs if name not in above][-1:]
            shared = [name for name in theirs if name in above]
            set_by = [self.queues[name].reclaim_min_runtime_seconds for name in (*own, *shared)]
            default = self.policy.reclaim_min_runtime_seconds
        seconds = next((one for one in set_by if one is not None), default)
        return self.snapshot.now < victim.last_start_at + seconds

    def _let_go(self, pod: Pod, lost: dict[QueueName, QuotaVector]) -> None:
        if pod.group is not None:
            self.members.get(pod.group, set()).discard(pod.key)
        freed = self.amounts.of_pod(pod, pod.node)
        for key in pod.claim_keys:
            self.users.get(key, set()).discard(pod.key)
            claim = self.claims.get(key)
            if claim is not None and claim.allocation is not None and not self.users.get(key):
                freed += QuotaVector(
                    gpu=self.amounts.of_devices(
                        claim.spec, claim.allocation, pod.node, self.amounts.counted_by_name(pod)
                    )
                )
        for name in upwards(self.payers.place_of(pod).queue, self.queues):
            self.held[name] = self.held.get(name, QuotaVector()) - freed
            lost[name] = lost.get(name, QuotaVector()) + freed

    def _request_of(self, key: PodGroupKey) -> QuotaVector:
        total = QuotaVector()
        for placement in self.placed.get(key, ()):
            pod = self.pods.get(placement.pod)
            if pod is None:
                continue
            total += self.amounts.of_pod(pod, placement.node)
            for entry in placement.claims:
                claim = self.claims.get(entry.claim)
                if claim is not None and entry.allocation is not None:
                    total += QuotaVector(
                        gpu=self.amounts.of_devices(
                            claim.spec, entry.allocation, placement.node, self.amounts.counted_by_name(pod)
                        )
                    )
        return total

    def _queue_of(self, group: PodGroup) -> QueueName:
        pod = next((self.pods[key] for key in sorted(self.members.get(group.key, ()))), None)
        return group.queue if pod is None else self.payers.place_of(pod).queue

    def _sides(self, taker: QueueName, holder: QueueName) -> tuple[QueueName, QueueName] | None:
        mine, theirs = list(upwards(taker, self.queues)), list(upwards(holder, self.queues))
        own = [name for name in mine if name not in theirs]
        other = [name for name in theirs if name not in mine]
        return (own[-1], other[-1]) if own and other else None

    def _sum(self, name: QueueName, request: QuotaVector) -> QuotaVector:
        return self.held.get(name, QuotaVector()) + request

    def _deserved(self, name: QueueName) -> QuotaVector:
        return QuotaVector(*(self.queues[name].resource(one).deserved for one in QUOTA_RESOURCES))

    def _allocatable(self, name: QueueName) -> QuotaVector:
        queue, fair = self.queues[name], self.fair.get(name, QuotaVector())
        found: list[float] = []
        for one in QUOTA_RESOURCES:
            quota = queue.resource(one)
            share = max(quota.deserved, fair.get(one)) if quota.deserved != UNLIMITED else UNLIMITED
            if quota.limit != UNLIMITED:
                share = quota.limit if share == UNLIMITED else min(share, quota.limit)
            found.append(share)
        return QuotaVector(*found)

    @staticmethod
    def _is_above(amount: QuotaVector, bound: QuotaVector) -> bool:
        """In some resource."""
        return any(
            bound.get(one) != UNLIMITED
            and amount.get(one) > bound.get(one) + _SLACK * max(1.0, abs(bound.get(one)))
            for one in QUOTA_RESOURCES
        )


def _wrong(eviction: Eviction, message: str) -> Violation:
    return Violation(ViolationKind.EVICTION, eviction.pod, message)
