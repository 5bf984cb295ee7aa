"""Policy: the admin's knobs of one shard as one value. Source of names and defaults: KAI SchedulingShard v1."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class StageName(StrEnum):
    """Stages of a cycle in their fixed order, least disruptive first."""

    ALLOCATE = "allocate"
    CONSOLIDATE = "consolidate"
    RECLAIM = "reclaim"
    PREEMPT = "preempt"
    STALE_GANGS = "stale_gangs"


class Strategy(StrEnum):
    """Where pods of one kind are put when several nodes serve."""

    BINPACK = "binpack"
    SPREAD = "spread"


class DeviceChoice(StrEnum):
    """Which devices of a node a claim takes."""

    TOPOLOGY = "topology"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class GpuClassRule:
    """What counts as GPU in quotas: class name ("" any), an optional CEL selector, weight a device."""

    device_class: str
    selector: str = ""
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SolverBudget:
    """Limits of one cycle's solving. Deterministic units only; the wall limit is the shell's safety net."""

    seed: int = 1
    deterministic_time: float = 2.0
    """Of one cycle on a fleet of 5000 nodes or more; smaller fleets get less, down to a quarter."""
    deterministic_time_per_model: float = 0.05
    lns_iterations: int = 8
    max_variables: int = 10_000
    search_steps: int = 200_000
    """Steps of the device search for one claim set on one node; reaching it is a verdict."""
    work: int = 100_000
    """Units of work, of about ten microseconds, that one cycle gives to gangs that must be searched for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidentialRules:
    """How nodes with confidential GPUs are known, the pods that want them, and the devices that such pods may have."""

    tee_labels: tuple[tuple[str, str], ...] = (
        ("-snp", "amd.feature.node.kubernetes.io/snp"),
        ("-tdx", "intel.feature.node.kubernetes.io/tdx"),
    )
    """(ending of a runtime class, node label that is "true" where the trusted environment that it asks for exists)."""
    mode_label: str = "nvidia.com/cc.mode"
    """The mode that a node is meant to be in; "": nodes do not change modes."""
    mode_state_label: str = "nvidia.com/cc.mode.state"
    """The mode that it is in."""
    ready_label: str = "nvidia.com/cc.ready.state"
    """"true" where confidential pods may start; "": everywhere."""
    modes: tuple[str, ...] = ("on", "ppcie")
    """Modes in which GPUs serve confidential pods, and no driver on the host."""
    whole_node_modes: tuple[str, ...] = ("ppcie",)
    """Modes in which all GPUs and switches of a node go to one pod."""
    resource_prefix: str = "nvidia.com/"
    """Extended resources that are GPUs and switches of a node."""
    drivers: tuple[str, ...] = ("gpu.nvidia.com",)
    """DRA drivers whose devices are such GPUs; devices of others (network cards) are not concerned."""
    passthrough_attribute: str = "type"
    passthrough_values: tuple[str, ...] = ("vfio",)
    """What that attribute of a device says where the device is handed to a virtual machine as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything an admin may set about deciding."""

    shard: str = "default"
    partition_label: str = "kai.scheduler/node-pool"
    partition_value: str = ""
    """Nodes, queues, pod groups and pods with this value belong to the shard; "": those without the label."""
    stages: tuple[StageName, ...] = (StageName.ALLOCATE,)
    gpu_strategy: Strategy = Strategy.BINPACK
    cpu_strategy: Strategy = Strategy.BINPACK
    k_value: float = 1.0
    default_queue: str = "default-queue"
    queue_label: str = "kai.scheduler/queue"
    project_label: str = "project"
    """Labels of a pod that name its queue, the second where the first is not there."""
    scheduler_name: str = "kai-scheduler"
    device_choice: DeviceChoice = DeviceChoice.TOPOLOGY
    bug_compatible: bool = False
    gpu_classes: tuple[GpuClassRule, ...] = ()
    """Empty: KAI's rule, the class name contains "gpu", weight 1."""
    gpu_resources: tuple[str, ...] = ("nvidia.com/gpu", "amd.com/gpu")
    """Extended resources counted as whole GPUs."""
    partition_resources: str = r"nvidia\.com/mig-(\d+)g\b.*"
    """Regular expression of extended resources that are partitions of a GPU; its group is how many GPUs one counts."""
    partition_strategy_label: str = "nvidia.com/mig.strategy"
    """Node label that says how its GPUs are partitioned."""
    partitions_as_gpus: tuple[str, ...] = ("single",)
    """Its values where each GPU that a device plugin offers is a partition, of which no pod can have a part."""
    gpu_count_label: str = "nvidia.com/gpu.count"
    """Node label that says how many GPUs a node has, where a device plugin and slices both offer them."""
    gpu_memory_label: str = "nvidia.com/gpu.memory"
    """Node label with the MiB of one GPU of the node."""
    confidential: ConfidentialRules = ConfidentialRules()
    island_attributes: tuple[str, ...] = (
        "resource.kubernetes.io/nvlinkDomain",
        "resource.kubernetes.io/pcieRoot",
    )
    clique_label: str = "nvidia.com/gpu.clique"
    fabric_drivers: tuple[str, ...] = ("compute-domain.nvidia.com",)
    """Drivers whose claims join their pods to one multi-node fabric, which lies in one clique."""
    fabric_node_label: str = "resource.nvidia.com/computeDomain"
    """Label by which such a driver marks nodes that a fabric has; its value is named in the claims' configuration."""
    queue_depth: int | None = None
    queue_depth_of: tuple[tuple[StageName, int], ...] = ()
    """Limits of single stages; a stage that is not here has none (``queue_depth`` is the one of allocate)."""
    priority_label_may_raise: bool = False
    """KAI's reading: the class named by a label counts also where it is above the pod's own (or its kind's default)."""
    min_runtime: bool = True
    """False: no gang is protected by how long it has run, whatever its queue says."""
    preempt_min_runtime_seconds: float = 0.0
    reclaim_min_runtime_seconds: float = 0.0
    staleness_grace_seconds: float = 60.0
    stuck_in_releasing_seconds: float = 120.0
    max_consolidation_preemptees: int = 16
    allow_consolidating_reclaim: bool = True
    use_signatures: bool = True
    saturation_multiplier: float = 1.0
    restrict_node_scheduling: bool = False
    sharing_enabled: bool = True
    """False in the operator until it can realise fractions: verdict SharingNotEnabled."""
    solver: SolverBudget = SolverBudget()
    advice_units: int = 5_000
    """Nodes and pods that plans made to tell waiting gangs their prospects may hold together, a cycle; 0: no prospects."""
    use_solver: bool = True
    """False: the greedy plan is the answer (benchmark baseline)."""

    @property
    def node_pool(self) -> str:
        """What statuses call the shard's node pool."""
        return self.partition_value or "default"
