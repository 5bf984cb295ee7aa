"""Stories as data: a small cluster and what must become of it, one story a file document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kai_sched.model.plan import Plan
from kai_sched.model.policy import Policy, Strategy
from kai_sched.model.queues import Queue
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import Pod, PodGroup, PodState
from kai_sched.placement.checker import check_plan
from kai_sched.planning.cycle import plan_cycle
from tests.builders import a_group, a_node, a_pod, a_queue, a_snapshot, a_spec

FOLDER = Path(__file__).parent


def stories() -> list[Any]:
    return [
        pytest.param(story, id=f"{path.stem}: {story['story']}")
        for path in sorted(FOLDER.glob("*.yaml"))
        for story in yaml.safe_load_all(path.read_text())
    ]


def snapshot_of(story: dict[str, Any]) -> ClusterSnapshot:
    nodes = [
        a_node(
            entry["name"],
            gpus=entry.get("gpus", 8),
            cpu=entry.get("cpu", 64_000),
            labels={"rack": entry["rack"]} if "rack" in entry else {},
        )
        for entry in story["nodes"]
    ]
    pods: list[Pod] = []
    groups: list[PodGroup] = []
    for age, entry in enumerate(story["groups"]):
        groups.append(_group(entry, age))
        pods.extend(_pods(entry))
    queues = None if "queues" not in story else [_queue(entry) for entry in story["queues"]]
    return a_snapshot(nodes=nodes, pods=pods, groups=groups, queues=queues)


def _group(entry: dict[str, Any], age: int) -> PodGroup:
    priority = entry.get("priority", 50)
    return a_group(
        entry["name"],
        queue=entry.get("queue", "team-a"),
        min_member=entry.get("min", 1),
        required=entry.get("required", ""),
        preferred=entry.get("preferred", ""),
        priority=priority,
        is_preemptible=priority < 100,
        created_at=float(age),
    )


def _pods(entry: dict[str, Any]) -> list[Pod]:
    spec = a_spec(gpus=entry.get("gpus", 1), cpu=entry.get("cpu", 1000))
    name = entry["name"]
    running = [
        a_pod(f"{name}-r{number}", spec, group=name, node=node)
        for number, node in enumerate(entry.get("running", ()))
    ]
    leaving = [
        a_pod(f"{name}-l{number}", spec, group=name, node=node, state=PodState.RELEASING)
        for number, node in enumerate(entry.get("releasing", ()))
    ]
    pending = [a_pod(f"{name}-{number}", spec, group=name) for number in range(entry.get("pods", 0))]
    return [*running, *leaving, *pending]


def _queue(entry: dict[str, Any]) -> Queue:
    return a_queue(
        entry["name"],
        parent=entry.get("parent"),
        gpu=entry.get("quota", -1),
        limit=entry.get("limit", -1),
        weight=entry.get("weight", 1),
        priority=entry.get("priority", 100),
    )


def outcome_of(plan: Plan) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for verdict in plan.verdicts:
        name = verdict.pod_group.split("/")[1]
        found[name] = {"verdict": verdict.outcome.value, "blocker": verdict.blocker and verdict.blocker.value}
        found[name]["message"] = verdict.message
        for field, placements in (("bound", plan.binds), ("pipelined", plan.pipelined)):
            nodes = sorted(p.node for p in placements if p.pod_group == verdict.pod_group)
            found[name][field] = len(nodes)
            found[name]["nodes"] = (
                nodes if field == "bound" or not found[name]["nodes"] else found[name]["nodes"]
            )
    return found


@pytest.mark.parametrize("story", stories())
def test_story(story: dict[str, Any]):
    policy = Policy(use_solver=False, gpu_strategy=Strategy(story.get("strategy", "binpack")))
    snapshot = snapshot_of(story)

    plan = plan_cycle(snapshot, policy)

    assert check_plan(snapshot, policy, plan) == ()
    outcome = outcome_of(plan)
    assert set(story["expect"]) <= set(outcome)
    for name, wanted in story["expect"].items():
        got = outcome[name]
        for field, value in wanted.items():
            if field == "says":
                assert value in got["message"]
            else:
                assert got[field] == value, f"{name}.{field}: {got}"
