"""The conformance watcher sees every kind of violation on a real API server. Each is planted with the admin's rights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kai_sched.localcluster import LocalCluster
from kai_sched.localcluster.admin import AdminApi
from kai_sched.localcluster.conformance import ConformanceWatcher

pytestmark = pytest.mark.plants_violations

Document = dict[str, Any]
DRIVER = "gpu.example.com"


@pytest.fixture
def watcher(cluster: LocalCluster) -> Iterator[ConformanceWatcher]:
    """A watcher of this test's own, which may find violations."""
    with ConformanceWatcher(cluster) as running:
        yield running


class Planter:
    """Writes what no scheduler should."""

    def __init__(self, api: AdminApi, namespace: str) -> None:
        self.api = api
        self.namespace = namespace

    def a_node(self, name: str, gpus: int = 0) -> None:
        room = {"cpu": "4", "memory": "8Gi", "pods": "3", "example.com/gpu": str(gpus)}
        self.api.create(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
                "status": {"capacity": room, "allocatable": room},
            }
        )

    def a_slice(self, node: str, *devices: Document, part: int = 1, parts: int = 1, **spec: Any) -> None:
        pool = {"name": node, "generation": 1, "resourceSliceCount": parts}
        content = {"devices": list(devices)} if devices else {}
        self.api.create(
            {
                "apiVersion": "resource.k8s.io/v1",
                "kind": "ResourceSlice",
                "metadata": {"name": f"{node}-{part}"},
                "spec": {"driver": DRIVER, "pool": pool, "nodeName": node, **content, **spec},
            }
        )

    def a_claim(self, name: str) -> None:
        request = {"name": "gpu", "exactly": {"deviceClassName": "any"}}
        self.api.create(
            {
                "apiVersion": "resource.k8s.io/v1",
                "kind": "ResourceClaim",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {"devices": {"requests": [request]}},
            }
        )

    def allocate(self, claim: str, device: str, *, pool: str = "n1", node: str = "n1", **result: Any) -> None:
        """Gives a claim a device, as a scheduler writes it."""
        field = {"key": "metadata.name", "operator": "In", "values": [node]}
        one = {"request": "gpu", "driver": DRIVER, "pool": pool, "device": device, **result}
        self._set_status(
            claim,
            allocation={
                "devices": {"results": [one]},
                "nodeSelector": {"nodeSelectorTerms": [{"matchFields": [field]}]},
            },
        )

    def reserve(self, claim: str, pod: str) -> None:
        uid = self.api.get("Pod", pod, self.namespace)["metadata"]["uid"]
        self._set_status(claim, reservedFor=[{"resource": "pods", "name": pod, "uid": uid}])

    def a_pod(self, name: str, *claims: str, **requests: str) -> None:
        names = {f"c{number}": claim for number, claim in enumerate(claims)}
        asked = {"example.com/gpu" if key == "gpu" else key: value for key, value in requests.items()}
        self.api.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {
                    "schedulerName": "nobody",
                    "containers": [
                        {
                            "name": "c",
                            "image": "x",
                            "resources": {
                                "requests": asked,
                                "limits": asked,
                                "claims": [{"name": one} for one in names],
                            },
                        }
                    ],
                    "resourceClaims": [
                        {"name": one, "resourceClaimName": claim} for one, claim in names.items()
                    ],
                },
            }
        )

    def bind(self, pod: str, node: str = "n1") -> None:
        self.api.bind(pod, node, self.namespace)

    def _set_status(self, claim: str, **status: Any) -> None:
        document = self.api.get("ResourceClaim", claim, self.namespace)
        document["status"] = {**document.get("status", {}), **status}
        self.api.replace(document, subresource="status")


@pytest.fixture
def planter(cluster: LocalCluster, namespace: str) -> Planter:
    """Two nodes, the first with two devices and two counted ones."""
    planted = Planter(cluster.api, namespace)
    cluster.api.create(
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "DeviceClass",
            "metadata": {"name": "any"},
            "spec": {},
        }
    )
    planted.a_node("n1", gpus=2)
    planted.a_node("n2")
    return planted


def broken_in(watcher: ConformanceWatcher) -> list[str]:
    return [violation.rule for violation in watcher.check()]


def test_a_pod_bound_as_it_should_be_breaks_nothing(watcher: ConformanceWatcher, planter: Planter) -> None:
    planter.a_slice("n1", {"name": "g0"})
    planter.a_claim("c1")
    planter.a_pod("p1", "c1", gpu="2")
    planter.allocate("c1", "g0")
    planter.reserve("c1", "p1")
    planter.bind("p1")

    watcher.assert_clean()

    assert (watcher.binds_seen, watcher.allocations_seen) == (1, 1)


def test_a_claim_that_is_not_allocated_is_seen(watcher: ConformanceWatcher, planter: Planter) -> None:
    planter.a_claim("c1")
    planter.a_pod("p1", "c1")
    planter.bind("p1")

    assert broken_in(watcher) == ["claim-unallocated"]


