"""SchedulingShard, kai.scheduler/v1: the policy of one node pool. Source: KAI Scheduler's API; ``kaiSched`` is ours."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from kai_sched.api.schema import Column, CustomResource
from kai_sched.api.wire import Condition, Count, Count64, Duration, Int32, Quantity, Time, WireModel
from kai_sched.model.policy import DeviceChoice, Strategy

AtLeastZero = Annotated[float, Field(ge=0)]


class PlacementStrategy(WireModel):
    """Fill nodes up or spread over them."""

    gpu: Strategy | None = Field(default=None, description="For pods that use GPUs. Default binpack.")
    cpu: Strategy | None = Field(default=None, description="For all others. Default binpack.")


class MinRuntime(WireModel):
    """Defaults of the queues' own settings."""

    preempt_min_runtime: str | None = Field(default=None, description="Before preemption. Default 0s.")
    reclaim_min_runtime: str | None = Field(default=None, description="Before reclaim. Default 0s.")


class UsageParams(WireModel):
    """How usage of the past is weighed."""

    half_life_period: Duration | None = Field(
        default=None, description="Usage this old counts half. Default off."
    )
    window_size: str | None = Field(
        default=None, description="How far back, a Prometheus duration. Default 1w."
    )
    window_type: Literal["sliding", "tumbling", "cron"] | None = Field(
        default=None, description="Kind of window."
    )
    tumbling_window_start_time: Time | None = Field(default=None, description="Start of the first window.")
    cron_string: str | None = Field(default=None, description="Starts of windows.")
    fetch_interval: Duration | None = Field(default=None, description="Time between queries. Default 1m.")
    staleness_period: Duration | None = Field(
        default=None, description="Older data are not used. Default 5m."
    )
    wait_timeout: Duration | None = Field(default=None, description="Wait for the database. Default 1m.")
    extra_params: dict[str, str] | None = Field(default=None, description="Parameters of the client.")


class UsageDBConfig(WireModel):
    """Where usage of the past comes from."""

    client_type: Literal["prometheus", "fake"] = Field(description="Kind of database.")
    connection_string: str | None = Field(default=None, description="Its address.")
    connection_string_env_var: str | None = Field(
        default=None, description="Variable that holds its address."
    )
    usage_params: UsageParams | None = Field(default=None, description="How usage is weighed.")


class ScenarioSearchBudgets(WireModel):
    """Time limits of KAI's search; here work is limited by ``kaiSched.solver``."""

    max_action_search_duration: dict[str, Duration] | None = Field(default=None, description="By action.")
    max_job_search_duration: Duration | None = Field(default=None, description="Of one pod group.")
    min_job_search_duration: Duration | None = Field(default=None, description="Kept for each pod group.")
    max_generator_search_duration: dict[str, Duration] | None = Field(
        default=None, description="By generator."
    )


class Plugin(WireModel):
    """One plugin of KAI."""

    enabled: bool | None = Field(default=None, description="Default true.")
    priority: Int32 | None = Field(default=None, description="Order of plugins.")
    arguments: dict[str, str] | None = Field(default=None, description="Arguments.")


class Action(WireModel):
    """One stage of a cycle."""

    enabled: bool | None = Field(default=None, description="Default true; consolidation false with spread.")
    priority: Int32 | None = Field(default=None, description="Order of stages.")


class SolverOptions(WireModel):
    """Limits of one cycle's solving; deterministic units, so that a decision can be repeated."""

    seed: Count | None = Field(default=None, description="Seed of every random choice.")
    deterministic_time: AtLeastZero | None = Field(default=None, description="Work of one cycle.")
    deterministic_time_per_model: AtLeastZero | None = Field(default=None, description="Work of one model.")
    lns_iterations: Count | None = Field(default=None, description="Rounds of improvement.")
    max_variables: Count | None = Field(default=None, description="Size of one model.")
    search_steps: Count64 | None = Field(
        default=None, description="Steps of the device search of one pod on one node."
    )


class KaiSchedPolicy(WireModel):
    """Knobs that KAI does not have."""

    device_choice: DeviceChoice | None = Field(
        default=None,
        description="topology: the best of the feasible devices; reference: Kubernetes' own choice.",
    )
    bug_compatible: bool | None = Field(
        default=None, description="Repeat known bugs of the reference allocator. Default false."
    )
    use_solver: bool | None = Field(default=None, description="false: the greedy plan is the answer.")
    solver: SolverOptions | None = Field(default=None, description="Limits of one cycle's solving.")


class SchedulingShardSpec(WireModel):
    """The policy."""

    args: dict[str, str] | None = Field(
        default=None, description="Scheduler flags; they win over the fields."
    )
    placement_strategy: PlacementStrategy | None = Field(default=None, description="Fill up or spread.")
    partition_label_value: str | None = Field(
        default=None, description="Value of the node pool label; empty: objects without it."
    )
    queue_depth_per_action: dict[str, int] | None = Field(
        default=None, description="Pod groups of a leaf queue that one action tries. Default: all."
    )
    min_runtime: MinRuntime | None = Field(default=None, description="Protection of what runs.")
    k_value: AtLeastZero | None = Field(default=None, description="Weight of past usage. Default 1.")
    usage_db_config: UsageDBConfig | None = Field(
        default=None, alias="usageDBConfig", description="Time-based fair share."
    )
    scenario_search_budgets: ScenarioSearchBudgets | None = Field(
        default=None, description="Time limits of KAI's search."
    )
    plugins: dict[str, Plugin] | None = Field(default=None, description="KAI's plugins by name.")
    actions: dict[str, Action] | None = Field(default=None, description="Stages by name.")
    go_mem_limit_ratio: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="KAI's memory limit as part of its container's."
    )
    go_mem_limit: Quantity | None = Field(default=None, description="KAI's memory limit.")
    kai_sched: KaiSchedPolicy | None = Field(default=None, description="Knobs that KAI does not have.")


class SchedulingShardStatus(WireModel):
    """Whether the policy can be used."""

    conditions: list[Condition] | None = Field(default=None, description="Invalid and the like.")


class SchedulingShard(WireModel):
    """The policy of one node pool."""

    model_config = ConfigDict(title="SchedulingShard")

    spec: SchedulingShardSpec | None = Field(default=None, description="The policy.")
    status: SchedulingShardStatus | None = Field(default=None, description="Whether it can be used.")


SCHEDULING_SHARD = CustomResource(
    model=SchedulingShard,
    group="kai.scheduler",
    version="v1",
    plural="schedulingshards",
    is_namespaced=False,
    columns=(
        Column("Partition", "string", ".spec.partitionLabelValue"),
        Column("Age", "date", ".metadata.creationTimestamp"),
    ),
)
