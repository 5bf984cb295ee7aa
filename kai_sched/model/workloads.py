"""Pods, subgroups and pod groups as the core sees them.

A pod is split in two: ``PodSpec`` holds everything that decides where it may run and is interned (thousands of
pods share one), ``Pod`` holds what is its own. Identical specs are one shape for the solver.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from kai_sched.model.ids import ClaimKey, NodeName, PodGroupKey, PodKey, QueueName, Uid
from kai_sched.model.resources import NOTHING, Amounts
from kai_sched.model.selectors import LabelSelector, NodeSelector, NodeSelectorTerm, Toleration


class PodState(IntEnum):
    """Where a pod stands, told from the API object alone (design: "Pod states")."""

    PENDING = 0
    GATED = 1
    BINDING = 2
    """We decided and are writing it; known from the overlay of commands in flight."""
    BOUND = 3
    RUNNING = 4
    RELEASING = 5
    """Deletion timestamp set: its room counts as coming free."""
    STUCK_RELEASING = 6
    """Releasing longer than the threshold: its room is not counted on."""
    SUCCEEDED = 7
    FAILED = 8


HOLDS_ROOM: frozenset[PodState] = frozenset(
    {
        PodState.BINDING,
        PodState.BOUND,
        PodState.RUNNING,
        PodState.RELEASING,
        PodState.STUCK_RELEASING,
    }
)
ACTIVE: frozenset[PodState] = frozenset({PodState.BINDING, PodState.BOUND, PodState.RUNNING})


@dataclass(frozen=True, slots=True)
class PodAffinityTerm:
    """One term of pod (anti-)affinity. ``namespaces`` resolved: () means all namespaces."""

    topology_key: str
    selector: LabelSelector | None
    namespaces: tuple[str, ...]
    weight: int = 0
    """0: required."""


@dataclass(frozen=True, slots=True)
class TopologySpread:
    """One topologySpreadConstraint (matchLabelKeys already merged into ``selector``)."""

    topology_key: str
    max_skew: int
    selector: LabelSelector | None
    is_required: bool
    min_domains: int = 1
    honours_node_affinity: bool = True
    honours_node_taints: bool = False


@dataclass(frozen=True, slots=True)
class HostPort:
    """A host port of a container; ``host_ip`` "" or "0.0.0.0" clashes with every address."""

    port: int
    protocol: str = "TCP"
    host_ip: str = ""


@dataclass(frozen=True, slots=True)
class GpuShare:
    """KAI's fractional request: a part of ``devices`` GPUs by portion or by memory.

    Exactly one of ``portion_micros`` (millionths of one GPU) and ``memory_mib`` is set.
    """

    portion_micros: int = 0
    memory_mib: int = 0
    devices: int = 1
    mps: bool = False


EXTENDED_RESOURCES: Final = "<extended-resources>"
"""Name of the claim reference that stands for extended resources backed by DRA (KEP-5004)."""


@dataclass(frozen=True, slots=True)
class PodClaimRef:
    """One entry of spec.resourceClaims with the claim it resolved to.

    ``claim`` None: the controller has not made it yet (the pod is not ready). ``is_own``: made from a template
    for this pod alone. Claims are in ``ClusterSnapshot.claims``.
    """

    name: str
    claim: ClaimKey | None
    is_own: bool
    template: str = ""


@dataclass(frozen=True, slots=True)
class ExtendedRequest:
    """Pieces of an extended resource that one container asks for.

    ``name``: what the request is called in a claim made for it, should the node serve the resource by DRA
    (KEP-5004). ``is_starting``: the container ends before those after it run.
    """

    container: str
    name: str
    resource: str
    count: int
    is_starting: bool = False


@dataclass(frozen=True, slots=True)
class PodSpec:
    """What decides where a pod may run; equal specs are one shape. Hashable, interned by ``api.translate``.

    ``requests`` are the effective requests: max(init, sum of containers + sidecars) + overhead, and ``pods: 1``.
    ``unsupported`` names fields that we read and cannot honour yet ("spec.x: reason").
    """

    namespace: str
    labels: tuple[tuple[str, str], ...] = ()
    requests: Amounts = NOTHING
    gpu_share: GpuShare | None = None
    node_selector: tuple[tuple[str, str], ...] = ()
    required_node_affinity: NodeSelector | None = None
    preferred_node_affinity: tuple[tuple[int, NodeSelectorTerm], ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    pod_affinity: tuple[PodAffinityTerm, ...] = ()
    pod_anti_affinity: tuple[PodAffinityTerm, ...] = ()
    topology_spread: tuple[TopologySpread, ...] = ()
    host_ports: tuple[HostPort, ...] = ()
    volume_claims: tuple[str, ...] = ()
    """Names of PersistentVolumeClaims in the pod's namespace (ephemeral volumes resolved)."""
    ephemeral_claims: tuple[tuple[str, str], ...] = ()
    """Those made for ephemeral volumes, each with the uid of the pod that it must belong to: an older pod of the same
    name may have left one."""
    inline_volumes: tuple[tuple[str, str, bool], ...] = ()
    """Exclusive in-tree disks: (kind, id, read_only), for the VolumeRestrictions filter."""
    config_maps: tuple[str, ...] = ()
    """ConfigMaps that must exist (KAI's predicate)."""
    runtime_class: str = ""
    extended: tuple[ExtendedRequest, ...] = ()
    """Extended resources by container, in the order in which containers start; ``requests`` has their sums."""
    unsupported: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outside:
    """What a pod that another scheduler places says of a pod group of ours."""

    group: PodGroupKey
    scheduler_name: str


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod: identity, membership, state; ``spec`` is shared between alike pods."""

    key: PodKey
    uid: Uid
    spec: PodSpec
    state: PodState
    group: PodGroupKey | None
    """None: not of our scheduler, only takes room."""
    subgroup: str = ""
    node: NodeName | None = None
    priority: int = 0
    task_priority: int = 0
    is_leader: bool = False
    """Kubeflow master/launcher or Ray head: goes first inside its group."""
    created_at: float = 0.0
    claims: tuple[PodClaimRef, ...] = ()
    gpu_groups: tuple[str, ...] = ()
    """Shared-GPU groups it sits in (KAI label runai-gpu-group)."""
    gpu_indices: tuple[int, ...] = ()
    nominated_node: NodeName | None = None
    has_finalizers: bool = False
    releasing_since: float | None = None
    """Deletion timestamp; the snapshot tells RELEASING from STUCK_RELEASING by it and ``now``."""
    resource_version: str = ""
    problem: str = ""
    """A field of the pod itself that is wrong ("annotation gpu-fraction: ..."); its group is Invalid."""
    share_ticket: str = ""
    """Which part of a shared claim is its own (``Claim.parts_millis``)."""
    is_alone: bool = False
    """Names no pod group and belongs to no workload: a group of its own. Names that are equal say nothing of this."""
    outside: Outside | None = None
    """The pod group that it names though it is not of our scheduler."""

    @property
    def claim_keys(self) -> tuple[ClaimKey, ...]:
        """The claims that exist, each once: a pod may use one under two names."""
        if not self.claims:
            return ()
        return tuple(dict.fromkeys(ref.claim for ref in self.claims if ref.claim is not None))


class GroupOrigin(StrEnum):
    """Where a pod group comes from."""

    CRD = "crd"
    BARE_POD = "bare-pod"
    NATIVE = "native"
    UNKNOWN_KIND = "unknown-kind"
    """The pods' controller kind has no grouper: never placed, blocker UnknownWorkloadKind."""
    AWAITED = "awaited"
    """An owner of the pods was not seen: what they are to each other is not known yet."""
    MISSING = "missing"
    """Pods name a pod group that does not exist."""


