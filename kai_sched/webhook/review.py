"""One admission review answered: which pods are changed, and what is said where a part of a GPU cannot be had.

Never refuses a pod: one that is left as it is gets its verdict from the operator, as every other.
"""

from __future__ import annotations

import base64
from typing import Any, Final, Protocol

import orjson

from kai_sched.api.keys import WHOLE_GPU
from kai_sched.api.kinds import Raw
from kai_sched.api.translate.fields import FieldError
from kai_sched.api.translate.gpu_share import SHARE_ANNOTATIONS, gpu_share_of
from kai_sched.api.translate.requests import effective_requests
from kai_sched.errors import KaiSchedError
from kai_sched.model.resources import amount_of
from kai_sched.model.workloads import GpuShare
from kai_sched.webhook.share import Given, Patch, has_container, patch_of

_SHARES: Final = frozenset(SHARE_ANNOTATIONS)


class Realiser(Protocol):
    """Makes of a share something that a pod can name."""

    async def give(self, share: GpuShare, namespace: str, *, is_dry_run: bool) -> Given:
        """What the pod gets; a dry run writes nothing. Raises ``KaiSchedError`` with the reason why it cannot."""
        ...


class Reviewer:
    """Answers reviews of pods that are created."""

    def __init__(self, scheduler_name: str, realiser: Realiser) -> None:
        self._scheduler_name = scheduler_name
        self._realiser = realiser

    async def answer(self, review: Raw) -> dict[str, Any]:
        """The AdmissionReview to send back."""
        request = review["request"]
        patch, warning = await self._decide(request)
        response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
        if patch:
            response["patchType"] = "JSONPatch"
            response["patch"] = base64.b64encode(orjson.dumps(patch)).decode()
        if warning:
            response["warnings"] = [warning]
        return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}

    async def _decide(self, request: Raw) -> tuple[Patch, str]:
        """(patch, warning), both may be empty."""
        pod: Raw = request["object"]
        share, problem = self._share_of(pod)
        if share is None:
            return [], problem
        if not has_container(pod):
            return [], "gpu-fraction-container-name: the pod has no container of that name"
        namespace, is_dry_run = str(request.get("namespace") or ""), bool(request.get("dryRun"))
        try:
            given = await self._realiser.give(share, namespace, is_dry_run=is_dry_run)
        except KaiSchedError as failure:
            return [], f"the part of a GPU was not turned into a claim: {failure}"
        return patch_of(pod, given), ""

    def _share_of(self, pod: Raw) -> tuple[GpuShare | None, str]:
        annotations = pod["metadata"].get("annotations") or {}
        if _SHARES.isdisjoint(annotations) or pod["spec"].get("schedulerName") != self._scheduler_name:
            return None, ""
        try:
            requests = effective_requests(pod["spec"], {})
        except FieldError as error:
            return None, str(error)
        return gpu_share_of(annotations, amount_of(requests, WHOLE_GPU))
