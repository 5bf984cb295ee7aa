"""What one ResourceClaim needs next, decided from its last known document alone.

Documents are the API server's own, kept whole and written back whole: a field that we do not know survives.
Every document written carries the resourceVersion it was derived from, so that a lost race is a conflict and
never an overwrite. Order (finalizer, then allocation and reservation in one status update): KEP-4381.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from kai_sched.api.dra_allocation import allocation_document
from kai_sched.api.times import parse_time
from kai_sched.binder.extended import (
    FINALIZER,
    DeleteClaim,
    PostClaim,
    document_of,
    is_as_made,
    is_special,
    without_finalizer,
)
from kai_sched.binder.outcomes import Result, Setback
from kai_sched.cluster.ports import Document
from kai_sched.model.devices import MAX_CONSUMERS
from kai_sched.model.ids import ClaimKey, Uid
from kai_sched.model.plan import Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimIntent:
    """What a gang wants of one claim: these devices, reserved for these pods.

    ``allocation`` is the wire form to write, None where the claim is expected to be allocated already.
    """

    claim: ClaimKey
    uid: Uid
    consumers: tuple[tuple[str, Uid], ...]
    devices: tuple[str, ...]
    allocation: Document | None
    creation: Document | None = None
    """The claim to make where the server has none."""


@dataclass(frozen=True, slots=True)
class PutClaim:
    """Replace the claim (``subresource`` "" or "status") by this document."""

    document: Document
    subresource: str


@dataclass(frozen=True, slots=True)
class Settled:
    """The claim is allocated as meant and reserved for all its pods."""


@dataclass(frozen=True, slots=True)
class AwaitDevices:
    """Settled, but its devices are still being prepared (binding conditions, KEP-5007)."""

    allocated_at: float | None
    """Epoch seconds, as the allocation itself says; it says so whoever wrote it."""


ClaimWrite = PutClaim | PostClaim | DeleteClaim
ClaimStep = ClaimWrite | Settled | AwaitDevices | Setback


def intents_of(placements: Iterable[Placement]) -> tuple[ClaimIntent, ...]:
    """One intent a claim, in order of first use; a claim shared by several pods is written once for all."""
    merged: dict[ClaimKey, ClaimIntent] = {}
    for placement in placements:
        consumer = (placement.pod.partition("/")[2], placement.uid)
        for part in placement.claims:
            known = merged.get(part.claim)
            consumers = (consumer,) if known is None else (*known.consumers, consumer)
            allocation = None if known is None else known.allocation
            if part.allocation is not None and allocation is None:
                allocation = allocation_document(part.allocation)
            merged[part.claim] = ClaimIntent(
                claim=part.claim,
                uid=part.uid,
                consumers=consumers,
                devices=part.devices,
                allocation=allocation,
                creation=None if part.creation is None else document_of(placement, part, part.creation),
            )
    return tuple(merged.values())


def next_claim_step(intent: ClaimIntent, document: Document | None) -> ClaimStep:
    """The next write of a claim whose document is known (None: the server has no such claim)."""
    if document is None and intent.creation is not None:
        return PostClaim(intent.creation)
    if document is None:
        return Setback(Result.STALE, f"claim {intent.claim} is gone")
    problem = _broken_precondition(intent, document)
    if problem is not None:
        return problem
    status = document.get("status") or {}
    if status.get("allocation") is None and FINALIZER not in document["metadata"].get("finalizers", ()):
        return PutClaim(_with_finalizer(document), "")
    consumers = status.get("reservedFor") or []
    missing = [_reference(*pod) for pod in intent.consumers if not _holds(consumers, pod[1])]
    if not missing and status.get("allocation") is not None:
        return _device_readiness(status)
    if len(consumers) + len(missing) > MAX_CONSUMERS:
        return Setback(
            Result.FAILED,
            f"claim {intent.claim} would have more than {MAX_CONSUMERS} consumers (status.reservedFor)",
        )
    allocation = status.get("allocation") or intent.allocation
    changed = {**status, "allocation": allocation, "reservedFor": [*consumers, *missing]}
    return PutClaim({**document, "status": changed}, "status")


def release_document(document: Document, uids: Collection[Uid]) -> Document | None:
    """The claim without the reservations of these pods; None if there is nothing to take back.

    Where nobody else is left the allocation goes in the same update: only the transition from used to unused
    makes the claim controller deallocate, and a claim kept allocated would pin its pod.
    """
    status = document.get("status") or {}
    consumers = status.get("reservedFor") or []
    kept = [consumer for consumer in consumers if consumer.get("uid") not in uids]
    is_ours = len(kept) < len(consumers) or _controller_uid(document) in uids
    has_allocation = status.get("allocation") is not None
    if not is_ours or (len(kept) == len(consumers) and (kept or not has_allocation)):
        return None
    changed = {**status, "reservedFor": kept}
    if not kept:
        for part in ("reservedFor", "allocation", "devices"):
            changed.pop(part, None)
    return {**document, "status": changed}


def without_allocation(document: Document) -> Document | None:
    """The claim without its allocation; None where there is none, or somebody uses it."""
    status = document.get("status") or {}
    if status.get("reservedFor") or status.get("allocation") is None:
        return None
    kept = {name: value for name, value in status.items() if name not in {"allocation", "devices"}}
    return {**document, "status": kept}


def next_removal(document: Document, uids: Collection[Uid]) -> ClaimWrite | None:
    """The next write that takes the claim back from these pods; None if nothing is left to do."""
    released = release_document(document, uids)
    if released is not None:
        return PutClaim(released, "status")
    if not is_special(document) or _controller_uid(document) not in uids:
        return None
    unprotected = without_finalizer(document)
    if unprotected is not None:
        return PutClaim(unprotected, "")
    return DeleteClaim(document["metadata"]["uid"])


def devices_of(allocation: Document) -> tuple[str, ...]:
    """``driver/pool/device`` of every result, in order."""
    results = (allocation.get("devices") or {}).get("results") or ()
    return tuple(f"{result['driver']}/{result['pool']}/{result['device']}" for result in results)


def _broken_precondition(intent: ClaimIntent, document: Document) -> Setback | None:
    metadata = document["metadata"]
    if intent.creation is not None:
        if not is_as_made(intent.creation, document):
            return Setback(Result.STALE, f"claim {intent.claim} was left by another attempt")
    elif metadata["uid"] != intent.uid:
        return Setback(Result.STALE, f"claim {intent.claim} was replaced by another of its name")
    if metadata.get("deletionTimestamp"):
        return Setback(Result.STALE, f"claim {intent.claim} is being deleted")
    allocation = (document.get("status") or {}).get("allocation")
    if allocation is None:
        if intent.allocation is None:
            return Setback(Result.RETRY, f"claim {intent.claim} is not allocated yet")
        return None
    if sorted(devices_of(allocation)) != sorted(intent.devices):
        return Setback(Result.STALE, f"claim {intent.claim} was allocated elsewhere meanwhile")
    return None


def _with_finalizer(document: Document) -> Document:
    metadata = document["metadata"]
    finalizers = [*metadata.get("finalizers", ()), FINALIZER]
    return {**document, "metadata": {**metadata, "finalizers": finalizers}}


def _reference(name: str, uid: Uid) -> Document:
    return {"resource": "pods", "name": name, "uid": uid}


def _holds(consumers: Iterable[Document], uid: Uid) -> bool:
    return any(consumer.get("uid") == uid for consumer in consumers)


def _controller_uid(document: Document) -> str:
    owners = document["metadata"].get("ownerReferences") or ()
    return next((owner["uid"] for owner in owners if owner.get("controller")), "")


def _device_readiness(status: Document) -> ClaimStep:
    """Whether every result's binding conditions are true; one failure condition refuses the claim."""
    published = {_device_key(entry): entry for entry in status.get("devices") or ()}
    waiting = False
    for result in status["allocation"].get("devices", {}).get("results") or ():
        wanted = result.get("bindingConditions") or ()
        if not wanted:
            continue
        entry = published.get(_device_key(result), {})
        true = {c["type"] for c in entry.get("conditions") or () if c.get("status") == "True"}
        failed = sorted(true.intersection(result.get("bindingFailureConditions") or ()))
        if failed:
            device = "/".join(_device_key(result)[:3])
            return Setback(Result.UNPREPARED, f"device {device} could not be prepared: condition {failed[0]}")
        waiting = waiting or not true.issuperset(wanted)
    if not waiting:
        return Settled()
    stamp = status["allocation"].get("allocationTimestamp")
    return AwaitDevices(parse_time(stamp) if stamp else None)


def _device_key(entry: Document) -> tuple[str, str, str, str]:
    return (entry["driver"], entry["pool"], entry["device"], entry.get("shareID") or "")
