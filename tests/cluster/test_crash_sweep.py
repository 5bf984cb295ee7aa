"""The operator is killed after each write of a gang, and started again: the gang ends whole or not begun.

The sweep knows no number of writes: a first run records them. After every kill the API server holds what a crash
leaves there; the next operator has nothing else to go by. Twice at each place: with room for the gang, which must then
run, and with none until everything half written was taken back (after the first bind there is only forward).
"""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import a_claim_template, a_pod, a_pod_group, a_queue, with_nodes
from tests.cluster.operators import RunningOperator, StartOperator
from tests.cluster.proxy import ALLOCATION, BINDING, DECIDED, Proxy
from tests.cluster.test_claim_writes import a_claim

Document = dict[str, Any]
PODS = 4
SHARING = 2
"""Pods of the gang that use one more claim together."""
MODE = ("--no-lease",)
_numbers = itertools.count(1)


def also(pod: Document, claim: str) -> None:
    """One more claim for a pod, by name."""
    pod["spec"]["resourceClaims"].append({"name": "shared", "resourceClaimName": claim})
    pod["spec"]["containers"][0]["resources"]["claims"].append({"name": "shared"})


class Sweep:
    """One gang after the other; the operator that finished the last one is the one that is killed next."""

    def __init__(
        self, cluster: LocalCluster, namespace: str, proxy: Proxy, start_operator: StartOperator
    ) -> None:
        self.api = cluster.api
        self.namespace = namespace
        self.proxy = proxy
        self._start_operator = start_operator
        self.operator = self.start()

    def start(self) -> RunningOperator:
        return self._start_operator(*MODE, through=self.proxy.kubeconfig, ready=False)

    def create_gang(self) -> None:
        name = f"gang-{next(_numbers)}"
        self.gang = name
        shared = a_claim(f"{name}-shared", self.namespace)
        self.api.create(shared)
        self.api.create(a_pod_group(name, self.namespace, minMember=PODS))
        pods = [a_pod(f"{name}-{n}", self.namespace, group=name, template="one-gpu") for n in range(PODS)]
        for pod in pods[:SHARING]:
            also(pod, shared["metadata"]["name"])
        self.api.create_all(pods)

    def remove_gang(self) -> None:
        for pod in self.pods():
            self.api.delete("Pod", pod["metadata"]["name"], self.namespace, gracePeriodSeconds=0)
        self.api.delete("ResourceClaim", f"{self.gang}-shared", self.namespace)
        self.api.delete("PodGroup", self.gang, self.namespace)
        self.operator.wait_until(lambda: not self.pods() and not self.claims(), "the gang's end")

    def crash_after(self, writes: int) -> None:
        """A gang of which the operator makes so many writes and then dies."""
        victim = self.operator

        def crash() -> None:
            self.proxy.cut()
            victim.kill()

        self.proxy.mend()
        if writes:
            self.proxy.after(DECIDED, crash, skip=writes - 1)
        else:
            self.proxy.before(DECIDED, crash)
        self.create_gang()
        victim.process.wait(30)
        assert len(self.proxy.decided()) == writes
        self.proxy.mend()

    def restart(self) -> None:
        self.operator = self.start()

    def let_in(self, *, is_open: bool) -> None:
        for node in self.api.list("Node"):
            body = {"spec": {"unschedulable": not is_open}}
            self.api.patch("Node", node["metadata"]["name"], body=body)

    def pods(self) -> list[Document]:
        return self.api.list("Pod", self.namespace)

    def claims(self) -> list[Document]:
        return self.api.list("ResourceClaim", self.namespace)

    def bound(self) -> list[Document]:
        return [pod for pod in self.pods() if pod["spec"].get("nodeName")]

    def is_untouched(self) -> bool:
        held = [claim for claim in self.claims() if (claim.get("status") or {}).get("allocation")]
        reserved = [claim for claim in self.claims() if (claim.get("status") or {}).get("reservedFor")]
        return not self.bound() and not held and not reserved

    def wait_complete(self) -> None:
        self.operator.wait_until(lambda: len(self.bound()) == PODS, "the whole gang")
        uids = {pod["metadata"]["uid"] for pod in self.pods()}
        consumers = [claim["status"]["reservedFor"] for claim in self.claims()]
        assert sorted(len(one) for one in consumers) == [1] * PODS + [SHARING]
        assert {one["uid"] for each in consumers for one in each} == uids
        assert all(len(claim["status"]["allocation"]["devices"]["results"]) == 1 for claim in self.claims())


@pytest.fixture
def sweep(cluster: LocalCluster, namespace: str, proxy: Proxy, start_operator: StartOperator) -> Sweep:
    with_nodes(cluster, dra=2, gpus=3)
    cluster.api.create(a_queue())
    cluster.api.create(a_claim_template("one-gpu", namespace))
    made = Sweep(cluster, namespace, proxy, start_operator)
    made.create_gang()
    made.wait_complete()
    return made


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_crash_after_any_write_ends_with_the_gang_whole_or_not_begun(sweep: Sweep) -> None:
    writes = sweep.proxy.decided()
    binds = [bool(re.fullmatch(BINDING, write.line)) for write in writes]
    first_bind = binds.index(True)
    assert all(binds[first_bind:])
    assert len(writes) == 2 * (PODS + 1) + PODS
    sweep.remove_gang()

    for done in range(len(writes)):
        sweep.crash_after(done)
        assert len(sweep.bound()) == max(0, done - first_bind)
        sweep.restart()
        sweep.wait_complete()
        sweep.remove_gang()

    # Before these writes nothing is held yet that could be taken back.
    first_allocation = next(n for n, write in enumerate(writes) if re.fullmatch(ALLOCATION, write.line))
    for done in range(first_allocation + 1, first_bind + 1):
        sweep.crash_after(done)
        sweep.let_in(is_open=False)
        sweep.restart()
        sweep.operator.wait_until(sweep.is_untouched, f"everything to be taken back after {done} writes")
        sweep.let_in(is_open=True)
        sweep.wait_complete()
        sweep.remove_gang()


def test_a_gang_that_lost_its_pod_group_after_a_crash_is_taken_back(sweep: Sweep) -> None:
    first_bind = 2 * (PODS + 1)
    sweep.remove_gang()
    sweep.crash_after(first_bind)
    assert not sweep.is_untouched()
    sweep.api.delete("PodGroup", sweep.gang, sweep.namespace)

    sweep.restart()

    sweep.operator.wait_until(sweep.is_untouched, "everything to be taken back")
    sweep.api.create(a_pod_group(sweep.gang, sweep.namespace, minMember=PODS))
    sweep.wait_complete()
