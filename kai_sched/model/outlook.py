"""Outlook: what a waiting gang may hope for (never, not now, not its turn), which fact decides, and what would help.

Data only: sentences are made from it (``planning.outlook.phrases``), never the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kai_sched.model.ids import NodeName, PodGroupKey, QueueName
from kai_sched.model.queues import QuotaResource


class Prospect(StrEnum):
    """What becomes of a gang as it stands, if nobody does anything but wait."""

    NEVER = "Never"
    """It would not fit if it were alone on this fleet, with the queues as they are."""
    NOT_NOW = "NotNow"
    """It fits once others that run have ended."""
    NOT_YOUR_TURN = "NotYourTurn"
    """It fits beside all that runs, but others that wait go first and take the room or the quota."""


class Fact(StrEnum):
    """What decides that a gang can never run as it stands."""

    BIGGEST_NODE = "BiggestNode"
    BIGGEST_DOMAIN = "BiggestDomain"
    FLEET = "Fleet"
    QUEUE_LIMIT = "QueueLimit"
    QUEUE_QUOTA = "QueueQuota"
    NODE_RULES = "NodeRules"
    DEVICE_KIND = "DeviceKind"
    DEVICES = "Devices"
    OBJECT = "Object"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """``asked`` of ``resource`` against the ``there`` that ``subject`` (a node, domain or queue) has at most."""

    fact: Fact
    subject: str = ""
    resource: str = ""
    asked: float = 0
    there: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """What one group holds of what a gang lacks. ``group`` is the pod's key where a pod of another scheduler holds it."""

    group: PodGroupKey
    queue: QueueName
    """"" for a pod of another scheduler."""
    resource: QuotaResource
    amount: float
    over_share: float = 0.0
    """By how much its queue is above its fair share."""


class ActionKind(StrEnum):
    """What can be done so that a gang runs; which fields of an ``Action`` count is said at each."""

    END_GROUPS = "EndGroups"
    """``groups`` end, or are deleted."""
    ADD_NODES = "AddNodes"
    """``amount`` nodes like the first of ``nodes`` are added, with its labels and devices."""
    REPAIR_NODES = "RepairNodes"
    """``nodes`` become ready."""
    UNCORDON = "Uncordon"
    """``nodes`` become schedulable."""
    REMOVE_TAINT = "RemoveTaint"
    """Taint ``key`` is taken from ``nodes`` (or tolerated by the pods)."""
    DROP_SELECTOR = "DropSelector"
    """The pods no longer ask for nodes by label ``key`` (by selector or required affinity)."""
    RAISE_LIMIT = "RaiseLimit"
    """The limit of ``queue`` for ``resource`` becomes ``amount``."""
    RAISE_QUOTA = "RaiseQuota"
    """The deserved quota of ``queue`` for ``resource`` becomes ``amount``."""
    CREATE_QUEUE = "CreateQueue"
    """``queue`` is made."""
    MAKE_PREEMPTIBLE = "MakePreemptible"
    """The gang becomes preemptible."""
    RELAX_LEVEL = "RelaxLevel"
    """The required level of the group, or of its subgroup ``key``, becomes a preferred one."""
    LOWER_MINIMUM = "LowerMinimum"
    """``minMember`` becomes ``amount``."""
    ASK_FOR_LESS = "AskForLess"
    """Each pod asks for ``amount`` of ``resource``; ``key``: of which claim request."""
    CREATE_PODS = "CreatePods"
    """``amount`` more pods like those there are, in subgroup ``key``."""
    UNGATE = "Ungate"
    """The gang's pods lose their scheduling gates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that somebody can do."""

    kind: ActionKind
    groups: tuple[PodGroupKey, ...] = ()
    nodes: tuple[NodeName, ...] = ()
    queue: QueueName | None = None
    resource: str = ""
    amount: float = 0
    key: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """Actions that together let the gang run. ``is_verified``: a plan made with them taken places it."""

    actions: tuple[Action, ...]
    is_verified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """See module."""

    prospect: Prospect | None
    """None for a gang that is not complete yet."""
    bound: Bound | None = None
    """For NEVER."""
    held_by: tuple[Holder, ...] = ()
    """For NOT_NOW: a smallest known set of groups without which it fits, largest first."""
    goes_first: tuple[PodGroupKey, ...] = ()
    """Groups placed before it in this plan without which it fits."""
    advice: tuple[Advice, ...] = ()
    """Alternatives, each sufficient by itself, the best first."""