def test_a_claim_that_is_not_reserved_for_the_pod_is_seen(
    watcher: ConformanceWatcher, planter: Planter
) -> None:
    planter.a_slice("n1", {"name": "g0"})
    planter.a_claim("c1")
    planter.a_pod("p1", "c1")
    planter.a_pod("p2", "c1")
    planter.allocate("c1", "g0")
    planter.reserve("c1", "p2")
    planter.bind("p1")

    assert broken_in(watcher) == ["claim-unreserved"]


def test_a_claim_that_is_allocated_elsewhere_is_seen(watcher: ConformanceWatcher, planter: Planter) -> None:
    planter.a_slice("n2", {"name": "g0"})
    planter.a_claim("c1")
    planter.a_pod("p1", "c1")
    planter.allocate("c1", "g0", pool="n2", node="n2")
    planter.reserve("c1", "p1")
    planter.bind("p1", "n1")

    assert broken_in(watcher) == ["claim-elsewhere"]


def test_a_claim_that_is_missing_is_seen(watcher: ConformanceWatcher, planter: Planter) -> None:
    planter.a_pod("p1", "nowhere")
    planter.bind("p1")

    assert broken_in(watcher) == ["claim-missing"]


def test_a_device_that_is_given_twice_is_seen(watcher: ConformanceWatcher, planter: Planter) -> None:
    planter.a_slice("n1", {"name": "g0"})
    for claim in ("c1", "c2"):
        planter.a_claim(claim)
        planter.allocate(claim, "g0")

    assert broken_in(watcher) == ["device-twice"]


def test_a_device_that_nobody_published_is_seen(watcher: ConformanceWatcher, planter: Planter) -> None:
    planter.a_claim("c1")
    planter.allocate("c1", "g7")

    assert broken_in(watcher) == ["unknown-device"]


def test_counters_drawn_below_zero_are_seen(watcher: ConformanceWatcher, planter: Planter) -> None:
    planter.a_slice(
        "n1", part=1, parts=2, sharedCounters=[{"name": "card", "counters": {"slices": {"value": "7"}}}]
    )
    drawn = {"counterSet": "card", "counters": {"slices": {"value": "4"}}}
    halves = [{"name": name, "consumesCounters": [drawn]} for name in ("left", "right")]
    planter.a_slice("n1", *halves, part=2, parts=2)
    for claim, device in (("c1", "left"), ("c2", "right")):
        planter.a_claim(claim)
        planter.allocate(claim, device)

    assert broken_in(watcher) == ["counter-overdrawn"]


def test_a_capacity_drawn_below_zero_is_seen(watcher: ConformanceWatcher, planter: Planter) -> None:
    planter.a_slice(
        "n1",
        {"name": "g0", "allowMultipleAllocations": True, "capacity": {"memory": {"value": "10Gi"}}},
    )
    for number, claim in enumerate(("c1", "c2")):
        planter.a_claim(claim)
        planter.allocate(
            claim,
            "g0",
            shareID=f"6ba7b810-9dad-11d1-80b4-00c04fd430c{number}",
            consumedCapacity={"memory": "6Gi"},
        )

    assert broken_in(watcher) == ["capacity-overdrawn"]


@pytest.mark.parametrize("asked", [{"gpu": "2"}, {"cpu": "3"}, {"memory": "5Gi"}])
def test_an_overfull_node_is_seen(
    asked: dict[str, str], watcher: ConformanceWatcher, planter: Planter
) -> None:
    for pod in ("p1", "p2"):
        planter.a_pod(pod, **asked)
        planter.bind(pod)

    assert broken_in(watcher) == ["node-overfull"]


def test_more_pods_than_a_node_takes_are_seen(watcher: ConformanceWatcher, planter: Planter) -> None:
    for number in range(4):
        planter.a_pod(f"p{number}")
        planter.bind(f"p{number}")

    assert broken_in(watcher) == ["node-overfull"]


def test_what_was_wrong_for_a_moment_is_seen_in_the_end(
    watcher: ConformanceWatcher, planter: Planter, cluster: LocalCluster, namespace: str
) -> None:
    planter.a_slice("n1", {"name": "g0"})
    for claim in ("c1", "c2"):
        planter.a_claim(claim)
        planter.allocate(claim, "g0")
    cluster.api.delete("ResourceClaim", "c1", namespace)
    cluster.api.delete("ResourceClaim", "c2", namespace)

    with pytest.raises(AssertionError, match=r"1 violations.*\n.*device-twice.*g0 is given to"):
        watcher.assert_clean()


def test_violations_are_seen_across_a_restart_of_the_api_server(start_cluster: Any) -> None:
    private = start_cluster()
    with ConformanceWatcher(private) as watcher:
        planter = Planter(private.api, "default")
        planter.a_node("n1", gpus=2)
        planter.a_pod("p1", gpu="2")
        planter.bind("p1")
        assert broken_in(watcher) == []
        private.restart_apiserver()
        planter.a_pod("p2", gpu="2")
        planter.bind("p2")

        assert broken_in(watcher) == ["node-overfull"]
