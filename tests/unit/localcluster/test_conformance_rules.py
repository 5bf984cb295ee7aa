"""What the conformance watcher calls a violation, and what it does not: pure rules over documents of the API server."""

from __future__ import annotations

from fractions import Fraction
from itertools import count
from typing import Any

import pytest

from kai_sched.localcluster.conformance.amounts import pod_requests, quantity
from kai_sched.localcluster.conformance.history import History
from kai_sched.localcluster.conformance.reach import selects
from kai_sched.localcluster.conformance.replay import Event, Replay
from kai_sched.localcluster.conformance.state import WATCHED

Document = dict[str, Any]


class Story:
    """A replay that is told one change after another."""

    def __init__(self) -> None:
        self.replay = Replay()
        self._revisions = count(1)

    def tell(self, *documents: Document) -> Story:
        self.replay.advance(Event(next(self._revisions), one["kind"], one) for one in documents)
        return self

    def end_of(self, document: Document) -> Story:
        self.replay.advance([Event(next(self._revisions), document["kind"], document, is_gone=True)])
        return self

    @property
    def broken(self) -> list[str]:
        return [violation.rule for violation in self.replay.violations]


def a_node(name: str = "n1", gpus: int = 2, **labels: str) -> Document:
    allocatable = {"cpu": "4", "pods": "10", "nvidia.com/gpu": str(gpus)}
    return {
        "kind": "Node",
        "metadata": {"name": name, "uid": f"u-{name}", "labels": labels},
        "status": {"allocatable": allocatable},
    }


def a_pod(
    name: str = "p1", node: str = "", *, claim: str = "", phase: str = "Pending", **requests: str
) -> Document:
    asked = {key.replace("gpu", "nvidia.com/gpu"): value for key, value in requests.items()}
    claims = [{"name": "c", "resourceClaimName": claim}] if claim else []
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "t", "uid": f"u-{name}"},
        "spec": {
            "containers": [{"resources": {"requests": asked}}],
            "nodeName": node,
            "resourceClaims": claims,
        },
        "status": {"phase": phase},
    }


def a_result(device: str, pool: str = "n1", **more: Any) -> Document:
    return {"request": "r", "driver": "d", "pool": pool, "device": device, **more}


def a_claim(
    name: str, *results: Document, reserved_for: tuple[str, ...] = (), selector: Document | None = None
) -> Document:
    status: Document = {
        "reservedFor": [{"resource": "pods", "name": p, "uid": f"u-{p}"} for p in reserved_for]
    }
    if results:
        status["allocation"] = {"devices": {"results": list(results)}}
        if selector is not None:
            status["allocation"]["nodeSelector"] = selector
    return {
        "kind": "ResourceClaim",
        "metadata": {"name": name, "namespace": "t", "uid": f"u-{name}"},
        "status": status,
    }


def a_slice(*devices: Document, node: str = "n1", **spec: Any) -> Document:
    return {
        "kind": "ResourceSlice",
        "metadata": {"name": f"s-{node}", "uid": f"u-s-{node}"},
        "spec": {"driver": "d", "pool": {"name": node}, "nodeName": node, "devices": list(devices), **spec},
    }


def on_node(name: str) -> Document:
    field = {"key": "metadata.name", "operator": "In", "values": [name]}
    return {"nodeSelectorTerms": [{"matchFields": [field]}]}


def test_a_pod_whose_claim_is_allocated_reserved_and_near_breaks_nothing() -> None:
    claim = a_claim("c1", a_result("g0"), reserved_for=("p1",), selector=on_node("n1"))

    story = Story().tell(a_node(), a_slice({"name": "g0"}), claim, a_pod("p1", "n1", claim="c1"))

    assert story.broken == []
    assert (story.replay.binds_seen, story.replay.allocations_seen) == (1, 1)


def test_a_pod_without_a_node_is_not_judged() -> None:
    assert Story().tell(a_node(), a_pod(claim="missing")).broken == []


