"""Unrest of all kinds with crashes in the middle of it: afterwards the cluster is as if it had been decided at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from typing import Any

import pytest

from kai_sched.api.objects import ObjectSet
from kai_sched.api.snapshot import snapshot_of
from kai_sched.api.times import parse_time
from kai_sched.cluster.snapshots import read_cluster
from kai_sched.grouping import group_objects
from kai_sched.localcluster import LocalCluster
from kai_sched.model.plan import Outcome, Plan
from kai_sched.model.policy import Policy
from kai_sched.solving.in_process import decide_in_process
from tests.cluster.churn import Churn
from tests.cluster.operators import RunningOperator, StartOperator

Document = dict[str, Any]
UNREST_SECONDS = 8.0
"""Before the crash, and once more after it."""
CRASHES_OF_CHILD = (0.4, 0.6, 0.8)
NOW = "2030-01-01T00:00:00Z"
REST_SECONDS = 60.0
OFTEN = {"KAI_SCHED_CYCLE_SELF_CHECK_SECONDS": "1", "KAI_SCHED_CYCLE_MAX_INTERVAL_SECONDS": "2"}
pytestmark = pytest.mark.timeout(240)


def plan_of(cluster: LocalCluster) -> Plan:
    """What somebody would decide who sees this cluster for the first time."""
    objects = ObjectSet(asyncio.run(read_cluster(cluster.kubeconfig)))
    policy = Policy()
    return decide_in_process(
        snapshot_of(objects, now=parse_time(NOW), policy=policy, group=group_objects), policy
    )


def unrest(churn: Churn, operator: RunningOperator) -> None:
    """For a while; now and then the operator loses the process that decides."""
    begin = time.monotonic()
    crashes = [begin + UNREST_SECONDS * part for part in CRASHES_OF_CHILD]
    while (now := time.monotonic()) < begin + UNREST_SECONDS:
        churn.step()
        if crashes and now > crashes[0]:
            del crashes[0]
            for child in operator.children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)


def left_undone(cluster: LocalCluster, namespace: str) -> list[str]:
    """What a scheduler at rest would not leave so."""
    plan = plan_of(cluster)
    found = [f"{bind.pod} could be bound to {bind.node}" for bind in plan.binds]
    pods = cluster.api.list("Pod", namespace)
    groups = {
        f"{namespace}/{group['metadata']['name']}": group for group in cluster.api.list("PodGroup", namespace)
    }
    for key, group in groups.items():
        told = group.get("status", {}).get("kaiSched", {})
        counts = waiting_and_running(pods, group["metadata"]["name"])
        if counts is not None and counts != (told.get("pendingPods", 0), told.get("runningPods", 0)):
            found.append(f"{key} says {told}, (waiting, running) is {counts}")
    for verdict in plan.verdicts:
        group = groups.get(verdict.pod_group)
        if group is None or verdict.outcome is Outcome.PLACED:
            continue
        told = group.get("status", {}).get("kaiSched", {})
        if (told.get("verdict"), told.get("blocker")) != (verdict.outcome, verdict.blocker):
            found.append(f"{verdict.pod_group} says {told}, is {verdict.outcome} {verdict.blocker}")
    untold = [pod for pod in pods if is_untold(pod)]
    found += [f"{pod['metadata']['name']} waits and does not say why" for pod in untold]
    for claim in cluster.api.list("ResourceClaim", namespace):
        status = claim.get("status", {})
        if status.get("allocation") and not status.get("reservedFor"):
            found.append(f"claim {claim['metadata']['name']} has devices for nobody")
    return found


def waiting_and_running(pods: list[Document], group: str) -> tuple[int, int] | None:
    """Of the pods that name the group; None where none does."""
    members = [
        pod for pod in pods if (pod["metadata"].get("annotations") or {}).get("pod-group-name") == group
    ]
    living = [pod for pod in members if pod["status"]["phase"] in {"Pending", "Running"}]
    if not members or any("deletionTimestamp" in pod["metadata"] for pod in members):
        return None
    running = sum(bool(pod["spec"].get("nodeName")) for pod in living)
    return len(living) - running, running


def is_untold(pod: Document) -> bool:
    if (
        pod["spec"].get("nodeName")
        or pod["spec"].get("schedulingGates")
        or pod["status"]["phase"] != "Pending"
    ):
        return False
    conditions = pod["status"].get("conditions", ())
    return not any(one["type"] == "PodScheduled" and one.get("message") for one in conditions)


def broken(operator: RunningOperator) -> list[str]:
    lines = operator.answer("/metrics")[1].splitlines()
    return [
        line
        for line in lines
        if line.startswith("kai_sched_broken_invariants{") and not line.endswith(" 0.0")
    ]


@pytest.mark.parametrize("seed", [1, 2])
def test_unrest_and_a_crash_leave_nothing_undone_and_nothing_broken(
    seed: int, cluster: LocalCluster, namespace: str, start_operator: StartOperator
) -> None:
    churn = Churn(cluster, namespace, seed)
    churn.prepare()
    operators = [start_operator("--no-lease", environment={**os.environ, **OFTEN})]
    unrest(churn, operators[0])
    operators[0].kill()
    operators.append(start_operator("--no-lease", environment={**os.environ, **OFTEN}))
    unrest(churn, operators[1])
    churn.calm()

    last = operators[-1]
    deadline = time.monotonic() + REST_SECONDS
    while (found := left_undone(cluster, namespace)) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert found == []
    assert [entry for each in operators for entry in each.entries("an invariant is broken")] == []
    assert broken(last) == []
    assert last.metric("kai_sched_plans_refused") == 0.0
    assert (last.metric("kai_sched_bound_pods_total") or 0.0) > 10
