"""API servers of older releases: what they serve is scheduled, and what they lack harms nobody."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kai_sched.localcluster import Audit, LocalCluster
from tests.cluster.objects import a_job, a_pod, a_queue, with_nodes
from tests.cluster.operators import RunningOperator, StartOperator
from tests.cluster.test_claim_writes import a_claim, using
from tests.cluster.test_operator_binding import nodes_of

RELEASES = ("1.34", "1.36")
"""The oldest that serves resource.k8s.io/v1, and one with today's beta features."""
TEAM = "team"


@pytest.fixture
def old(release: str, start_cluster: Callable[..., LocalCluster]) -> LocalCluster:
    started = start_cluster(release=release, audit=Audit.REQUESTS)
    started.new_namespace(TEAM)
    version = started.api.request("GET", "/version")
    assert f"{version['major']}.{version['emulationMinor']}" == release
    return started


@pytest.fixture
def operator(old: LocalCluster, start_operator: StartOperator) -> RunningOperator:
    return start_operator(on=old).wait_leading()


@pytest.mark.parametrize("release", RELEASES)
def test_counts_and_claims_and_gangs_are_scheduled(old: LocalCluster, operator: RunningOperator) -> None:
    with_nodes(old, plugin=2, dra=2)
    old.api.create(a_queue())
    old.api.create(a_pod("single", TEAM, gpus=1))
    old.api.create(a_job("train", TEAM, pods=2, minimum=2, gpus=4))
    for name in ("c0", "c1"):
        old.api.create(a_claim(name, TEAM, count=2))
        old.api.create(using(a_pod(f"by-{name}", TEAM), name))

    operator.wait_until(lambda: len(nodes_of(old, TEAM)) == 5, "five pods")

    for name in ("c0", "c1"):
        claim = old.api.get("ResourceClaim", name, TEAM)
        assert len(claim["status"]["allocation"]["devices"]["results"]) == 2
        assert [user["name"] for user in claim["status"]["reservedFor"]] == [f"by-{name}"]
    assert operator.entries("cycle failed") == []
    old.api.delete("Pod", "by-c0", TEAM)
    operator.wait_until(
        lambda: "allocation" not in old.api.get("ResourceClaim", "c0", TEAM).get("status", {})
    )
    # Nothing is written again and again because the server drops it.
    writes = operator.writes("resourceclaims")
    assert len(writes) <= 2 * 2 + 1


@pytest.mark.parametrize("release", ["1.34"])
def test_no_pod_starts_without_the_devices_that_the_server_cannot_tell_its_kubelet(
    old: LocalCluster, operator: RunningOperator
) -> None:
    with_nodes(old, dra=1)
    old.api.create(a_queue())
    pod = a_pod("p", TEAM)
    amounts = {"deviceclass.resource.kubernetes.io/gpu.nvidia.com": "1"}
    pod["spec"]["containers"][0]["resources"] = {"requests": amounts, "limits": amounts}
    old.api.create(pod)

    def warnings() -> str:
        return str([event for event in old.api.list("Event", TEAM) if event["reason"] == "FailedBinding"])

    operator.wait_until(lambda: "DRAExtendedResource" in warnings(), "the reason")
    assert nodes_of(old, TEAM) == {}
    operator.wait_until(lambda: old.api.list("ResourceClaim", TEAM) == [], "no claim that is left behind")
