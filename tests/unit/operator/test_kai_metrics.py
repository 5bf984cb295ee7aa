"""Dashboards made for KAI read our metrics: names, types, labels and units are KAI's."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kai_sched.binder.outcomes import CommandOutcome, Result
from kai_sched.model.commands import BindGang
from kai_sched.model.ids import NodeName, PodGroupKey, PodKey, QueueName, Uid
from kai_sched.model.plan import Eviction, Placement, Plan, SolverReport, StageReport
from kai_sched.model.policy import StageName
from kai_sched.model.queues import QueueShare, QuotaVector
from kai_sched.operator.telemetry import Telemetry
from kai_sched.solving.stats import Decision, Ending, SolvingStats
from tests.builders import NOW, a_queue

QUEUE = {"queue_name", "queue_metadata_name", "queue_display_name"}
GAUGES: Mapping[str, set[str]] = {
    **dict.fromkeys(
        (
            "kai_queue_info",
            "kai_queue_deserved_gpus",
            "kai_queue_quota_cpu_cores",
            "kai_queue_quota_memory_bytes",
            "kai_queue_allocated_gpus",
            "kai_queue_allocated_cpu_cores",
            "kai_queue_allocated_memory_bytes",
            "kai_queue_fair_share_cpu_cores",
            "kai_queue_fair_share_memory_gb",
            "kai_queue_fair_share_gpu",
        ),
        QUEUE,
    ),
    "kai_e2e_scheduling_latency_milliseconds": set(),
    "kai_open_session_latency_milliseconds": set(),
    "kai_close_session_latency_milliseconds": set(),
    "kai_action_scheduling_latency_milliseconds": {"action"},
    "kai_podgroups_scheduled_by_action": {"action"},
    "kai_podgroups_acted_on_by_action": {"action"},
    "kai_total_preemption_attempts": set(),
    "kai_pod_group_evicted_pods_total": {"podgroup", "uid", "nodepool", "action"},
}
HISTOGRAMS = ("kai_task_scheduling_latency_milliseconds", "kai_task_bind_latency_milliseconds")
UNLIMITED = QuotaVector(-1, -1, -1)


def a_share(**amounts: QuotaVector) -> QueueShare:
    everything = {
        name: amounts.get(name, QuotaVector(4, 2500, 3000))
        for name in (
            "deserved",
            "limit",
            "fair_share",
            "allocated",
            "allocated_non_preemptible",
            "requested",
        )
    }
    return QueueShare(queue=QueueName("team-a"), **everything)


def told(share: QueueShare | None = None, display_name: str = "") -> Telemetry:
    """Metrics after a cycle in which everything happened."""
    telemetry = Telemetry()
    placement = Placement(
        pod=PodKey("team/p"), uid=Uid("u"), pod_group=PodGroupKey("team/g"), node=NodeName("n")
    )
    eviction = Eviction(
        pod=PodKey("team/v"),
        uid=Uid("v"),
        pod_group=PodGroupKey("team/g"),
        stage=StageName.STALE_GANGS,
        beneficiary=None,
    )
    stages = (StageReport(StageName.ALLOCATE, 0.25),)
    plan = Plan(now=NOW, shares=(share or a_share(),), solver=SolverReport(stages=stages))
    telemetry.queues([a_queue("team-a", display_name=display_name)], plan)
    telemetry.decided(Decision(plan=plan, ending=Ending.FINISHED, seconds=0.1), SolvingStats())
    telemetry.cycle_took(2.0, 0.5, 0.25)
    telemetry.started([NOW - 0.3], NOW)
    telemetry.evicted([eviction], {PodGroupKey("team/g"): "uid-g"}, "default")
    command = BindGang(pod_group=PodGroupKey("team/g"), placements=(placement,), already_bound=0)
    telemetry.ended(CommandOutcome(command=command, result=Result.DONE, bound=(PodKey("team/p"),)), 0.04)
    return telemetry


def samples(telemetry: Telemetry) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in telemetry.registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found


def value(telemetry: Telemetry, name: str) -> float:
    ((_, amount),) = samples(telemetry)[name]
    return amount


@pytest.mark.parametrize("name", GAUGES)
def test_each_has_kais_name_and_labels(name: str) -> None:
    found = samples(told())[name]

    assert [set(labels) for labels, _ in found] == [GAUGES[name]] * len(found)


@pytest.mark.parametrize("name", HISTOGRAMS)
def test_latencies_of_tasks_have_kais_buckets(name: str) -> None:
    found = samples(told())

    bounds = [labels["le"] for labels, _ in found[f"{name}_bucket"]]
    assert bounds == [f"{5.0 * 2**step}" for step in range(10)] + ["+Inf"]
    assert value(told(), f"{name}_count") == 1.0


def test_units_are_kais() -> None:
    telemetry = told()

    assert {
        name.removeprefix("kai_queue_"): value(telemetry, name) for name in GAUGES if GAUGES[name] == QUEUE
    } == {
        "info": 1.0,
        "deserved_gpus": 4.0,
        "quota_cpu_cores": 2.5,
        "quota_memory_bytes": 3e9,
        "allocated_gpus": 4.0,
        "allocated_cpu_cores": 2.5,
        "allocated_memory_bytes": 3e9,
        "fair_share_cpu_cores": 2.5,
        "fair_share_memory_gb": 3.0,
        "fair_share_gpu": 4.0,
    }
    assert value(telemetry, "kai_e2e_scheduling_latency_milliseconds") == 2000.0
    assert value(telemetry, "kai_task_scheduling_latency_milliseconds_sum") == pytest.approx(300.0, abs=1e-3)
    assert value(telemetry, "kai_task_bind_latency_milliseconds_sum") == pytest.approx(40.0)


def test_unlimited_is_minus_one_in_every_unit() -> None:
    telemetry = told(a_share(deserved=UNLIMITED, fair_share=UNLIMITED))

    names = [name for name in GAUGES if "quota" in name or "deserved" in name or "fair" in name]
    assert {value(telemetry, name) for name in names} == {-1.0}


def test_a_queue_with_a_display_name_is_called_as_kai_calls_it() -> None:
    found = samples(told(display_name="Team A"))

    both = {"queue_metadata_name": "team-a", "queue_display_name": "Team A"}
    assert found["kai_queue_deserved_gpus"][0][0] == both | {"queue_name": "team-a"}
    assert found["kai_queue_fair_share_gpu"][0][0] == both | {"queue_name": "Team A"}


def test_stages_are_called_as_kai_calls_its_actions() -> None:
    found = samples(told())

    assert found["kai_action_scheduling_latency_milliseconds"] == [({"action": "allocate"}, 250.0)]
    assert found["kai_pod_group_evicted_pods_total"] == [
        (
            {
                "podgroup": "team/g",
                "uid": "uid-g",
                "nodepool": "default",
                "action": "stalegangeviction",
            },
            1.0,
        )
    ]


def test_queues_that_are_gone_vanish() -> None:
    telemetry = told()

    telemetry.queues([], Plan(now=NOW))

    assert not any(name.startswith("kai_queue_") for name in samples(telemetry))
