"""Claims while the world changes between decision and write: order, conflicts at each step, release, re-decision."""

from __future__ import annotations

import re
import signal
import time
from typing import Any

import pytest

from kai_sched.errors import ApiFailure
from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import a_pod, a_pod_group, a_queue, with_nodes
from tests.cluster.operators import RunningOperator, StartOperator
from tests.cluster.proxy import ALLOCATION, BINDING, FINALIZER, Proxy

Document = dict[str, Any]
CLASS = "gpu.nvidia.com"


class Scene:
    """A namespace with claims by name, an operator behind a proxy, and what a test asks."""

    def __init__(
        self, cluster: LocalCluster, namespace: str, operator: RunningOperator, proxy: Proxy
    ) -> None:
        self.cluster = cluster
        self.api = cluster.api
        self.namespace = namespace
        self.operator = operator
        self.proxy = proxy

    def claim(self, name: str) -> Document:
        return self.api.get("ResourceClaim", name, self.namespace)

    def allocation(self, name: str) -> Document | None:
        try:
            return (self.claim(name).get("status") or {}).get("allocation")
        except ApiFailure:
            return None

    def device(self, name: str) -> tuple[str, str]:
        """Pool and device of a claim of one device."""
        (result,) = (self.allocation(name) or {})["devices"]["results"]
        return result["pool"], result["device"]

    def holders(self, name: str) -> list[str]:
        """Names of the pods that the claim is reserved for."""
        return [one["name"] for one in (self.claim(name).get("status") or {}).get("reservedFor") or ()]

    def nodes(self) -> dict[str, str]:
        return {
            pod["metadata"]["name"]: pod["spec"]["nodeName"]
            for pod in self.api.list("Pod", self.namespace)
            if pod["spec"].get("nodeName")
        }

    def create_claims(self, *names: str, count: int = 1) -> None:
        for name in names:
            self.api.create(a_claim(name, self.namespace, count=count))

    def create_gang(self, name: str, **claim_of: str) -> None:
        """Pods by name, each with a claim by name."""
        self.api.create(a_pod_group(name, self.namespace, minMember=len(claim_of)))
        for pod, claim in claim_of.items():
            self.api.create(using(a_pod(pod, self.namespace, group=name), claim))

    def wait_bound(self, *pods: str) -> None:
        self.operator.wait_until(lambda: self.nodes().keys() >= set(pods), f"{', '.join(pods)} to get nodes")

    def touch(self, name: str) -> None:
        """Any change of a claim."""
        body = {"metadata": {"labels": {"touched": "yes"}}}
        self.api.patch("ResourceClaim", name, self.namespace, body=body)

    def allocate_elsewhere(self, name: str, node: str, device: str) -> None:
        """Another scheduler was faster."""
        claim = self.claim(name)
        result = {"request": "gpus", "driver": CLASS, "pool": node, "device": device}
        selector = {
            "nodeSelectorTerms": [
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
            ]
        }
        claim["metadata"]["finalizers"] = ["resource.kubernetes.io/delete-protection"]
        claim = self.api.replace(claim)
        claim["status"] = {"allocation": {"devices": {"results": [result]}, "nodeSelector": selector}}
        self.api.replace(claim, subresource="status")

    def lines(self, *patterns: str) -> list[int]:
        """Status of every write that matches, in order."""
        found = [
            write for write in self.proxy.decided() if any(re.fullmatch(p, write.line) for p in patterns)
        ]
        return [write.status for write in found]


def a_claim(name: str, namespace: str, *, count: int = 1, **request: Any) -> Document:
    exactly = {"deviceClassName": CLASS, "allocationMode": "ExactCount", "count": count, **request}
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"devices": {"requests": [{"name": "gpus", "exactly": exactly}]}},
    }


def using(pod: Document, claim: str) -> Document:
    """The pod with a claim by name."""
    pod["spec"]["resourceClaims"] = [{"name": "gpus", "resourceClaimName": claim}]
    pod["spec"]["containers"][0]["resources"]["claims"] = [{"name": "gpus"}]
    return pod


@pytest.fixture
def scene(
    request: pytest.FixtureRequest,
    cluster: LocalCluster,
    namespace: str,
    proxy: Proxy,
    start_operator: StartOperator,
) -> Scene:
    """Two nodes, or as many as the test wants, with two GPUs each."""
    with_nodes(cluster, dra=getattr(request, "param", 2), gpus=2)
    cluster.api.create(a_queue())
    operator = start_operator("--no-lease", through=proxy.kubeconfig)
    return Scene(cluster, namespace, operator, proxy)


