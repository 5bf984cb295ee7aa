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


@pytest.fixture(params=RELEASES)
def old(request: pytest.FixtureRequest, start_cluster: Callable[..., LocalCluster]) -> LocalCluster:
    started = start_cluster(release=request.param, audit=Audit.REQUESTS)
    started.new_namespace(TEAM)
    version = started.api.request("GET", "/version")
    assert f"{version['major']}.{version['emulationMinor']}" == request.param
    return started


@pytest.fixture
def operator(old: LocalCluster, start_operator: StartOperator) -> RunningOperator:
    return start_operator(on=old).wait_leading()


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
