"""The operator sees what others broke in the cluster, and that it was mended."""

from __future__ import annotations

import os

from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import a_pod, a_queue, with_nodes
from tests.cluster.operators import StartOperator
from tests.cluster.test_operator_binding import nodes_of

OVERFULL = 'kai_sched_broken_invariants{kind="node-resources"}'


def test_a_node_that_shrinks_below_its_pods_is_counted_until_they_leave(
    cluster: LocalCluster, namespace: str, start_operator: StartOperator
) -> None:
    often = {"KAI_SCHED_CYCLE_SELF_CHECK_SECONDS": "1", "KAI_SCHED_CYCLE_MAX_INTERVAL_SECONDS": "1"}
    operator = start_operator(environment={**os.environ, **often})
    with_nodes(cluster, plugin=1)
    cluster.api.create(a_queue())
    for name in ("p0", "p1"):
        cluster.api.create(a_pod(name, namespace, gpus=4))
    operator.wait_until(lambda: len(nodes_of(cluster, namespace)) == 2, "two pods")
    assert operator.metric(OVERFULL) == 0.0

    (node,) = set(nodes_of(cluster, namespace).values())
    shrunk = cluster.api.get("Node", node)
    shrunk["status"]["allocatable"]["nvidia.com/gpu"] = "6"
    cluster.api.replace(shrunk, subresource="status")

    operator.wait_until(lambda: operator.metric(OVERFULL) == 1.0, "the finding")
    (entry,) = operator.entries("an invariant is broken")
    assert (entry["subject"], entry["reason"]) == (node, "nvidia.com/gpu: 8 held > 6")

    cluster.api.delete("Pod", "p0", namespace)
    operator.wait_until(lambda: operator.metric(OVERFULL) == 0.0, "its end")
    assert operator.entries("an invariant holds again")
