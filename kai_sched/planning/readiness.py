"""Readiness of a pod's claims: each exists, can be read, belongs to the pod and stays.

Source: kube-scheduler's dynamicresources PreEnqueue and PreFilter, resourceclaim.IsForPod.
"""

from __future__ import annotations

from kai_sched.model.devices import Claim
from kai_sched.model.ids import ClaimKey
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import Pod, PodClaimRef


class ClaimReadiness:
    """Says what a pod's claims lack."""

    def __init__(self, snapshot: ClusterSnapshot) -> None:
        self._claims: dict[ClaimKey, Claim] = {claim.key: claim for claim in snapshot.claims}
        self._unreadable = {
            problem.key: problem for problem in snapshot.unreadable if problem.kind == "ResourceClaim"
        }

    def is_placeable(self, pod: Pod) -> bool:
        """Whether nothing about the pod itself or its claims forbids to place it."""
        return not pod.problem and not (pod.claims and self.missing(pod))

    def missing(self, pod: Pod) -> str:
        """What the first unready claim of the pod lacks; empty where all are ready."""
        return next(filter(None, (self._lack(pod, ref) for ref in pod.claims)), "")

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
