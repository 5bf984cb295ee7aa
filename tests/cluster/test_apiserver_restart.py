"""The API server is killed and comes back: the operator goes on, loses nothing and invents nothing."""

from __future__ import annotations

from collections.abc import Callable

from kai_sched.errors import ApiFailure
from kai_sched.localcluster import Audit, LocalCluster
from tests.cluster.objects import a_claim_template, a_job, a_pod, a_pod_group, a_queue, with_nodes
from tests.cluster.operators import RunningOperator, StartOperator

KEPT = ("Pod", "ResourceClaim", "PodGroup", "Queue", "Node", "ResourceSlice", "Job")


def uids(cluster: LocalCluster) -> dict[str, set[str]]:
    """Every object that matters."""
    return {kind: {one["metadata"]["uid"] for one in cluster.api.list(kind)} for kind in KEPT}


def wait_served(cluster: LocalCluster, operator: RunningOperator) -> None:
    """Custom resources are served a little later than the API server says that it is ready."""

    def is_served() -> bool:
        try:
            uids(cluster)
        except ApiFailure as failure:
            return not failure.retryable
        return True

    operator.wait_until(is_served, "the API server's caches")


def bound(cluster: LocalCluster, namespace: str) -> dict[str, str]:
    return {
        pod["metadata"]["name"]: pod["spec"]["nodeName"]
        for pod in cluster.api.list("Pod", namespace)
        if pod["spec"].get("nodeName")
    }


def test_work_goes_on_after_the_api_server_was_killed_and_came_back(
    start_cluster: Callable[..., LocalCluster], start_operator: StartOperator
) -> None:
    cluster = start_cluster(audit=Audit.REQUESTS)
    namespace = "team"
    cluster.new_namespace(namespace)
    with_nodes(cluster, dra=2, gpus=4)
    with_nodes(cluster, plugin=1, gpus=8)
    cluster.api.create(a_queue())
    cluster.api.create(a_claim_template("two-gpus", namespace, gpus=2))
    operator = start_operator(on=cluster).wait_leading()
    cluster.api.create(a_job("job", namespace, pods=2, minimum=2, gpus=1))
    cluster.api.create(a_pod_group("gang", namespace, minMember=2))
    cluster.api.create_all(a_pod(f"p{n}", namespace, group="gang", template="two-gpus") for n in range(2))
    cluster.api.create(a_pod("too-big", namespace, gpus=9))
    operator.wait_until(lambda: len(bound(cluster, namespace)) == 4)
    before, nodes = uids(cluster), bound(cluster, namespace)

    operator.may_be_refused = True
    cluster.kill_apiserver()
    operator.wait_until(
        lambda: operator.entries("the Lease could not be taken or renewed") != [], "its notice"
    )
    assert operator.answer("/healthz")[0] == 200
    cluster.start_apiserver()
    cluster.api.create(a_pod("at-once", namespace, gpus=1))

    operator.wait_leading()
    wait_served(cluster, operator)
    now = uids(cluster)
    assert len(now["Pod"] - before["Pod"]) == 1
    assert {**now, "Pod": before["Pod"]} == before
    assert now["Pod"] > before["Pod"]
    cluster.api.create(a_pod_group("after", namespace, minMember=2))
    cluster.api.create_all(a_pod(f"q{n}", namespace, group="after", template="two-gpus") for n in range(2))
    operator.wait_until(lambda: len(bound(cluster, namespace)) == 7, "work after the restart")
    assert bound(cluster, namespace).items() >= nodes.items()
    after = uids(cluster)
    grown = {kind: len(after[kind]) - len(before[kind]) for kind in KEPT if after[kind] != before[kind]}
    assert grown == {"Pod": 3, "ResourceClaim": 2, "PodGroup": 1}
    assert all(after[kind] >= before[kind] for kind in KEPT)
    binds = [call for call in operator.calls().elements() if call[:2] == ("create", "pods/binding")]
    assert [status for *_, status in binds] == [201] * 7
