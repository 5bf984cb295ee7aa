"""Commands: what the binder is to make true, each with the precondition under which it still holds."""

from __future__ import annotations

from dataclasses import dataclass

from kai_sched.model.ids import ClaimKey, PodGroupKey, PodKey, Uid
from kai_sched.model.plan import Placement
from kai_sched.model.policy import StageName


@dataclass(frozen=True, slots=True, kw_only=True)
class BindGang:
    """Bind these pods of one group: all claim writes first, then the binds in one burst.

    ``already_bound``: how many of the gang had a node before this command (> 0: it is only completed, never undone).
    """

    pod_group: PodGroupKey
    placements: tuple[Placement, ...]
    already_bound: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoReservation:
    """Take back our reservation (and the allocation if we were the only consumer) of a half-written gang."""

    pod: PodKey
    uid: Uid
    claims: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evict:
    """Delete a pod by the Eviction API, with stage and beneficiary."""

    pod: PodKey
    uid: Uid
    stage: StageName
    beneficiary: PodGroupKey | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deallocate:
    """Take back a claim's allocation, if it is reserved by nobody and still at this version."""

    claim: ClaimKey
    uid: Uid
    resource_version: str


Command = BindGang | UndoReservation | Evict | Deallocate
