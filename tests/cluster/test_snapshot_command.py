"""``kai-sched snapshot`` of a live cluster, then ``plan`` on the file: what the whole objects would have given."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
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
from kai_sched.api.times import parse_time
from kai_sched.cluster.snapshots import read_cluster
from kai_sched.grouping import group_objects
from kai_sched.localcluster import LocalCluster
from kai_sched.localcluster.setup import wait_for
from kai_sched.planning.stages import CARRIED_OUT
from kai_sched.solving.in_process import decide_in_process
from tests.cluster.objects import a_claim_template, a_job, a_pod, a_pod_group, a_queue, with_nodes

NOW = "2030-01-01T00:00:00Z"


def run(*arguments: str) -> str:
    command = [sys.executable, "-m", "kai_sched", *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def a_mixed_cluster(cluster: LocalCluster, namespace: str) -> None:
    """Both kinds of GPU node; gangs with and without claims, a Job, bare pods, a limit that is in the way."""
    with_nodes(cluster, plugin=2, dra=2)
    api = cluster.api
    api.create(a_queue("department"))
    api.create(a_queue("team-a", parentQueue="department"))
    api.create(a_queue("team-b", parentQueue="department", gpu_limit=1))
    api.create(a_claim_template("two-gpus", namespace, gpus=2))
    api.create(a_pod_group("gang", namespace, minMember=3))
    secret = {"env": [{"name": "PASSWORD", "value": "hunter2"}]}
    gang = [a_pod(f"gang-{index}", namespace, group="gang", template="two-gpus") for index in range(3)]
    for pod in gang:
        pod["spec"]["containers"][0].update(secret)
    api.create_all(gang)
    api.create(a_job("job", namespace, pods=2, gpus=3, minimum=2))
    api.create_all([a_pod(f"limited-{index}", namespace, queue="team-b", gpus=1) for index in range(2)])
    api.create(a_pod("elsewhere", namespace, queue="team-a", nodeSelector={"no": "such"}))
    api.create(a_pod("runs", namespace, gpus=8))
    api.bind("runs", "plugin-0", namespace)
    wait_for(lambda: _is_settled(cluster, namespace), "claims, pods of the Job and the running pod")


def _is_settled(cluster: LocalCluster, namespace: str) -> bool:
    pods = cluster.api.list("Pod", namespace)
    claims = cluster.api.list("ResourceClaim", namespace)
    phases = {pod["metadata"]["name"]: pod["status"]["phase"] for pod in pods}
    told = [pod for pod in pods if pod["status"].get("resourceClaimStatuses")]
    return len(pods) == 9 and len(claims) == len(told) == 3 and phases["runs"] == "Running"


def plan_of_live_objects(kubeconfig: Path) -> dict[str, Any]:
    """Decided on the objects as the API server sends them, nothing trimmed."""
    objects = ObjectSet(asyncio.run(read_cluster(kubeconfig)))
    policy = policy_of(objects, load_settings(None), shard=None)
    policy = replace(policy, stages=tuple(stage for stage in policy.stages if stage in CARRIED_OUT))
    snapshot = snapshot_of(objects, now=parse_time(NOW), policy=policy, group=group_objects)
    document: dict[str, Any] = json.loads(json.dumps(plan_document(decide_in_process(snapshot, policy))))
    return document


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_a_saved_cluster_gets_the_plan_of_the_live_one(
    form: str, cluster: LocalCluster, namespace: str, tmp_path: Path
) -> None:
    a_mixed_cluster(cluster, namespace)
    file = tmp_path / f"cluster.{form}"

    run("snapshot", "--kubeconfig", str(cluster.kubeconfig), "--to", str(file), "-o", form)
    planned = json.loads(run("plan", "-f", str(file), "--now", NOW, "-o", "json"))

    live = plan_of_live_objects(cluster.kubeconfig)
    assert planned == live
    bound = {bind["pod"].partition("/")[2]: bind["node"] for bind in planned["binds"]}
    assert {f"gang-{index}" for index in range(3)} <= bound.keys()
    assert "elsewhere" not in bound
    assert len({"limited-0", "limited-1"} & bound.keys()) == 1
    assert "hunter2" not in file.read_text()
    assert "managedFields" not in file.read_text()


def test_the_time_of_the_snapshot_is_the_time_of_the_plan(
    cluster: LocalCluster, namespace: str, tmp_path: Path
) -> None:
    cluster.api.create(a_queue())
    cluster.api.create(a_pod("p", namespace))
    file = tmp_path / "cluster.yaml"

    run("snapshot", "--kubeconfig", str(cluster.kubeconfig), "--to", str(file))

    saved_at = yaml.safe_load(file.read_text())["metadata"]["annotations"]["kai.scheduler/snapshot-time"]
    assert json.loads(run("plan", "-f", str(file), "-o", "json"))["now"] == saved_at
