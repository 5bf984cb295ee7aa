"""Plan: what one cycle decided. Placements, evictions and a verdict for every gang considered."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from kai_sched.model.devices import ClaimAllocation, ClaimSpec
from kai_sched.model.ids import ClaimKey, NodeName, PodGroupKey, PodKey, QueueName, Uid
from kai_sched.model.outlook import Outlook
from kai_sched.model.policy import StageName
from kai_sched.model.queues import QueueShare, QuotaVector
from kai_sched.model.texts import MESSAGE, NEXT_STEP, shown


class Outcome(StrEnum):
    """What became of a gang this cycle."""

    PLACED = "Placed"
    PIPELINED = "Pipelined"
    UNPLACED = "Unplaced"
    NOT_READY = "NotReady"


class Blocker(StrEnum):
    """Why a gang waits; closed list, explained in docs/concepts.md."""

    CAPACITY = "Capacity"
    TOPOLOGY = "Topology"
    DEVICES = "Devices"
    QUEUE_LIMIT = "QueueLimit"
    NON_PREEMPTIBLE_OVER_QUOTA = "NonPreemptibleOverQuota"
    FAIR_SHARE = "FairShare"
    QUEUE_NOT_FOUND = "QueueNotFound"
    INVALID = "Invalid"
    GANG_NOT_READY = "GangNotReady"
    NODE_CONSTRAINTS = "NodeConstraints"
    UNSUPPORTED = "Unsupported"
    UNKNOWN_WORKLOAD_KIND = "UnknownWorkloadKind"
    SHARING_NOT_ENABLED = "SharingNotEnabled"
    DELAYED = "Delayed"
    REFUSED = "Refused"


@dataclass(frozen=True, slots=True)
class RequestMapping:
    """Which request of the claim serves an extended resource of a container."""

    container: str
    resource: str
    request: str


@dataclass(frozen=True, slots=True)
class ClaimCreation:
    """A claim that does not exist yet: made by us for extended resources that the node serves by DRA (KEP-5004)."""

    spec: ClaimSpec
    mappings: tuple[RequestMapping, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimPlacement:
    """A claim a placed pod uses. ``allocation`` None: already allocated, only reserved for the pod."""

    claim: ClaimKey
    uid: Uid
    devices: tuple[str, ...]
    allocation: ClaimAllocation | None = None
    creation: ClaimCreation | None = None
    """How to make the claim, whose ``uid`` stands for none, before it is allocated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumePlacement:
    """An unbound PersistentVolumeClaim of a placed pod, which must be bound before the pod is.

    ``volume`` is to be its own; "": one is made for the pod's node.
    """

    claim: str
    uid: Uid
    volume: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A pod's node and devices. ``waits_for`` non-empty: pipelined, nothing is bound this cycle."""

    pod: PodKey
    uid: Uid
    pod_group: PodGroupKey
    node: NodeName
    gpu_indices: tuple[int, ...] = ()
    gpu_groups: tuple[str, ...] = ()
    claims: tuple[ClaimPlacement, ...] = ()
    volumes: tuple[VolumePlacement, ...] = ()
    waits_for: tuple[PodKey, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Eviction:
    """A pod taken off its node for a beneficiary; ``moves_to``: its next node, if it has one."""

    pod: PodKey
    uid: Uid
    pod_group: PodGroupKey
    stage: StageName
    beneficiary: PodGroupKey | None
    moves_to: NodeName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deallocation:
    """A claim that nobody uses and whose devices keep the pods that name it off every node: they are given back.

    It holds as long as the claim is reserved by nobody and has not changed.
    """

    claim: ClaimKey
    uid: Uid
    devices: tuple[str, ...]
    beneficiary: PodGroupKey
    resource_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaConflict:
    """Which queue's bound refused a gang, and what the gang asked for."""

    queue: QueueName
    requested: QuotaVector


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The result for one gang. ``message`` says the missing amount; ``next_step`` what would help."""

    pod_group: PodGroupKey
    queue: QueueName
    outcome: Outcome
    blocker: Blocker | None = None
    message: str = ""
    next_step: str = ""
    is_proof: bool = False
    """Whether "does not fit" is proven, not only not found."""
    conflict: QuotaConflict | None = None
    """For blockers QueueLimit and NonPreemptibleOverQuota."""
    outlook: Outlook | None = None
    """Never, not now or not its turn, and what would help; None for who does not wait, or was not looked at."""

    def __post_init__(self) -> None:
        # Both name other people's objects and repeat what those say.
        object.__setattr__(self, "message", shown(self.message, MESSAGE))
        object.__setattr__(self, "next_step", shown(self.next_step, NEXT_STEP))


@dataclass(frozen=True, slots=True)
class StageReport:
    """One stage's effort; ``seconds`` is filled by the shell's clock only."""

    name: StageName
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SolverReport:
    """What the solver did: CP-SAT status, objective per tier, best bound per tier, greedy's objective."""

    status: str = "GREEDY"
    objective: tuple[tuple[str, int], ...] = ()
    bound: tuple[tuple[str, int], ...] = ()
    greedy_objective: tuple[tuple[str, int], ...] = ()
    stages: tuple[StageReport, ...] = ()
    reproducible: bool = True
    models: int = 0
    """CP-SAT models solved."""
    rejected: int = 0
    """Answers that the independent checker refused or that were no better."""


class TurnEnd(StrEnum):
    """How a gang's turn ended where it did not end with an answer."""

    SPENT = "spent"
    """All the work that one gang may take was spent, or deciding it failed."""
    NOT_REACHED = "notReached"
    """The cycle's work was spent before its turn came."""
    RESTED = "rested"
    """It had its turn in an earlier cycle, and others that had none went first; its verdict is the one of then."""


@dataclass(frozen=True, slots=True)
class Contained:
    """A failure of our own that cost one object its decision, and nobody else anything. ``error``: its kind."""

    pod_group: PodGroupKey
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The decisions of one cycle."""

    now: float
    binds: tuple[Placement, ...] = ()
    pipelined: tuple[Placement, ...] = ()
    evictions: tuple[Eviction, ...] = ()
    deallocations: tuple[Deallocation, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    shares: tuple[QueueShare, ...] = ()
    solver: SolverReport = field(default_factory=SolverReport)
    turns: tuple[tuple[PodGroupKey, TurnEnd], ...] = ()
    """Gangs whose turn ended without an answer of this cycle, in key order."""
    contained: tuple[Contained, ...] = ()
