"""SchedulingShards read as a policy: KAI's names and defaults, ours beside them, and every unknown key refused."""

from __future__ import annotations

from typing import Any

import pytest

from kai_sched.api.objects import ObjectSet
from kai_sched.api.settings import Settings
from kai_sched.api.shard_policy import base_policy, policy_of, reading_of
from kai_sched.errors import InvalidInput
from kai_sched.model.policy import DeviceChoice, Policy, StageName, Strategy

SETTINGS = Settings()


def a_shard(name: str = "default", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kai.scheduler/v1",
        "kind": "SchedulingShard",
        "metadata": {"name": name},
        "spec": spec,
    }


def read(**spec: Any) -> Policy:
    return policy_of(objects(a_shard(**spec)), SETTINGS)


def refusal(**spec: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        read(**spec)
    return str(caught.value)


def objects(*shards: dict[str, Any]) -> ObjectSet:
    return ObjectSet(shards)


def test_an_empty_shard_means_kais_defaults() -> None:
    policy = read()

    assert policy == base_policy(SETTINGS)
    assert policy.stages == tuple(StageName)
    assert (policy.gpu_strategy, policy.cpu_strategy) == (Strategy.BINPACK, Strategy.BINPACK)
    assert policy.k_value == 1.0
    assert policy.staleness_grace_seconds == 60.0
    assert policy.stuck_in_releasing_seconds == 120.0
    assert policy.max_consolidation_preemptees == 16
    assert policy.allow_consolidating_reclaim
    assert policy.use_signatures
    assert policy.queue_depth is None
    assert policy.device_choice is DeviceChoice.TOPOLOGY


@pytest.mark.parametrize(
    ("spec", "field", "meant"),
    [
        ({"placementStrategy": {"gpu": "spread"}}, "gpu_strategy", Strategy.SPREAD),
        ({"placementStrategy": {"cpu": "spread"}}, "cpu_strategy", Strategy.SPREAD),
        ({"partitionLabelValue": "pool-a"}, "partition_value", "pool-a"),
        ({"kValue": 0.5}, "k_value", 0.5),
        ({"minRuntime": {"preemptMinRuntime": "5m"}}, "preempt_min_runtime_seconds", 300.0),
        ({"minRuntime": {"reclaimMinRuntime": "1h30m"}}, "reclaim_min_runtime_seconds", 5400.0),
        ({"queueDepthPerAction": {"allocate": 10}}, "queue_depth", 10),
        ({"queueDepthPerAction": {"reclaim": 10}}, "queue_depth_of", ((StageName.RECLAIM, 10),)),
        ({"plugins": {"minruntime": {"enabled": False}}}, "min_runtime", False),
        ({"plugins": {"proportion": {"arguments": {"kValue": "2"}}}}, "k_value", 2.0),
        (
            {"plugins": {"proportion": {"arguments": {"relcaimerSaturationMultiplier": "1.5"}}}},
            "saturation_multiplier",
            1.5,
        ),
        ({"plugins": {"nodeplacement": {"arguments": {"gpu": "spread"}}}}, "gpu_strategy", Strategy.SPREAD),
        (
            {"plugins": {"minruntime": {"arguments": {"defaultPreemptMinRuntime": "30s"}}}},
            "preempt_min_runtime_seconds",
            30.0,
        ),
        (
            {"actions": {"reclaim": {"enabled": False}}},
            "stages",
            tuple(s for s in StageName if s != "reclaim"),
        ),
        ({"kaiSched": {"deviceChoice": "reference"}}, "device_choice", DeviceChoice.REFERENCE),
        ({"kaiSched": {"bugCompatible": True}}, "bug_compatible", True),
        ({"kaiSched": {"useSolver": False}}, "use_solver", False),
        ({"args": {"default-staleness-grace-period": "-1s"}}, "staleness_grace_seconds", -1.0),
        ({"args": {"max-consolidation-preemptees": "-1"}}, "max_consolidation_preemptees", -1),
        ({"args": {"allow-consolidating-reclaim": "false"}}, "allow_consolidating_reclaim", False),
        ({"args": {"stuck-in-releasing-threshold": "10m"}}, "stuck_in_releasing_seconds", 600.0),
        ({"args": {"use-scheduling-signatures": "false"}}, "use_signatures", False),
        ({"args": {"device-choice": "reference"}}, "device_choice", DeviceChoice.REFERENCE),
        ({"args": {"restrict-node-scheduling": "true"}}, "restrict_node_scheduling", True),
        ({"args": {"nodepool-label-key": "example.com/pool"}}, "partition_label", "example.com/pool"),
        ({"args": {"partition-label-value": "b"}, "partitionLabelValue": "a"}, "partition_value", "b"),
        ({"args": {"scheduler-name": "mine"}}, "scheduler_name", "mine"),
        ({"args": {"bug-compatible": True}}, "bug_compatible", True),
    ],
)
def test_each_field_sets_what_it_names(spec: dict[str, Any], field: str, meant: object) -> None:
    assert getattr(base_policy(SETTINGS), field) != meant
    assert getattr(read(**spec), field) == meant


def test_the_solvers_limits_are_set_one_by_one() -> None:
    budget = read(kaiSched={"solver": {"seed": 7, "deterministicTime": 0.5, "searchSteps": 10}}).solver

    assert (budget.seed, budget.deterministic_time, budget.search_steps) == (7, 0.5, 10)
    assert budget.lns_iterations == Policy().solver.lns_iterations


def test_spreading_turns_consolidation_off_unless_it_is_asked_for() -> None:
    spread = {"placementStrategy": {"gpu": "spread"}}

    assert StageName.CONSOLIDATE not in read(**spread).stages
    assert StageName.CONSOLIDATE in read(**spread, actions={"consolidation": {"enabled": True}}).stages


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"placementStrategy": {"gpu": "pack"}}, "spec.placementStrategy.gpu: must be binpack or spread"),
        ({"args": {"use-scheduling-signatures": "maybe"}}, "spec.args.use-scheduling-signatures"),
        ({"args": {"max-consolidation-preemptees": "-2"}}, "must be at least -1"),
        ({"args": {"max-consolidation-preemptees": "all"}}, "must be a whole number"),
        ({"args": {"device-choice": "best"}}, "topology, reference"),
        ({"args": {"default-staleness-grace-period": "soon"}}, "spec.args.default-staleness-grace-period"),
        ({"minRuntime": {"preemptMinRuntime": "5 minutes"}}, "spec.minRuntime.preemptMinRuntime"),
        ({"kValue": -1}, "spec.kValue: must be at least 0"),
        ({"queueDepthPerAction": {"allocate": 0}}, "spec.queueDepthPerAction.allocate: must be at least 1"),
        ({"plugins": {"proportion": {"arguments": {"kValue": "big"}}}}, "must be a number"),
        ({"kaiSched": {"deviceChoice": "best"}}, "spec.kaiSched.deviceChoice"),
        ({"kaiSched": {"solver": {"seed": -1}}}, "spec.kaiSched.solver.seed: must be at least 0"),
    ],
)
def test_what_is_wrong_is_refused_by_its_path(spec: dict[str, Any], said: str) -> None:
    message = refusal(**spec)

    assert "SchedulingShard default" in message
    assert said in message


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"placementStrateg": {}}, "spec.placementStrateg: unknown key"),
        ({"placementStrategy": {"gpus": "spread"}}, "spec.placementStrategy.gpus: unknown key"),
        ({"args": {"no-such-flag": "1"}}, "spec.args.no-such-flag: unknown key"),
        ({"args": {"full-hierarchy-fairness": "false"}}, "not supported"),
        ({"args": {"queue-label-key": "mine"}}, "only kai.scheduler/queue is supported"),
        ({"queueDepthPerAction": {"guess": 1}}, "spec.queueDepthPerAction.guess: unknown key"),
        ({"plugins": {"mine": {}}}, "spec.plugins.mine: unknown plugin"),
        ({"plugins": {"predicates": {"enabled": False}}}, "cannot be turned off"),
        ({"plugins": {"proportion": {"arguments": {"x": "1"}}}}, "unknown argument"),
        ({"actions": {"guess": {}}}, "spec.actions.guess: unknown key"),
        ({"actions": {"preempt": {"priority": 900}}}, "another order of actions is not supported"),
        ({"usageDBConfig": {"clientType": "prometheus"}}, "time-based fair share is not supported yet"),
        ({"kaiSched": {"solver": {"seeds": 1}}}, "spec.kaiSched.solver.seeds: unknown key"),
    ],
)
def test_what_is_not_served_is_left_out_and_named(spec: dict[str, Any], said: str) -> None:
    reading = reading_of(objects(a_shard(partitionLabelValue="pool-a", **spec)), SETTINGS)

    assert reading.policy == read(partitionLabelValue="pool-a")
    (note,) = reading.not_served
    assert said in str(note)
    assert reading.remarks == (str(note),)


