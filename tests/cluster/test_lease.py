"""Two operators: one decides. The one that is stopped in the middle of a gang writes nothing when it comes back."""

from __future__ import annotations

import os
import signal
import time

from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import a_claim_template, a_pod, a_pod_group, a_queue, with_nodes
from tests.cluster.operators import StartOperator
from tests.cluster.proxy import ALLOCATION, Proxy

LEADING = "kai_sched_is_leading"
SHORT = {**os.environ, "KAI_SCHED_LEASE_DURATION_SECONDS": "3", "KAI_SCHED_LEASE_RENEW_SECONDS": "0.5"}


def test_a_stopped_leader_is_replaced_and_writes_nothing_when_it_comes_back(
    cluster: LocalCluster, namespace: str, proxy: Proxy, start_operator: StartOperator
) -> None:
    with_nodes(cluster, dra=3, gpus=4)
    cluster.api.create(a_queue())
    cluster.api.create(a_claim_template("two-gpus", namespace, gpus=2))
    old = start_operator(through=proxy.kubeconfig, environment=SHORT).wait_leading()
    new = start_operator(environment=SHORT)
    assert new.metric(LEADING) == 0.0
    proxy.after(ALLOCATION, lambda: old.process.send_signal(signal.SIGSTOP), skip=1)
    cluster.api.create(a_pod_group("gang", namespace, minMember=4))
    cluster.api.create_all(a_pod(f"p{n}", namespace, group="gang", template="two-gpus") for n in range(4))

    new.wait_leading()

    new.wait_until(lambda: len(bound(cluster, namespace)) == 4, "the gang")
    nodes = bound(cluster, namespace)
    written = list(proxy.writes)
    assert not any(write.path.endswith("/binding") for write in written)
    old.process.send_signal(signal.SIGCONT)
    old.wait_until(lambda: old.metric(LEADING) == 0.0, "the old leader to know that it is none")
    cluster.api.create(a_pod("later", namespace, template="two-gpus"))
    new.wait_until(lambda: len(bound(cluster, namespace)) == 5, "the next pod")
    time.sleep(1.0)
    assert proxy.writes == written
    assert bound(cluster, namespace).items() >= nodes.items()
    assert (old.metric(LEADING), new.metric(LEADING)) == (0.0, 1.0)


def test_a_leader_that_ends_gives_the_lease_away_at_once(
    cluster: LocalCluster, namespace: str, start_operator: StartOperator
) -> None:
    with_nodes(cluster, plugin=1, gpus=4)
    cluster.api.create(a_queue())
    first = start_operator().wait_leading()
    second = start_operator()

    assert first.stop() == 0

    # Sooner than the Lease would run out.
    second.wait_until(lambda: second.metric(LEADING) == 1.0, "the second to lead", seconds=10)
    cluster.api.create(a_pod("p", namespace, gpus=1))
    second.wait_until(lambda: "p" in bound(cluster, namespace))


def bound(cluster: LocalCluster, namespace: str) -> dict[str, str]:
    return {
        pod["metadata"]["name"]: pod["spec"]["nodeName"]
        for pod in cluster.api.list("Pod", namespace)
        if pod["spec"].get("nodeName")
    }
