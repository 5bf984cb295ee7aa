"""The operator on a real control plane: pods get nodes, gangs whole, claims before binds."""

from __future__ import annotations

from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import a_claim_template, a_job, a_pod, a_pod_group, a_queue, with_nodes
from tests.cluster.operators import RunningOperator


def nodes_of(cluster: LocalCluster, namespace: str) -> dict[str, str]:
    """Node of every pod that has one."""
    return {
        pod["metadata"]["name"]: pod["spec"]["nodeName"]
        for pod in cluster.api.list("Pod", namespace)
        if pod["spec"].get("nodeName")
    }


def test_single_pods_are_bound_by_one_write_each(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, plugin=2, gpus=4)
    cluster.api.create(a_queue())
    cluster.api.create_all(a_pod(f"p{n}", namespace, gpus=1) for n in range(8))

    operator.wait_until(lambda: len(nodes_of(cluster, namespace)) == 8)

    calls = operator.calls()
    assert calls["create", "pods/binding", 201] == 8
    assert calls["create", "podgroups", 201] == 0
    assert cluster.api.list("PodGroup", namespace) == []


def test_a_gang_with_claims_is_allocated_whole_before_its_first_bind(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, dra=2, gpus=4)
    cluster.api.create(a_queue())
    cluster.api.create(a_claim_template("two-gpus", namespace, gpus=2))
    cluster.api.create(a_pod_group("gang", namespace, minMember=4))
    cluster.api.create_all(a_pod(f"p{n}", namespace, group="gang", template="two-gpus") for n in range(4))

    operator.wait_until(lambda: len(nodes_of(cluster, namespace)) == 4)

    writes = operator.writes("resourceclaims", "resourceclaims/status", "pods/binding")
    assert writes == [
        *[("update", "resourceclaims")] * 4,
        *[("update", "resourceclaims/status")] * 4,
        *[("create", "pods/binding")] * 4,
    ]
    for claim in cluster.api.list("ResourceClaim", namespace):
        assert len(claim["status"]["allocation"]["devices"]["results"]) == 2
        assert len(claim["status"]["reservedFor"]) == 1


def test_a_gang_that_does_not_fit_binds_nothing(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, plugin=1, gpus=4)
    cluster.api.create(a_queue())
    cluster.api.create(a_job("gang", namespace, pods=5, minimum=5, gpus=1))
    operator.wait_until(lambda: len(cluster.api.list("Pod", namespace)) == 5)
    cluster.api.create(a_pod("later", namespace, gpus=1))

    operator.wait_until(lambda: "later" in nodes_of(cluster, namespace))

    assert nodes_of(cluster, namespace).keys() == {"later"}


def test_room_that_a_pod_gives_up_goes_to_the_next(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, plugin=1, gpus=1)
    cluster.api.create(a_queue())
    cluster.api.create(a_pod("first", namespace, gpus=1))
    operator.wait_until(lambda: "first" in nodes_of(cluster, namespace))
    cluster.api.create(a_pod("second", namespace, gpus=1))

    cluster.api.delete("Pod", "first", namespace)

    operator.wait_until(lambda: "second" in nodes_of(cluster, namespace))