def test_knobs_of_kais_process_are_accepted_and_listed() -> None:
    shard = a_shard(args={"qps": "50", "v": "3", "bug-compatible": "true"}, goMemLimitRatio=0.8)

    reading = reading_of(objects(shard), SETTINGS)

    assert reading.policy.bug_compatible
    assert reading.without_effect == ("spec.goMemLimitRatio", "spec.args.qps", "spec.args.v")
    assert reading.remarks == ("without effect here: spec.goMemLimitRatio, spec.args.qps, spec.args.v",)


def test_the_only_shard_is_taken_and_among_several_the_one_named() -> None:
    one, two = a_shard("one", kValue=2), a_shard("two", kValue=3)

    assert policy_of(objects(), SETTINGS) == base_policy(SETTINGS)
    assert policy_of(objects(one), SETTINGS).k_value == 2
    assert policy_of(objects(one, two), SETTINGS, shard="two").k_value == 3
    assert policy_of(objects(one, two), Settings(shard="one")).shard == "one"


def test_a_shard_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(InvalidInput, match="there are: one, two"):
        policy_of(objects(a_shard("one"), a_shard("two")), SETTINGS)
    with pytest.raises(InvalidInput, match="SchedulingShard three"):
        policy_of(objects(a_shard("one")), SETTINGS, shard="three")


def test_settings_of_the_process_are_the_ground_of_the_policy() -> None:
    settings = Settings.model_validate(
        {
            "schedulerName": "mine",
            "nodePoolLabel": "pool",
            "defaultQueue": "q",
            "gpuClasses": [{"deviceClass": "mig", "selector": "true", "weight": 0.5}],
            "cliqueLabel": "clique",
        }
    )

    policy = policy_of(objects(a_shard()), settings)

    assert (policy.scheduler_name, policy.partition_label, policy.default_queue) == ("mine", "pool", "q")
    assert [(rule.device_class, rule.selector, rule.weight) for rule in policy.gpu_classes] == [
        ("mig", "true", 0.5)
    ]
    assert policy.clique_label == "clique"