def test_a_claim_is_protected_then_allocated_and_reserved_in_one_write_then_the_pod_is_bound(
    scene: Scene,
) -> None:
    scene.create_claims("c")
    seen: list[Document] = []
    scene.proxy.after(FINALIZER, lambda: seen.append(scene.claim("c")))
    scene.proxy.after(ALLOCATION, lambda: seen.append(scene.claim("c")))

    scene.create_gang("g", p="c")
    scene.wait_bound("p")

    protected, allocated = seen
    assert protected["metadata"]["finalizers"] == ["resource.kubernetes.io/delete-protection"]
    assert not (protected.get("status") or {}).get("allocation")
    assert allocated["status"]["allocation"]["devices"]["results"]
    assert [one["name"] for one in allocated["status"]["reservedFor"]] == ["p"]
    assert [write.line.split()[0] for write in scene.proxy.decided()] == ["PUT", "PUT", "POST"]


def test_what_a_pod_held_is_free_for_the_next_when_it_ends(scene: Scene) -> None:
    scene.create_claims("all-0", "all-1", "next", count=2)
    scene.create_gang("g", p0="all-0", p1="all-1")
    scene.wait_bound("p0", "p1")
    node = scene.nodes()["p0"]
    scene.create_gang("h", later="next")

    scene.api.delete("Pod", "p0", scene.namespace)

    scene.wait_bound("later")
    assert scene.nodes()["later"] == node
    assert scene.allocation("all-0") is None


def test_a_finished_pod_among_the_consumers_keeps_nobody_from_sharing_the_claim(scene: Scene) -> None:
    scene.create_claims("c")
    first = using(a_pod("first", scene.namespace), "c")
    first["metadata"]["annotations"]["kai-sched.dev/fake-run-for"] = "1s"
    scene.api.create(first)
    scene.wait_bound("first")
    scene.operator.wait_until(
        lambda: scene.api.get("Pod", "first", scene.namespace)["status"]["phase"] == "Succeeded"
    )

    scene.api.create(using(a_pod("second", scene.namespace), "c"))

    scene.wait_bound("second")
    assert "second" in scene.holders("c")


@pytest.mark.parametrize("step", [FINALIZER, ALLOCATION], ids=["finalizer", "allocation"])
def test_a_claim_that_changed_meanwhile_is_read_again_and_written(scene: Scene, step: str) -> None:
    scene.create_claims("c0", "c1")
    scene.proxy.before(step, lambda: (scene.touch("c0"), scene.touch("c1"))[0])

    scene.create_gang("g", p0="c0", p1="c1")

    scene.wait_bound("p0", "p1")
    assert scene.lines(step).count(409) == 2
    assert scene.lines(BINDING) == [201, 201]
    assert scene.claim("c0")["metadata"]["labels"] == {"touched": "yes"}


def test_a_claim_deleted_meanwhile_takes_back_the_gang_until_there_is_another(scene: Scene) -> None:
    scene.create_claims("c0", "c1")
    scene.proxy.before(ALLOCATION, lambda: delete_for_good(scene, "c1"))

    scene.create_gang("g", p0="c0", p1="c1")

    scene.operator.wait_until(lambda: scene.lines(r"PUT .*/c0/status") == [200, 200], "the undo")
    assert scene.allocation("c0") is None
    assert scene.holders("c0") == []
    assert scene.nodes() == {}
    scene.create_claims("c1")
    scene.wait_bound("p0", "p1")


def delete_for_good(scene: Scene, name: str) -> None:
    """The claim goes at once, finalizer or not."""
    scene.api.delete("ResourceClaim", name, scene.namespace)
    try:
        scene.api.patch("ResourceClaim", name, scene.namespace, body={"metadata": {"finalizers": None}})
    except ApiFailure as failure:
        assert failure.status == 404  # noqa: PT017 — gone already is as good


