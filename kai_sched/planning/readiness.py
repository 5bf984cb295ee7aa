"""Readiness of a pod's claims: each exists, can be read, belongs to the pod and stays, as do the devices it holds.

Source: kube-scheduler's dynamicresources PreEnqueue and PreFilter, resourceclaim.IsForPod.
"""

from __future__ import annotations

from kai_sched.devices.generations import PoolKey
from kai_sched.devices.index import DeviceIndex
from kai_sched.devices.results import pinned_node
from kai_sched.devices.taints import blocking_taint, matching_taints
from kai_sched.model.devices import Claim, ClaimAllocation, DeviceResult, ResourceSlice
from kai_sched.model.ids import ClaimKey
from kai_sched.model.selectors import Taint
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import Pod, PodClaimRef


class ClaimReadiness:
    """Says what a pod's claims lack."""

    def __init__(self, snapshot: ClusterSnapshot) -> None:
        self._claims: dict[ClaimKey, Claim] = {claim.key: claim for claim in snapshot.claims}
        self._fleet = snapshot.fleet
        self._half_made = {claim.owner_uid for claim in snapshot.claims if claim.is_extended_resource}
        """Pods for which an earlier attempt made a claim; a pod that waits must not have one."""
        self._slices: dict[PoolKey, list[ResourceSlice]] | None = None
        self._pools: dict[PoolKey, DeviceIndex] = {}
        self._unreadable = {
            problem.key: problem for problem in snapshot.unreadable if problem.kind == "ResourceClaim"
        }

    def is_placeable(self, pod: Pod) -> bool:
        """Whether nothing about the pod itself or its claims forbids to place it."""
        if pod.problem or (self._half_made and pod.uid in self._half_made):
            return False
        return not (pod.claims and (self.missing(pod) or self.spoilt(pod)))

    def missing(self, pod: Pod) -> str:
        """What the first unready claim of the pod lacks; empty where all are ready."""
        if pod.uid in self._half_made:
            return f"the claim that an earlier attempt made for pod {pod.key} is being taken back"
        return next(filter(None, (self._lack(pod, ref) for ref in pod.claims)), "")

    def spoilt(self, pod: Pod) -> str:
        """Which device of an allocated claim throws its users off, so that no new one may come; empty if none does."""
        claims = (self._claims.get(ref.claim) for ref in pod.claims if ref.claim is not None)
        return next(filter(None, (self.spoils(claim) for claim in claims if claim is not None)), "")

    def spoils(self, claim: Claim) -> str:
        """Which device of a claim throws its users off; empty if none does."""
        allocation = claim.allocation
        if allocation is None:
            return ""
        for result in allocation.results:
            for taint in self._taints(allocation, result):
                if taint.effect == "NoExecute" and blocking_taint((taint,), result.tolerations) is not None:
                    text = f"{taint.key}={taint.value}" if taint.value else taint.key
                    return f"claim {claim.key} holds device {result.device_id}, which is tainted {text}:NoExecute"
        return ""

    def _taints(self, allocation: ClaimAllocation, result: DeviceResult) -> tuple[Taint, ...]:
        entry = self._pool((result.driver, result.pool)).held_device(result, pinned_node(allocation))
        if entry is not None:
            return entry.taints
        return matching_taints(self._fleet.taint_rules, result.driver, result.pool, result.device)

    def _pool(self, key: PoolKey) -> DeviceIndex:
        if self._slices is None:
            self._slices = {}
            for published in self._fleet.slices:
                self._slices.setdefault((published.driver, published.pool), []).append(published)
        known = self._pools.get(key)
        if known is None:
            slices = self._slices.get(key, ())
            known = self._pools[key] = DeviceIndex(slices, (), self._fleet.taint_rules)
        return known

    def _lack(self, pod: Pod, ref: PodClaimRef) -> str:
        if ref.claim is None:
            return f"claim {ref.name!r} of pod {pod.key} does not exist yet"
        claim = self._claims.get(ref.claim)
        if claim is None:
            problem = self._unreadable.get(ref.claim)
            if problem is not None:
                return f"claim {ref.claim} of pod {pod.key} cannot be read: {problem.field}: {problem.reason}"
            return f"claim {ref.claim} of pod {pod.key} does not exist"
        if claim.is_deleting:
            return f"claim {ref.claim} of pod {pod.key} is being deleted"
        if ref.is_own and claim.owner_uid and claim.owner_uid != pod.uid:
            return f"claim {ref.claim} was not made for pod {pod.key} but for an earlier one of that name"
        return ""