@pytest.mark.parametrize(
    ("claim", "rule"),
    [
        (None, "claim-missing"),
        (a_claim("c1", reserved_for=("p1",)), "claim-unallocated"),
        (a_claim("c1", a_result("g0")), "claim-unreserved"),
        (a_claim("c1", a_result("g0"), reserved_for=("other",)), "claim-unreserved"),
        (
            a_claim("c1", a_result("g0"), reserved_for=("p1",), selector=on_node("n2")),
            "claim-elsewhere",
        ),
        (a_claim("c1", a_result("g9", pool="n2"), reserved_for=("p1",)), "claim-elsewhere"),
    ],
    ids=[
        "missing",
        "unallocated",
        "unreserved",
        "reserved-for-another",
        "other-node",
        "device-of-another-node",
    ],
)
def test_a_bound_pod_needs_its_claim_allocated_reserved_and_near(claim: Document | None, rule: str) -> None:
    story = Story().tell(a_node(), a_node("n2"), a_slice({"name": "g0"}), a_slice({"name": "g9"}, node="n2"))
    if claim is not None:
        story.tell(claim)

    story.tell(a_pod("p1", "n1", claim="c1"))

    assert story.broken == [rule]


def test_nodes_may_publish_devices_of_one_name_under_one_pool_name() -> None:
    here, there = (a_slice({"name": "g0"}, node=node, pool={"name": "shared"}) for node in ("n1", "n2"))
    claim = a_claim("c1", a_result("g0", pool="shared"), reserved_for=("p1",))
    story = Story().tell(a_node(), a_node("n2"), here, there, claim)

    assert story.tell(a_pod(node="n1", claim="c1")).broken == []

    moved = Story().tell(a_node(), a_node("n2"), here, there, claim).end_of(here)
    assert moved.tell(a_pod(node="n1", claim="c1")).broken == ["claim-elsewhere"]


def test_a_claim_of_a_template_counts_by_the_name_it_got() -> None:
    pod = a_pod("p1", "n1")
    pod["spec"]["resourceClaims"] = [{"name": "c", "resourceClaimTemplateName": "t"}]
    not_made = Story().tell(a_node(), pod)
    pod = {**pod, "status": {"resourceClaimStatuses": [{"name": "c", "resourceClaimName": "made"}]}}
    made = Story().tell(a_node(), a_slice({"name": "g0"}), a_claim("made", a_result("g0")), pod)

    assert not_made.broken == ["claim-missing"]
    assert made.broken == ["claim-unreserved"]


def test_a_claim_reserved_for_the_pods_group_is_reserved_for_the_pod() -> None:
    pod = a_pod("p1", "n1", claim="c1")
    pod["spec"]["schedulingGroup"] = {"podGroupName": "gang"}
    claim = a_claim("c1", a_result("g0"))
    claim["status"]["reservedFor"] = [
        {"apiGroup": "scheduling.k8s.io", "resource": "podgroups", "name": "gang", "uid": "x"}
    ]

    assert Story().tell(a_node(), a_slice({"name": "g0"}), claim, pod).broken == []


def test_a_device_is_given_once_and_again_only_after_its_claim_is_gone() -> None:
    first, second = a_claim("c1", a_result("g0")), a_claim("c2", a_result("g0"))

    assert Story().tell(a_slice({"name": "g0"}), first, second).broken == ["device-twice"]
    assert Story().tell(a_slice({"name": "g0"}), first).end_of(first).tell(second).broken == []
    assert Story().tell(a_slice({"name": "g0"}), first, a_claim("c1"), second).broken == []


def test_access_for_administration_takes_nothing_away() -> None:
    story = Story().tell(
        a_slice({"name": "g0"}),
        a_claim("c1", a_result("g0")),
        a_claim("admin", a_result("g0", adminAccess=True)),
    )

    assert story.broken == []