@dataclass(frozen=True, slots=True)
class TopologyConstraint:
    """Levels are node labels or aliases of the named Topology."""

    topology: str = ""
    required_level: str = ""
    preferred_level: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubGroup:
    """A node of a pod group's tree: leaves hold pods (``min_member``), others children (``min_sub_group``)."""

    name: str
    parent: str = ""
    min_member: int | None = None
    min_sub_group: int | None = None
    constraint: TopologyConstraint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PodGroup:
    """The unit of admission. ``min_member`` 0 is fully elastic. Source: KAI PodGroup v2alpha2."""

    key: PodGroupKey
    uid: Uid
    queue: QueueName
    origin: GroupOrigin = GroupOrigin.CRD
    min_member: int = 1
    min_sub_group: int | None = None
    sub_groups: tuple[SubGroup, ...] = ()
    constraint: TopologyConstraint | None = None
    priority: int = 50
    is_preemptible: bool = True
    created_at: float = 0.0
    preemption_delay_seconds: float = 0.0
    staleness_grace_seconds: float | None = None
    """None: the policy's default; negative: never evicted."""
    scheduling_backoff: int = -1
    given_up_on: str = ""
    """With a backoff of 1: the node pool that it could not be scheduled on last, where it is not tried again."""
    mark_unschedulable: bool = True
    last_start_at: float | None = None
    last_eviction_at: float | None = None
    stale_since: float | None = None
    resource_version: str = ""
    problem: str = ""
    """Why the object is Invalid, with the path of the field; "" if it is fine."""
    detail: str = ""
    """For UNKNOWN_KIND, AWAITED and MISSING: which kind, owner or name."""
