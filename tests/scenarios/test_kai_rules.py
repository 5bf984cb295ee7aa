"""KAI's rules as its users know them: snapshots as the API server would send them, and what must become of them.

The files in ``kai/`` say one story a document in short; here it becomes Kubernetes objects, which are read, grouped and
planned as ``kai-sched plan`` does it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from kai_sched.api.objects import ObjectSet
from kai_sched.api.plan_document import plan_document
from kai_sched.api.settings import load_settings
from kai_sched.api.shard_policy import policy_of
from kai_sched.api.snapshot import snapshot_of
from kai_sched.grouping import group_objects
from kai_sched.model.policy import StageName
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.planning.cycle import plan_cycle

Document = dict[str, Any]
FOLDER = Path(__file__).parent / "kai"
NOW = 1_800_000_000.0
LEAVING = "2027-01-15T07:59:30Z"
"""Half a minute ago."""
_FREE = {"quota": -1, "limit": -1, "weight": 1}


def stories() -> list[Any]:
    return [
        pytest.param(story, id=f"{path.stem}: {story['story']}")
        for path in sorted(FOLDER.glob("*.yaml"))
        for story in yaml.safe_load_all(path.read_text())
    ]


def objects_of(story: Document) -> list[Document]:
    found = [_node(entry) for entry in story["nodes"]]
    found += [_queue(entry, age) for age, entry in enumerate(story.get("queues", [{"name": "q"}]))]
    for age, entry in enumerate(story.get("groups", ())):
        found.append(_group(entry, age))
        found += _pods(entry, age)
    if "shard" in story:
        found.append(_object("kai.scheduler/v1", "SchedulingShard", {"name": "default"}, story["shard"]))
    for name, levels in story.get("topologies", {}).items():
        spec = {"levels": [one if isinstance(one, dict) else {"nodeLabel": one} for one in levels]}
        found.append(_object("kai.scheduler/v1alpha1", "Topology", {"name": name}, spec))
    for name, value in story.get("priorityClasses", {}).items():
        found.append(
            {
                "apiVersion": "scheduling.k8s.io/v1",
                "kind": "PriorityClass",
                "metadata": {"name": name},
                "value": value,
                "globalDefault": name == story.get("defaultClass"),
            }
        )
    return [*found, *story.get("objects", ())]


def _object(version: str, kind: str, metadata: Document, spec: Document) -> Document:
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def _time(minute: int) -> str:
    return f"2026-11-01T{minute // 60:02d}:{minute % 60:02d}:00Z"


def _node(entry: Document) -> Document:
    name = entry["name"]
    labels = {"kubernetes.io/hostname": name, **entry.get("labels", {})}
    allocatable = {"cpu": "64", "memory": "512Gi", "pods": "110", "nvidia.com/gpu": str(entry.get("gpus", 8))}
    node = _object("v1", "Node", {"name": name, "labels": labels}, {})
    conditions = [{"type": "Ready", "status": "True"}, *entry.get("conditions", ())]
    return {
        **node,
        "status": {"allocatable": allocatable | entry.get("allocatable", {}), "conditions": conditions},
    }


def _queue(entry: Document, age: int) -> Document:
    name = entry["name"]
    resources: Document = {}
    for kind in ("gpu", "cpu", "memory"):
        amounts = _FREE | entry.get(kind, {})
        resources[kind] = {
            "quota": amounts["quota"],
            "limit": amounts["limit"],
            "overQuotaWeight": amounts["weight"],
        }
    spec = {"resources": resources, "parentQueue": entry.get("parent", "")}
    if "priority" in entry:
        spec["priority"] = entry["priority"]
    metadata = {
        "name": name,
        "uid": f"queue-{name}",
        "creationTimestamp": _time(age),
        "labels": entry.get("labels", {}),
    }
    return _object("scheduling.run.ai/v2", "Queue", metadata, spec)


def _group(entry: Document, age: int) -> Document:
    name = entry["name"]
    metadata = {
        "name": name,
        "namespace": "team",
        "uid": f"group-{name}",
        "creationTimestamp": _time(entry.get("age", age)),
        "labels": entry.get("labels", {}),
    }
    spec = {"queue": entry.get("queue", "q"), **entry.get("spec", {})}
    group = _object("scheduling.run.ai/v2alpha2", "PodGroup", metadata, spec)
    return {**group, "status": entry.get("status", {})}


def _pods(entry: Document, age: int) -> list[Document]:
    """``pods``: rows that say how many (``count``) and what they have; ``gpus`` is 1 where nothing is said."""
    found: list[Document] = []
    for row, said in enumerate(entry.get("pods", [{}])):
        for number in range(said.get("count", 1)):
            name = f"{said.get('name', entry['name'])}-{row}{number:02d}"
            found.append(_pod(name, entry["name"], said, _time(entry.get("age", age))))
    return found


def _pod(name: str, group: str, said: Document, created: str) -> Document:
    labels, annotations = dict(said.get("labels", {})), {"pod-group-name": group}
    if "subgroup" in said:
        labels["kai.scheduler/subgroup-name"] = said["subgroup"]
    gpus = {"nvidia.com/gpu": str(said.get("gpus", 1))} if said.get("gpus", 1) else {}
    requests = {"cpu": "1", "memory": "1G", **gpus, **said.get("requests", {})}
    metadata = {
        "name": name,
        "namespace": "team",
        "uid": f"pod-{name}",
        "creationTimestamp": created,
        "labels": labels,
        "annotations": annotations | said.get("annotations", {}),
        **({"deletionTimestamp": LEAVING} if said.get("leaves") else {}),
    }
    spec: Document = {
        "schedulerName": "kai-scheduler",
        "containers": [{"name": "main", "resources": {"requests": requests, "limits": gpus}}],
        **said.get("spec", {}),
    }
    if "node" in said:
        spec["nodeName"] = said["node"]
    phase = said.get("phase", "Running" if "node" in said else "Pending")
    return {**_object("v1", "Pod", metadata, spec), "status": {"phase": phase, **said.get("status", {})}}


def planned(story: Document) -> Document:
    objects = ObjectSet(objects_of(story))
    policy = replace(policy_of(objects, load_settings(None)), stages=(StageName.ALLOCATE,), use_solver=False)
    snapshot = snapshot_of(objects, now=NOW, policy=policy, group=group_objects)
    assert snapshot.unreadable == ()

    plan = plan_cycle(snapshot, policy)

    assert PlanChecker()(snapshot, policy, plan) == ()
    return plan_document(plan)


def outcome_of(plan: Document, group: str) -> Document:
    (verdict,) = [entry for entry in plan["verdicts"] if entry["podGroup"] == f"team/{group}"]
    binds = [entry for entry in plan["binds"] if entry["podGroup"] == f"team/{group}"]
    return {
        "verdict": verdict["verdict"],
        "blocker": verdict["blocker"],
        "message": verdict["message"],
        "bound": len(binds),
        "nodes": sorted(bind["node"] for bind in binds),
        "pods": dict(Counter(bind["pod"].split("/")[1].rpartition("-")[0] for bind in binds)),
        "gpus": [index for bind in binds for index in bind["gpuIndices"]],
        "groups": [name for bind in binds for name in bind.get("gpuGroups", ())],
        "pipelined": sum(entry["podGroup"] == f"team/{group}" for entry in plan["pipelined"]),
    }


@pytest.mark.parametrize("story", stories())
def test_story(story: Document):
    plan = planned(story)

    for group, wanted in story.get("expect", {}).items():
        got = outcome_of(plan, group)
        for name, value in wanted.items():
            if name == "says":
                assert value in got["message"], group
            else:
                assert got[name] == value, f"{group}.{name}: {got}"
    shares = {(row["queue"], row["resource"]): row for row in plan["shares"]}
    for queue, values in story.get("shares", {}).items():
        for name, value in values.items():
            resource, _, column = name.rpartition(".")
            assert shares[queue, resource or "gpu"][column] == value, f"{queue}.{name}"