def test_a_device_that_nobody_published_cannot_be_given() -> None:
    assert Story().tell(a_slice({"name": "g0"}), a_claim("c1", a_result("g1"))).broken == ["unknown-device"]


def share(name: str, memory: str) -> Document:
    return a_claim(f"c-{name}", a_result("g0", shareID=name, consumedCapacity={"memory": memory}))


def test_shares_of_a_device_stay_within_its_capacity() -> None:
    device = {"name": "g0", "allowMultipleAllocations": True, "capacity": {"memory": {"value": "10Gi"}}}

    fitting = Story().tell(a_slice(device), share("a", "6Gi"), share("b", "4Gi"))
    overdrawn = Story().tell(a_slice(device), share("a", "6Gi"), share("b", "5Gi"))

    assert fitting.broken == []
    assert overdrawn.broken == ["capacity-overdrawn"]


def test_a_device_that_allows_one_allocation_is_not_shared() -> None:
    story = Story().tell(a_slice({"name": "g0"}), share("a", "0"), share("b", "0"))

    assert story.broken == ["device-twice"]


def a_partition(name: str, slices: str) -> Document:
    drawn = {"counterSet": "card", "counters": {"slices": {"value": slices}}}
    return {"name": name, "consumesCounters": [drawn]}


def test_partitions_together_stay_within_the_counters_they_share() -> None:
    partitions = a_slice(
        a_partition("half", "4"),
        a_partition("quarter", "2"),
        a_partition("rest", "3"),
        sharedCounters=[{"name": "card", "counters": {"slices": {"value": "8"}}}],
    )
    half, quarter = a_claim("c1", a_result("half")), a_claim("c2", a_result("quarter"))

    story = Story().tell(partitions, half, quarter)
    assert story.broken == []

    story.tell(a_claim("c3", a_result("rest")))
    assert story.broken == ["counter-overdrawn"]


@pytest.mark.parametrize("resource", [{"gpu": "2"}, {"cpu": "3"}])
def test_a_node_holds_no_more_than_it_has(resource: dict[str, str]) -> None:
    first, second = a_pod("p1", "n1", **resource), a_pod("p2", "n1", **resource)

    assert Story().tell(a_node(), first, second).broken == ["node-overfull"]
    ended = a_pod("p1", "n1", phase="Succeeded", **resource)
    assert Story().tell(a_node(), first, ended, second).broken == []


def test_a_node_has_room_for_so_many_pods() -> None:
    pods = [a_pod(f"p{number}", "n1") for number in range(11)]

    story = Story().tell(a_node(), *pods)

    assert story.broken == ["node-overfull"]
    assert "pods 11 of 10" in str(story.replay.violations[0])


def test_a_resource_that_a_claim_provides_is_not_asked_of_the_node() -> None:
    pod = a_pod("p1", "n1", gpu="8")
    pod["status"]["extendedResourceClaimStatus"] = {
        "resourceClaimName": "special",
        "requestMappings": [{"resourceName": "nvidia.com/gpu", "containerName": "c", "requestName": "r"}],
    }
    claim = a_claim("special", a_result("g0"), reserved_for=("p1",))

    assert Story().tell(a_node(gpus=0), a_slice({"name": "g0"}), claim, pod).broken == []


def test_a_pod_on_a_node_that_is_not_there_is_a_violation() -> None:
    assert Story().tell(a_pod("p1", "n1")).broken == ["unknown-node"]


def test_a_wrong_moment_is_caught_though_it_was_mended_before_the_check() -> None:
    first, second = a_claim("c1", a_result("g0")), a_claim("c2", a_result("g0"))

    assert Story().tell(a_slice({"name": "g0"}), first, second, a_claim("c2")).broken == ["device-twice"]


