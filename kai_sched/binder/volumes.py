"""Volumes before the bind: claims that wait for their first consumer get a volume, and the pods wait until they have it.

A volume that is there is given to its claim, one that is to be made is asked for on the pod's node; the volume
controller does the rest. Source: kube-scheduler's VolumeBinding PreBind. What is written stays when the gang is
taken back: a claim may have its volume before its pod runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from kai_sched.api.translate.storage import BIND_COMPLETED, SELECTED_NODE
from kai_sched.binder.outcomes import Result, Setback
from kai_sched.binder.wait import DeviceWait
from kai_sched.binder.writes import FencedCalls
from kai_sched.cluster.kube.resources import VOLUME_CLAIMS, VOLUMES
from kai_sched.cluster.ports import Document
from kai_sched.errors import ApiFailure
from kai_sched.model.ids import NodeName, PodKey
from kai_sched.model.plan import Placement, VolumePlacement

BOUND_BY_CONTROLLER: Final = "pv.kubernetes.io/bound-by-controller"
_FIRST_LOOK_SECONDS: Final = 0.05
"""The volume controller binds a volume that is there within a moment."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A patch that sets the volume controller or a provisioner to work."""

    path: str
    patch: Document


@dataclass(frozen=True, slots=True)
class NotYet:
    """Others have to do something."""


VolumeStep = Ask | NotYet | Setback | None
"""None: the claim has its volume."""


def next_volume_step(
    wanted: VolumePlacement, node: NodeName, claim: Document, volume: Document | None, *, was_asked: bool
) -> VolumeStep:
    """What is to be done for one claim, from what the server has; ``volume``: the one it is to get, if that is there."""
    metadata = claim["metadata"]
    annotations = metadata.get("annotations") or {}
    if metadata.get("uid") != wanted.uid or metadata.get("deletionTimestamp"):
        return Setback(Result.STALE, f"PersistentVolumeClaim {wanted.claim} was replaced or is being deleted")
    bound_to = claim["spec"].get("volumeName")
    if bound_to:
        if wanted.volume and bound_to != wanted.volume:
            return Setback(Result.STALE, f"PersistentVolumeClaim {wanted.claim} was bound to {bound_to}")
        return None if BIND_COMPLETED in annotations else NotYet()
    if wanted.volume:
        return _give(wanted, claim, volume)
    selected = annotations.get(SELECTED_NODE)
    if selected == node:
        return NotYet()
    if selected or was_asked:
        why = f"is to be made on {selected}" if selected else f"could not be made on {node}"
        return Setback(Result.RETRY, f"the volume of PersistentVolumeClaim {wanted.claim} {why}")
    return Ask(
        VOLUME_CLAIMS.item_of_key(wanted.claim),
        {"metadata": {"uid": wanted.uid, "annotations": {SELECTED_NODE: node}}},
    )


def _give(wanted: VolumePlacement, claim: Document, volume: Document | None) -> VolumeStep:
    if volume is None or volume["metadata"].get("deletionTimestamp"):
        return Setback(Result.STALE, f"PersistentVolume {wanted.volume} is gone")
    namespace, _, name = wanted.claim.partition("/")
    holder = volume["spec"].get("claimRef") or {}
    if holder.get("uid") == wanted.uid:
        return NotYet()
    if holder and (holder.get("namespace"), holder.get("name"), holder.get("uid")) != (namespace, name, None):
        return Setback(Result.STALE, f"PersistentVolume {wanted.volume} was given to another claim")
    reference = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": namespace,
        "name": name,
        "uid": wanted.uid,
        "resourceVersion": claim["metadata"].get("resourceVersion"),
    }
    metadata: Document = {"resourceVersion": volume["metadata"]["resourceVersion"]}
    if not holder:
        metadata["annotations"] = {BOUND_BY_CONTROLLER: "yes"}
    return Ask(VOLUMES.item_of_key(wanted.volume), {"metadata": metadata, "spec": {"claimRef": reference}})


class VolumeRun:
    """The volumes of one gang."""

    __slots__ = ("_asked", "_calls", "_done", "_next_look_seconds", "_since", "_wait")

    def __init__(self, calls: FencedCalls, wait: DeviceWait) -> None:
        self._calls = calls
        self._wait = wait
        self._asked: set[str] = set()
        self._done: set[str] = set()
        self._since: float | None = None
        self._next_look_seconds = _FIRST_LOOK_SECONDS

    async def advance(self, placements: Sequence[Placement]) -> Mapping[PodKey, Setback] | None:
        """None: all claims have their volumes. Else look again, without the pods that are refused."""
        open_claims = [
            (placement, wanted)
            for placement in placements
            for wanted in placement.volumes
            if wanted.claim not in self._done
        ]
        if not open_claims:
            return None
        first_of = {wanted.claim: (placement, wanted) for placement, wanted in reversed(open_claims)}
        found = await asyncio.gather(*(self._advance(*first) for first in first_of.values()))
        refused = {claim: step for claim, step in zip(first_of, found, strict=True) if step is not None}
        if refused:
            return {
                placement.pod: refused[wanted.claim]
                for placement, wanted in open_claims
                if wanted.claim in refused
            }
        if self._done.issuperset(first_of):
            return None
        return await self._pause([item for item in open_claims if item[1].claim not in self._done])

    async def _advance(self, placement: Placement, wanted: VolumePlacement) -> Setback | None:
        try:
            claim = await self._calls.get(VOLUME_CLAIMS.item_of_key(wanted.claim))
            volume = await self._calls.get(VOLUMES.item_of_key(wanted.volume)) if wanted.volume else None
            was_asked = wanted.claim in self._asked
            step = next_volume_step(wanted, placement.node, claim, volume, was_asked=was_asked)
            match step:
                case None:
                    self._done.add(wanted.claim)
                case Ask(path=path, patch=patch):
                    await self._calls.patch_strategic(path, patch)
                    self._asked.add(wanted.claim)
                case Setback():
                    return step
                case NotYet():
                    pass
        except ApiFailure as failure:
            if failure.status == HTTPStatus.NOT_FOUND:
                return Setback(Result.STALE, f"a volume or claim of pod {placement.pod} is gone")
            if not failure.retryable and failure.status != HTTPStatus.CONFLICT:
                return Setback(Result.FAILED, f"PersistentVolumeClaim {wanted.claim}: {failure}")
        return None

    async def _pause(self, open_claims: list[tuple[Placement, VolumePlacement]]) -> Mapping[PodKey, Setback]:
        now = self._wait.clock()
        if self._since is None:
            self._since = now
        left = self._since + self._wait.timeout_seconds - now
        if left <= 0:
            return {
                placement.pod: Setback(
                    Result.RETRY,
                    f"PersistentVolumeClaim {wanted.claim} not bound after {self._wait.timeout_seconds:g} s",
                )
                for placement, wanted in open_claims
            }
        await self._wait.pause(min(left, self._next_look_seconds))
        self._next_look_seconds = min(self._wait.poll_seconds, self._next_look_seconds * 2)
        return {}
