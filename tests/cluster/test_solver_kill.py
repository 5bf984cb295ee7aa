"""The solving child is killed while it improves a plan: what was planned before that is bound, and it is counted."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import GPU, a_pod, a_pod_group, a_queue
from tests.cluster.operators import RunningOperator, StartOperator

LEASE = "held"
RACK = "example.com/rack"
NODES = 48
GANGS = 24
LONG = {"deterministicTime": 1000, "deterministicTimePerModel": 100, "lnsIterations": 1000}
DIED = 'kai_sched_cycles_total{ending="died"}'
SOLVING_SECONDS = 0.5
"""Of the child's own CPU; the greedy plan of this fleet takes a tenth of it."""


def child_of(operator: RunningOperator) -> int:
    """The process that decides; its spare was started later."""
    return min(operator.children())


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_idle(pid: int) -> float:
    """Until the process does nothing; the CPU it took so far."""
    before = -1.0
    while (now := cpu_seconds(pid)) != before:
        before = now
        time.sleep(0.5)
    return now


def with_racks(cluster: LocalCluster) -> None:
    """Nodes that are used unevenly, by pods of somebody else, in racks of four."""
    cluster.api.create(
        {
            "apiVersion": "kai.scheduler/v1alpha1",
            "kind": "Topology",
            "metadata": {"name": "racks"},
            "spec": {"levels": [{"nodeLabel": RACK}]},
        }
    )
    room = {"cpu": "64", "memory": "256Gi", "pods": "110"}
    cluster.api.create_all(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": f"n{number}", "labels": {RACK: f"r{number // 4}"}},
            "status": {"allocatable": {**room, GPU: str(8 - number * 7 % 6)}},
        }
        for number in range(NODES)
    )


def with_gangs_that_are_hard_to_pack(cluster: LocalCluster, namespace: str) -> dict[str, int]:
    """Of odd sizes, each with a wish to be in one rack; how many pods each has."""
    wish = {"topology": "racks", "preferredTopologyLevel": RACK}
    members = {f"g{number}": 4 + number * 11 % 9 for number in range(GANGS)}
    cluster.api.create_all(
        a_pod_group(name, namespace, minMember=size, topologyConstraint=wish)
        for name, size in members.items()
    )
    cluster.api.create_all(
        a_pod(f"g{number}-{one}", namespace, group=f"g{number}", gpus=1 + number % 4)
        for number, size in enumerate(members.values())
        for one in range(size)
    )
    return members


def bound_by_gang(cluster: LocalCluster, namespace: str) -> Counter[str]:
    pods = cluster.api.list("Pod", namespace)
    return Counter(pod["metadata"]["name"].split("-")[0] for pod in pods if pod["spec"].get("nodeName"))


def a_lease_of_somebody(namespace: str) -> dict[str, object]:
    """Held for an hour."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
    spec = {"holderIdentity": "somebody", "leaseDurationSeconds": 3600, "acquireTime": now, "renewTime": now}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": LEASE, "namespace": namespace},
        "spec": {**spec, "leaseTransitions": 0},
    }


def test_a_child_killed_while_it_improves_leaves_the_greedy_plan(
    cluster: LocalCluster, namespace: str, start_operator: StartOperator
) -> None:
    with_racks(cluster)
    cluster.api.create(a_queue())
    cluster.api.create(
        {
            "apiVersion": "kai.scheduler/v1",
            "kind": "SchedulingShard",
            "metadata": {"name": "default"},
            "spec": {"kaiSched": {"solver": LONG}},
        }
    )
    members = with_gangs_that_are_hard_to_pack(cluster, namespace)
    # Somebody else holds the Lease at first, so that the child is ready and idle before anything is decided.
    environment = {**os.environ, "KAI_SCHED_CYCLE_DEADLINE_SECONDS": "60", "KAI_SCHED_LEASE_NAME": LEASE}
    operator = start_operator(environment=environment, ready=False)
    cluster.api.create(a_lease_of_somebody(operator.namespace))
    operator.wait_ready()
    child = child_of(operator)
    idle = wait_idle(child)
    assert bound_by_gang(cluster, namespace) == {}

    cluster.api.delete("Lease", LEASE, operator.namespace)
    operator.wait_until(lambda: cpu_seconds(child) - idle > SOLVING_SECONDS, "the child to solve")
    # The decision under way goes on as it began; the next one has its usual time.
    cluster.api.delete("SchedulingShard", "default")
    os.kill(child, signal.SIGKILL)

    operator.wait_until(lambda: operator.metric(DIED) == 1.0, "the metric")
    operator.wait_until(lambda: operator.metric("kai_sched_commands_in_flight") == 0.0, "the binds")
    bound = bound_by_gang(cluster, namespace)
    assert bound
    assert {gang: members[gang] for gang in bound} == dict(bound)
    assert operator.metric("kai_sched_solver_child_starts") == 3.0

    cluster.api.create(a_pod("later-0", namespace))
    operator.wait_until(lambda: bound_by_gang(cluster, namespace)["later"] == 1, "the next decision")
    assert child_of(operator) != child