def test_events_are_judged_in_order_of_revision_not_of_arrival() -> None:
    claim = a_claim("c1", a_result("g0"), reserved_for=("p1",))
    replay = Replay()

    replay.advance(
        [
            Event(4, "Pod", a_pod("p1", "n1", claim="c1")),
            Event(3, "ResourceClaim", claim),
            Event(1, "Node", a_node()),
            Event(2, "ResourceSlice", a_slice({"name": "g0"})),
        ]
    )

    assert replay.violations == []


def test_after_a_gap_only_what_is_new_is_judged() -> None:
    story = Story().tell(a_node(), a_pod("old", "n1", gpu="3"))
    assert story.broken == ["node-overfull"]
    pods = [a_pod("old", "n1", gpu="3"), a_pod("new", "n1", claim="c1")]

    story.replay.restart({"Node": [a_node()], "Pod": pods}, revision=100)

    assert story.broken == ["node-overfull", "claim-missing"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500m", Fraction(1, 2)),
        ("2Ki", 2048),
        ("1e3", 1000),
        ("2E", 2 * 10**18),
        ("1Ei", 2**60),
        ("0.5", Fraction(1, 2)),
    ],
)
def test_quantities_are_exact(text: str, value: Fraction) -> None:
    assert quantity(text) == value


def test_a_pod_asks_for_its_greediest_moment() -> None:
    spec = {
        "initContainers": [
            {"resources": {"requests": {"cpu": "1"}}, "restartPolicy": "Always"},
            {"resources": {"requests": {"cpu": "5"}}},
        ],
        "containers": [{"resources": {"requests": {"cpu": "2"}}}, {"resources": {"limits": {"cpu": "1"}}}],
        "overhead": {"cpu": "500m"},
    }

    assert pod_requests({"spec": spec})["cpu"] == Fraction(13, 2)


@pytest.mark.parametrize(
    ("operator", "values", "chosen"),
    [
        ("In", ["a"], True),
        ("NotIn", ["a"], False),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
        ("Gt", ["1"], False),
    ],
)
def test_node_selectors_read_labels(operator: str, values: list[str], chosen: bool) -> None:
    expression = {"key": "rack", "operator": operator, "values": values}
    node = a_node(rack="1" if operator == "Gt" else "a")

    assert selects({"nodeSelectorTerms": [{"matchExpressions": [expression]}]}, node) is chosen
    assert selects({"nodeSelectorTerms": [{}]}, node) is False
    assert selects(None, node) is True


def at(revision: int, document: Document) -> Document:
    return {**document, "metadata": {**document["metadata"], "resourceVersion": str(revision)}}


def empty_history() -> History:
    return History({kind: [] for kind in WATCHED}, 1)


def test_a_stream_covers_a_list_once_it_told_of_every_object_in_it() -> None:
    history = empty_history()
    listed = [at(5, a_node())]
    assert not history.covers("Node", listed, 9)

    history.add("Node", {"type": "ADDED", "object": at(4, a_node())})
    assert not history.covers("Node", listed, 9)
    history.add("Node", {"type": "MODIFIED", "object": at(5, a_node())})

    assert history.covers("Node", listed, 9)


def test_a_stream_covers_a_list_once_it_told_of_every_removal_before_it() -> None:
    history = empty_history()
    history.add("Node", {"type": "ADDED", "object": at(4, a_node())})
    assert not history.covers("Node", [], 9)

    history.add("Node", {"type": "DELETED", "object": at(6, a_node())})

    assert history.covers("Node", [], 9)
    assert history.covers("Node", [at(5, a_node())], 5)


def test_what_came_after_the_list_waits_for_the_next_check() -> None:
    history = empty_history()
    history.add("Node", {"type": "ADDED", "object": at(4, a_node())})
    history.add("Node", {"type": "ADDED", "object": at(12, a_node("n2"))})

    assert history.covers("Node", [at(4, a_node())], 9)
    assert [event.revision for event in history.take(9)] == [4]
    assert [event.revision for event in history.take(20)] == [12]
