"""Commands of one pod or claim: take back a reservation or an allocation, evict."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final

from kai_sched.binder.claims import PutClaim, next_removal, without_allocation
from kai_sched.binder.extended import DeleteClaim, PostClaim, is_told, untold_status
from kai_sched.binder.outcomes import CommandOutcome, Result
from kai_sched.binder.writes import FencedCalls, backoff_seconds
from kai_sched.cluster.kube.resources import PODS, RESOURCE_CLAIMS
from kai_sched.cluster.ports import Document
from kai_sched.errors import ApiFailure
from kai_sched.model.commands import Deallocate, Evict, UndoReservation
from kai_sched.model.ids import ClaimKey, Uid

ATTEMPTS: Final = 8


async def undo_reservation(command: UndoReservation, calls: FencedCalls) -> CommandOutcome:
    """Take back what a pod without a node holds of its claims; a pod that has a node keeps it."""
    try:
        pod = await _read(calls, PODS.item_of_key(command.pod))
        if pod is not None and pod["metadata"]["uid"] == command.uid and pod["spec"].get("nodeName"):
            return CommandOutcome(
                command=command, result=Result.STALE, reason=f"pod {command.pod} has a node now"
            )
        if pod is not None and is_told(pod):
            await calls.patch_strategic(
                PODS.item_of_key(command.pod, "status"), untold_status(pod["metadata"]["uid"])
            )
        for claim in command.claims:
            if not await _release(calls, ClaimKey(claim), command.uid):
                return CommandOutcome(
                    command=command, result=Result.RETRY, reason=f"claim {claim} kept changing"
                )
    except ApiFailure as failure:
        result = Result.RETRY if failure.retryable else Result.FAILED
        return CommandOutcome(command=command, result=result, reason=str(failure))
    return CommandOutcome(command=command, result=Result.DONE)


async def evict(command: Evict, calls: FencedCalls) -> CommandOutcome:
    """Delete by the Eviction API, which honours disruption budgets; a pod that is gone is evicted."""
    namespace, _, name = command.pod.partition("/")
    body: Document = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
        "deleteOptions": {"preconditions": {"uid": command.uid}},
    }
    try:
        await calls.post(PODS.item_of_key(command.pod, "eviction"), body)
    except ApiFailure as failure:
        if failure.status == HTTPStatus.NOT_FOUND:
            return CommandOutcome(command=command, result=Result.DONE)
        if failure.status == HTTPStatus.CONFLICT:
            return CommandOutcome(
                command=command, result=Result.STALE, reason=f"pod {command.pod} was replaced"
            )
        # 429: a disruption budget says not now.
        is_transient = failure.retryable or failure.status == HTTPStatus.TOO_MANY_REQUESTS
        result = Result.RETRY if is_transient else Result.FAILED
        return CommandOutcome(command=command, result=result, reason=str(failure))
    return CommandOutcome(command=command, result=Result.DONE)


async def deallocate(command: Deallocate, calls: FencedCalls) -> CommandOutcome:
    """Give back the devices of a claim that nobody uses; whoever changed it meanwhile has the last word."""
    try:
        document = await _read(calls, RESOURCE_CLAIMS.item_of_key(command.claim))
        freed = None if document is None else without_allocation(document)
        if document is None or freed is None or _version(document) != (command.uid, command.resource_version):
            reason = f"claim {command.claim} has changed meanwhile"
            return CommandOutcome(command=command, result=Result.STALE, reason=reason)
        await calls.put(RESOURCE_CLAIMS.item_of_key(command.claim, "status"), freed)
    except ApiFailure as failure:
        if failure.status in {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND}:
            return CommandOutcome(command=command, result=Result.STALE, reason=str(failure))
        result = Result.RETRY if failure.retryable else Result.FAILED
        return CommandOutcome(command=command, result=result, reason=str(failure))
    return CommandOutcome(command=command, result=Result.DONE)


def _version(document: Document) -> tuple[str, str]:
    metadata = document["metadata"]
    return metadata["uid"], metadata["resourceVersion"]


async def _release(calls: FencedCalls, claim: ClaimKey, uid: Uid) -> bool:
    """Whether the claim holds nothing for the pod any more."""
    for attempt in range(ATTEMPTS):
        document = await _read(calls, RESOURCE_CLAIMS.item_of_key(claim))
        removal = None if document is None else next_removal(document, {uid})
        if removal is None:
            return True
        try:
            match removal:
                case PutClaim(document=changed, subresource=subresource):
                    await calls.put(RESOURCE_CLAIMS.item_of_key(claim, subresource), changed)
                case DeleteClaim(uid=claim_uid):
                    body: Document = {"preconditions": {"uid": claim_uid}}
                    await calls.delete(RESOURCE_CLAIMS.item_of_key(claim), body)
                    return True
                case PostClaim():
                    return True
        except ApiFailure as failure:
            if failure.status == HTTPStatus.NOT_FOUND:
                return True
            if failure.status != HTTPStatus.CONFLICT and not failure.retryable:
                raise
            await asyncio.sleep(backoff_seconds(attempt))
    return False


async def _read(calls: FencedCalls, path: str) -> Document | None:
    try:
        return await calls.get(path)
    except ApiFailure as failure:
        if failure.status == HTTPStatus.NOT_FOUND:
            return None
        raise
