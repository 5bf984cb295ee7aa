"""One gang's run: does what ``steps`` says and tells it what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from kai_sched.binder.claims import ClaimWrite, PutClaim
from kai_sched.binder.extended import FINALIZER, DeleteClaim, PostClaim, is_told, told_status, untold_status
from kai_sched.binder.look import LastLook
from kai_sched.binder.outcomes import CommandOutcome, Result, Setback
from kai_sched.binder.ports import KnownObjects
from kai_sched.binder.steps import BindPods, CallClaims, Finished, GangProgress, PauseForDevices
from kai_sched.binder.volumes import VolumeRun
from kai_sched.binder.wait import DEFAULT_WAIT, DeviceWait
from kai_sched.binder.writes import FencedCalls, backoff_seconds
from kai_sched.cluster.kube.resources import PODS, RESOURCE_CLAIMS
from kai_sched.cluster.ports import Document
from kai_sched.errors import ApiFailure
from kai_sched.model.commands import BindGang
from kai_sched.model.ids import ClaimKey, PodKey, Uid
from kai_sched.model.plan import Placement

CLAIM_ATTEMPTS: Final = 8
"""Calls without an answer before a gang that has not bound anything gives up."""
BIND_ATTEMPTS: Final = 24
"""About two minutes: a gang with its first pod bound is only completed, never taken back."""
BROKEN_ATTEMPTS: Final = 8
"""Bindings that the server answered with an error of its own or of a webhook, where nothing is bound yet: the gang
steps aside, so that others have its room while it waits for the next try."""


class NotRefused(StrEnum):
    """A binding that was not refused."""

    AGAIN = "again"
    OURS = "ours"
    """The pod is on the chosen node, by this attempt or an earlier one."""


class GangRun:
    """Executes one ``BindGang``."""

    __slots__ = (
        "_calls",
        "_command",
        "_known",
        "_last_failure",
        "_last_look",
        "_progress",
        "_read_once",
        "_told",
        "_unanswered",
        "_volumes",
        "_wait",
        "_waits_since",
    )

    def __init__(
        self, command: BindGang, calls: FencedCalls, known: KnownObjects, wait: DeviceWait = DEFAULT_WAIT
    ) -> None:
        self._command = command
        self._calls = calls
        self._known = known
        self._progress = GangProgress(command)
        self._read_once: set[ClaimKey] = set()
        self._told: dict[PodKey, Uid] = {}
        """Pods whose status names a claim that we made."""
        self._volumes = VolumeRun(calls, wait)
        self._last_look = LastLook(known, wait)
        self._wait = wait
        self._waits_since: float | None = None
        self._unanswered = 0
        self._last_failure: ApiFailure | None = None

    async def run(self) -> CommandOutcome:
        """Until the gang is bound, or taken back."""
        progress = self._progress
        if any(placement.claims for placement in self._command.placements):
            self._has_broken(self._command.placements)
        while True:
            if progress.is_undoing and self._told:
                await self._untell()
            match progress.next_step():
                case Finished(outcome=outcome):
                    return outcome
                case CallClaims() as step:
                    await self._call_claims(step)
                case PauseForDevices() as step:
                    await self._pause(step)
                case BindPods(placements=placements):
                    await self._bind(placements)

    async def _call_claims(self, step: CallClaims) -> None:
        calls = [self._read(claim) for claim in step.reads]
        calls += [self._write(claim, put) for claim, put in step.writes]
        before = self._unanswered
        await _all(calls)
        if self._unanswered > before:
            self._give_up_unanswered()
            await asyncio.sleep(backoff_seconds(self._unanswered))

    def _note_unanswered(self, failure: ApiFailure) -> None:
        self._unanswered += 1
        self._last_failure = failure

    def _give_up_unanswered(self) -> None:
        """Take the gang back after too many calls that may pass later, and say what was heard last."""
        if self._unanswered >= CLAIM_ATTEMPTS and self._last_failure is not None:
            self._progress.fail(_refusal_of(self._last_failure))

    async def _read(self, claim: ClaimKey) -> None:
        known = None if claim in self._read_once else self._known.claim_document(claim)
        self._read_once.add(claim)
        if known is not None:
            self._progress.saw_claim(claim, known)
            return
        try:
            self._progress.saw_claim(claim, await self._calls.get(RESOURCE_CLAIMS.item_of_key(claim)))
        except ApiFailure as failure:
            self._note_failure(claim, failure)

    async def _write(self, claim: ClaimKey, write: ClaimWrite) -> None:
        try:
            self._progress.saw_claim(claim, await self._written(claim, write))
        except ApiFailure as failure:
            self._note_failure(claim, failure)

    async def _written(self, claim: ClaimKey, write: ClaimWrite) -> Document | None:
        match write:
            case PostClaim(document=document):
                return await self._calls.post(RESOURCE_CLAIMS.collection(claim.partition("/")[0]), document)
            case DeleteClaim(uid=uid):
                body: Document = {"preconditions": {"uid": uid}}
                await self._calls.delete(RESOURCE_CLAIMS.item_of_key(claim), body)
                return None
            case PutClaim(document=document, subresource=subresource):
                return await self._put(RESOURCE_CLAIMS.item_of_key(claim, subresource), document, subresource)

    async def _put(self, path: str, document: Document, subresource: str) -> Document:
        try:
            return await self._calls.put(path, document)
        except ApiFailure as failure:
            if subresource or failure.status != HTTPStatus.UNPROCESSABLE_ENTITY:
                raise
            # Opaque parameters that were not written in Go's normal form look changed in JSON.
            return await self._calls.add_finalizer(path, FINALIZER)

    def _note_failure(self, claim: ClaimKey, failure: ApiFailure) -> None:
        progress = self._progress
        if failure.status == HTTPStatus.NOT_FOUND:
            progress.saw_claim(claim, None)
        elif failure.status == HTTPStatus.CONFLICT:
            progress.lost_race(claim)
        elif failure.retryable:
            self._note_unanswered(failure)
            progress.must_reread(claim)
        elif progress.is_undoing:
            progress.cannot_release(claim)
        else:
            progress.fail(Setback(Result.FAILED, f"claim {claim}: {failure}"))

    async def _pause(self, step: PauseForDevices) -> None:
        claims, now = step.claims, self._wait.clock()
        if self._waits_since is None:
            self._waits_since = now - self._wait.age_seconds(step.allocated_at)
        left = self._waits_since + self._wait.timeout_seconds - now
        if left <= 0:
            reason = f"devices of {claims[0]} not ready after {self._wait.timeout_seconds:g} s"
            self._progress.fail(Setback(Result.UNPREPARED, reason))
            return
        if self._has_broken(self._command.placements):
            return
        await self._wait.pause(min(left, self._wait.poll_seconds))
        for claim in claims:
            self._progress.must_reread(claim)

    def _has_broken(self, placements: tuple[Placement, ...]) -> bool:
        """Whether a pod, node or device went away since the decision; the gang is told."""
        broken = {**self._known.broken_devices(placements), **self._known.broken_preconditions(placements)}
        for pod, reason in broken.items():
            self._progress.refuse_pod(pod, Setback(Result.STALE, reason))
        return bool(broken)

    async def _bind(self, placements: tuple[Placement, ...]) -> None:
        if self._has_broken(placements) or await self._has_rivals(placements):
            return
        if await self._all_stored(placements) and await self._all_told(placements):
            await _all([self._bind_pod(placement) for placement in placements])

    async def _has_rivals(self, placements: tuple[Placement, ...]) -> bool:
        """Whether a device that was given now is another claim's too; the gang is told."""
        doubly_given = await self._last_look.doubly_given(placements)
        for pod, reason in doubly_given.items():
            self._progress.refuse_pod(pod, Setback(Result.STALE, reason))
        return bool(doubly_given)

    async def _all_stored(self, placements: tuple[Placement, ...]) -> bool:
        """Whether every claim of the pods has its volume."""
        refused = await self._volumes.advance(placements)
        for pod, refusal in (refused or {}).items():
            self._progress.refuse_pod(pod, refusal)
        return refused is None

    async def _all_told(self, placements: tuple[Placement, ...]) -> bool:
        """Whether the status of every pod names the claim that was made for it."""
        missing = [
            (placement, patch)
            for placement in placements
            if placement.claims and placement.pod not in self._told and (patch := told_status(placement))
        ]
        if not missing:
            return True
        await _all([self._tell(placement, patch) for placement, patch in missing])
        if all(placement.pod in self._told for placement, _ in missing):
            return True
        self._give_up_unanswered()
        await asyncio.sleep(backoff_seconds(self._unanswered))
        return False

    async def _tell(self, placement: Placement, patch: Document) -> None:
        try:
            written = await self._calls.patch_strategic(PODS.item_of_key(placement.pod, "status"), patch)
        except ApiFailure as failure:
            self._note_unanswered(failure)
            if not failure.retryable or self._unanswered > BIND_ATTEMPTS:
                self._progress.refuse_pod(
                    placement.pod, Setback(Result.STALE, f"pod {placement.pod}: {failure}")
                )
        else:
            if is_told(written):
                self._told[placement.pod] = placement.uid
            else:
                # Its kubelet would start it without devices.
                reason = (
                    "the API server has no status.extendedResourceClaimStatus (feature DRAExtendedResource)"
                )
                self._progress.refuse_pod(
                    placement.pod, Setback(Result.FAILED, f"pod {placement.pod}: {reason}")
                )

    async def _untell(self) -> None:
        """Take back what pods were told; what cannot be written now is found again from the API's state."""
        told, self._told = self._told, {}
        for pod, uid in told.items():
            for attempt in range(CLAIM_ATTEMPTS):
                try:
                    await self._calls.patch_strategic(PODS.item_of_key(pod, "status"), untold_status(uid))
                except ApiFailure as failure:
                    if not failure.retryable:
                        break
                    await asyncio.sleep(backoff_seconds(attempt))
                else:
                    break

    async def _bind_pod(self, placement: Placement) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": placement.pod.partition("/")[2], "uid": placement.uid},
            "target": {"kind": "Node", "name": placement.node},
        }
        broken = 0
        last: Setback | ApiFailure | NotRefused = NotRefused.AGAIN
        for attempt in range(BIND_ATTEMPTS):
            last = await self._try_to_bind(placement, body, is_first=attempt == 0)
            if isinstance(last, Setback):
                self._progress.lost_pod(placement.pod, last)
                return
            if last is NotRefused.OURS:
                self._progress.saw_bound(placement.pod)
                return
            broken += isinstance(last, ApiFailure) and last.status == HTTPStatus.INTERNAL_SERVER_ERROR
            if broken >= BROKEN_ATTEMPTS and not self._progress.has_begun:
                break
            await asyncio.sleep(backoff_seconds(attempt))
        if isinstance(last, ApiFailure):
            self._progress.lost_pod(placement.pod, _refusal_of(last))
        else:
            self._progress.lost_pod(
                placement.pod, Setback(Result.RETRY, f"pod {placement.pod} could not be bound")
            )

    async def _try_to_bind(
        self, placement: Placement, body: Document, *, is_first: bool
    ) -> Setback | ApiFailure | NotRefused:
        """One attempt. Between attempts the world goes on: a node that went away meanwhile takes no pods."""
        if not is_first and (broken := self._known.broken_preconditions((placement,))):
            # An earlier attempt may have arrived although its answer did not.
            return await self._explain_conflict(placement, Setback(Result.STALE, broken[placement.pod]))
        try:
            await self._calls.post(PODS.item_of_key(placement.pod, "binding"), body)
        except ApiFailure as failure:
            return await self._explain(placement, failure)
        return NotRefused.OURS

    async def _explain(self, placement: Placement, failure: ApiFailure) -> Setback | ApiFailure | NotRefused:
        """What a failed binding means; the failure itself where it may pass."""
        pod = placement.pod
        if failure.status == HTTPStatus.NOT_FOUND:
            return Setback(Result.STALE, f"pod {pod} is gone")
        if failure.status != HTTPStatus.CONFLICT:
            return failure if failure.retryable else Setback(Result.FAILED, f"pod {pod}: {failure}")
        return await self._explain_conflict(placement, NotRefused.AGAIN)

    async def _explain_conflict(
        self, placement: Placement, unbound: Setback | NotRefused
    ) -> Setback | NotRefused:
        """A conflict may be our own earlier binding, somebody else's, or a pod that ends; else it is ``unbound``."""
        pod = placement.pod
        try:
            document = await self._calls.get(PODS.item_of_key(pod))
        except ApiFailure as unreadable:
            gone = unreadable.status == HTTPStatus.NOT_FOUND
            return Setback(Result.STALE, f"pod {pod} is gone") if gone else NotRefused.AGAIN
        node = document["spec"].get("nodeName")
        if document["metadata"]["uid"] != placement.uid or document["metadata"].get("deletionTimestamp"):
            return Setback(Result.STALE, f"pod {pod} was replaced or is being deleted")
        if node == placement.node:
            return NotRefused.OURS
        if node:
            return Setback(Result.STALE, f"pod {pod} was bound to {node} by somebody else")
        if document["spec"].get("schedulingGates"):
            return Setback(Result.STALE, f"pod {pod} is gated")
        return unbound


def _refusal_of(failure: ApiFailure) -> Setback:
    """What is concluded from a failure that might have passed and did not."""
    if failure.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return Setback(Result.RETRY, str(failure))
    return Setback(Result.UNANSWERED, f"the API server does not answer: {failure}")


async def _all(calls: list[Coroutine[None, None, None]]) -> None:
    """Run all to their end, then raise the first error: no call is left running unwatched."""
    if len(calls) == 1:
        await calls[0]
        return
    for result in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
