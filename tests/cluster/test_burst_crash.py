"""The operator is killed in the middle of a burst of gangs: another one finishes all of them, whatever was half done."""

from __future__ import annotations

from typing import Any

import pytest

from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import a_claim_template, a_pod, a_pod_group, a_queue, with_nodes
from tests.cluster.operators import StartOperator
from tests.cluster.proxy import ALLOCATION, BINDING, Proxy

Document = dict[str, Any]
NODES, GPUS = 12, 8
GANGS, PODS = 16, 6
"""As many pods as devices."""
MODE = ("--no-lease",)


def create_burst(cluster: LocalCluster, namespace: str) -> None:
    cluster.api.create_all([a_pod_group(f"g{number}", namespace, minMember=PODS) for number in range(GANGS)])
    pods = [
        a_pod(f"g{number}-{one}", namespace, group=f"g{number}", template="one-gpu")
        for number in range(GANGS)
        for one in range(PODS)
    ]
    cluster.api.create_all(pods)


def unbound(cluster: LocalCluster, namespace: str) -> list[str]:
    return [
        pod["metadata"]["name"]
        for pod in cluster.api.list("Pod", namespace)
        if not pod["spec"].get("nodeName")
    ]


@pytest.mark.parametrize(
    ("pattern", "writes"),
    [(ALLOCATION, 20), (ALLOCATION, 95), (BINDING, 1), (BINDING, 50)],
    ids=["20 allocations", "95 allocations", "1 binding", "50 bindings"],
)
def test_all_gangs_of_a_burst_run_after_a_crash(
    cluster: LocalCluster,
    namespace: str,
    proxy: Proxy,
    start_operator: StartOperator,
    pattern: str,
    writes: int,
) -> None:
    with_nodes(cluster, dra=NODES, gpus=GPUS)
    cluster.api.create(a_queue())
    cluster.api.create(a_claim_template("one-gpu", namespace))
    victim = start_operator(*MODE, through=proxy.kubeconfig, ready=False)

    def crash() -> None:
        proxy.cut()
        victim.kill()

    proxy.after(pattern, crash, skip=writes - 1)
    create_burst(cluster, namespace)
    victim.process.wait(60)
    proxy.mend()

    successor = start_operator(*MODE, through=proxy.kubeconfig)
    successor.wait_until(lambda: not unbound(cluster, namespace), "all pods of all gangs", 60)
    claims = cluster.api.list("ResourceClaim", namespace)
    given = [
        (result["pool"], result["device"])
        for claim in claims
        for result in claim["status"]["allocation"]["devices"]["results"]
    ]
    assert len(given) == len(set(given)) == GANGS * PODS
    assert all(len(claim["status"]["reservedFor"]) == 1 for claim in claims)