def test_a_claim_that_another_allocated_meanwhile_is_used_where_it_is(scene: Scene) -> None:
    scene.create_claims("c0", "c1")
    taken = "gpu-0"
    scene.proxy.before(ALLOCATION, lambda: scene.allocate_elsewhere("c1", "dra-1", taken))

    scene.create_gang("g", p0="c0", p1="c1")

    scene.wait_bound("p0", "p1")
    assert scene.device("c1") == ("dra-1", taken)
    assert scene.nodes()["p1"] == "dra-1"
    assert scene.device("c0") != scene.device("c1")


def test_a_pod_replaced_by_another_of_its_name_undoes_the_gang_and_it_is_decided_anew(scene: Scene) -> None:
    scene.create_claims("c0", "c1")
    old: list[str] = []

    def replace_both() -> None:
        for pod, claim in (("p0", "c0"), ("p1", "c1")):
            old.append(scene.api.get("Pod", pod, scene.namespace)["metadata"]["uid"])
            scene.api.delete("Pod", pod, scene.namespace, gracePeriodSeconds=0)
            scene.api.create(using(a_pod(pod, scene.namespace, group="g"), claim))

    scene.proxy.before(BINDING, replace_both)

    scene.create_gang("g", p0="c0", p1="c1")

    scene.wait_bound("p0", "p1")
    assert scene.lines(BINDING).count(201) == 2
    assert set(scene.lines(BINDING)) == {201, 409}
    for claim in ("c0", "c1"):
        assert not {one["uid"] for one in scene.claim(claim)["status"]["reservedFor"]} & set(old)


def test_a_pod_deleted_before_the_first_bind_takes_the_whole_gang_back(scene: Scene) -> None:
    scene.create_claims("c0", "c1")

    def delete_pod() -> None:
        scene.api.delete("Pod", "p1", scene.namespace, gracePeriodSeconds=0)
        # The operator's watches tell it meanwhile.
        time.sleep(0.5)

    scene.proxy.before(ALLOCATION, delete_pod)

    scene.create_gang("g", p0="c0", p1="c1")

    scene.operator.wait_until(lambda: scene.lines(r"PUT .*/c0/status") == [200, 200], "the undo")
    scene.operator.wait_until(lambda: scene.allocation("c1") is None and not scene.holders("c1"))
    assert scene.allocation("c0") is None
    assert scene.holders("c0") == []
    assert scene.nodes() == {}


@pytest.mark.parametrize("scene", [3], indirect=True)
def test_a_node_that_goes_away_after_the_first_bind_leaves_the_gang_to_be_completed_elsewhere(
    scene: Scene, start_operator: StartOperator
) -> None:
    scene.create_claims("c0", "c1", count=2)
    victim = scene.operator

    def crash() -> None:
        scene.proxy.cut()
        victim.kill()

    scene.proxy.after(BINDING, crash)
    scene.create_gang("g", p0="c0", p1="c1")
    victim.process.wait(30)
    (bound,) = scene.nodes()
    other = "c1" if bound == "p0" else "c0"
    lost = scene.allocation(other)
    assert lost is not None
    gone = lost["devices"]["results"][0]["pool"]
    scene.api.delete("Node", gone)
    for one in scene.api.list("ResourceSlice"):
        if one["spec"].get("nodeName") == gone:
            scene.api.delete("ResourceSlice", one["metadata"]["name"])
    scene.proxy.mend()

    scene.operator = start_operator("--no-lease", through=scene.proxy.kubeconfig)

    scene.wait_bound("p0", "p1")
    assert gone not in scene.nodes().values()
    assert {result["pool"] for result in (scene.allocation(other) or {})["devices"]["results"]} != {gone}


def test_a_reservation_left_by_a_crash_is_freed_when_its_pod_goes(
    scene: Scene, start_operator: StartOperator
) -> None:
    scene.create_claims("c", "next", count=2)
    scene.api.patch("Node", "dra-1", body={"spec": {"unschedulable": True}})
    victim = scene.operator

    def crash() -> None:
        scene.proxy.cut()
        victim.process.send_signal(signal.SIGKILL)

    scene.proxy.after(ALLOCATION, crash)
    scene.create_gang("g", p="c")
    victim.process.wait(30)
    assert scene.holders("c") == ["p"]
    scene.api.delete("Pod", "p", scene.namespace, gracePeriodSeconds=0)
    scene.proxy.mend()

    scene.operator = start_operator("--no-lease", through=scene.proxy.kubeconfig)
    scene.create_gang("h", later="next")

    scene.wait_bound("later")
    assert scene.allocation("c") is None
