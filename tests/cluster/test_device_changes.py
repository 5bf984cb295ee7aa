"""Drivers say something new about devices between decision and bind: generations, taints, devices that are prepared."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

from kai_sched.errors import ApiFailure
from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import a_pod, a_queue, with_nodes
from tests.cluster.operators import StartOperator
from tests.cluster.proxy import ALLOCATION, BINDING, Proxy
from tests.cluster.test_claim_writes import Scene, scene, using  # noqa: F401 — fixture

Document = dict[str, Any]
WATCH_SECONDS = 1.0
"""A watch delivers within milliseconds; a loaded machine takes longer."""
READY, BROKEN = "example.com/ready", "example.com/broken"


def republish(cluster: LocalCluster, change: Callable[[Document], None], node: str = "") -> None:
    """Every driver, or that of one node, publishes its pool anew: next generation, each device changed."""
    for one in cluster.api.list("ResourceSlice"):
        if node not in {"", one["spec"].get("nodeName")}:
            continue
        one["spec"]["pool"]["generation"] += 1
        for device in one["spec"]["devices"]:
            change(device)
        cluster.api.replace({"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", **one})


def unchanged(device: Document) -> None:
    """The driver was restarted."""


def taint(device: Document) -> None:
    """For new pods only."""
    device["taints"] = [{"key": "example.com/worn", "effect": "NoSchedule"}]


def wait_for_preparation(device: Document) -> None:
    """Pods may be bound once the driver says so."""
    device["bindingConditions"] = [READY]
    device["bindingFailureConditions"] = [BROKEN]


def take_away(where: Scene) -> None:
    """The driver publishes its pool without the device that a claim was given first."""
    (gone,) = [where.device(name) for name in ("c0", "c1") if where.allocation(name)][:1]
    for one in where.api.list("ResourceSlice"):
        if one["spec"]["pool"]["name"] == gone[0]:
            one["spec"]["pool"]["generation"] += 1
            one["spec"]["devices"] = [
                device for device in one["spec"]["devices"] if device["name"] != gone[1]
            ]
            where.api.replace({"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", **one})


def expect_answers(on: Scene, statuses: list[int]) -> None:
    """To the bindings so far; a pod may be seen on its node a moment before the proxy has written down the answer."""
    on.operator.wait_until(lambda: len(on.lines(BINDING)) >= len(statuses), "the answers", 10.0)
    assert on.lines(BINDING) == statuses


def seen_by_the_operator(change: Callable[..., None], *arguments: object) -> None:
    """The change, and time for the operator's watch: the proxy holds its write up so long."""
    change(*arguments)
    time.sleep(WATCH_SECONDS)


def a_rule(name: str, **selector: str) -> Document:
    """An admin's taint on the devices that the selector names."""
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceTaintRule",
        "metadata": {"name": name},
        "spec": {
            "deviceSelector": selector,
            "taint": {"key": "example.com/worn", "effect": "NoSchedule"},
        },
    }


def say(where: Scene, claim: str, condition: str) -> None:
    """The driver tells about the device that a claim was given."""
    document = where.claim(claim)
    entries = [
        {
            **{key: result[key] for key in ("driver", "pool", "device")},
            "conditions": [
                {
                    "type": condition,
                    "status": "True",
                    "reason": "Said",
                    "message": "",
                    "lastTransitionTime": "2026-11-21T00:00:00Z",
                }
            ],
        }
        for result in document["status"]["allocation"]["devices"]["results"]
    ]
    document["status"]["devices"] = entries
    where.api.replace(document, subresource="status")


def test_a_pool_published_anew_meanwhile_holds_up_nobody(scene: Scene) -> None:  # noqa: F811
    scene.create_claims("c0", "c1", "next")
    scene.proxy.before(ALLOCATION, lambda: republish(scene.cluster, unchanged))
    scene.proxy.before(BINDING, lambda: republish(scene.cluster, unchanged))

    scene.create_gang("g", p0="c0", p1="c1")
    scene.wait_bound("p0", "p1")
    scene.api.create(using(a_pod("later", scene.namespace), "next"))

    scene.wait_bound("later")
    assert len({scene.device(claim) for claim in ("c0", "c1", "next")}) == 3
    assert not scene.proxy.is_armed()


def test_a_device_that_is_tainted_meanwhile_is_given_back_and_another_one_taken(
    scene: Scene,  # noqa: F811
) -> None:
    scene.create_claims("c0", "next")
    scene.api.patch("Node", "dra-1", body={"spec": {"unschedulable": True}})
    scene.proxy.after(ALLOCATION, lambda: seen_by_the_operator(republish, scene.cluster, taint, "dra-0"))
    scene.create_gang("g", p0="c0")
    scene.operator.wait_until(lambda: not scene.proxy.is_armed(), "the allocation")

    scene.api.create(a_pod("witness", scene.namespace))

    # A pod without claims goes to the node on which devices are free but tainted.
    scene.wait_bound("witness")
    scene.operator.wait_until(lambda: scene.allocation("c0") is None, "the device to be given back")
    assert scene.nodes().keys() == {"witness"}
    scene.api.patch("Node", "dra-1", body={"spec": {"unschedulable": None}})
    scene.wait_bound("p0")
    assert scene.device("c0")[0] == "dra-1"


def test_a_rule_that_taints_the_chosen_device_meanwhile_sends_the_gang_to_other_devices(
    scene: Scene,  # noqa: F811
) -> None:
    scene.create_claims("c0", "c1")
    tainted: list[tuple[str, str]] = []

    def taint_the_chosen() -> None:
        (chosen,) = [scene.device(name) for name in ("c0", "c1") if scene.allocation(name)][:1]
        tainted.append(chosen)
        scene.api.create(a_rule("worn", pool=chosen[0], device=chosen[1]))

    scene.proxy.after(ALLOCATION, lambda: seen_by_the_operator(taint_the_chosen))

    scene.create_gang("g", p0="c0", p1="c1")

    scene.wait_bound("p0", "p1")
    devices = {scene.device("c0"), scene.device("c1")}
    assert len(devices) == 2
    assert len(tainted) == 1
    assert devices.isdisjoint(tainted)
    # Two allocations, both taken back, two others; only then the binds.
    assert len(scene.lines(ALLOCATION)) >= 6
    expect_answers(scene, [201, 201])


def test_while_a_rule_taints_all_devices_the_gang_waits_and_goes_on_when_it_is_removed(
    scene: Scene,  # noqa: F811
) -> None:
    scene.create_claims("c0")
    scene.proxy.after(
        ALLOCATION, lambda: seen_by_the_operator(scene.api.create, a_rule("worn", driver="gpu.nvidia.com"))
    )
    scene.create_gang("g", p0="c0")
    scene.operator.wait_until(lambda: not scene.proxy.is_armed(), "the allocation")
    scene.operator.wait_until(lambda: scene.allocation("c0") is None, "the device to be given back")
    scene.api.create(a_pod("witness", scene.namespace))
    scene.wait_bound("witness")
    assert scene.nodes().keys() == {"witness"}

    scene.api.delete("DeviceTaintRule", "worn")

    scene.wait_bound("p0")
    expect_answers(scene, [201, 201])


def test_a_taint_that_comes_after_the_bind_leaves_the_gang_and_keeps_the_next_away(
    scene: Scene,  # noqa: F811
) -> None:
    scene.create_claims("c0", "next")
    scene.api.patch("Node", "dra-1", body={"spec": {"unschedulable": True}})
    scene.create_gang("g", p0="c0")
    scene.wait_bound("p0")
    republish(scene.cluster, taint, "dra-0")

    scene.api.create(using(a_pod("later", scene.namespace), "next"))
    scene.api.create(a_pod("witness", scene.namespace))

    scene.wait_bound("witness")
    assert scene.device("c0")[0] == "dra-0"
    assert "later" not in scene.nodes()
    scene.api.patch("Node", "dra-1", body={"spec": {"unschedulable": None}})
    scene.wait_bound("later")
    assert scene.device("next")[0] == "dra-1"


def test_a_device_that_is_published_no_more_is_given_back_and_the_whole_gang_decided_anew(
    scene: Scene,  # noqa: F811
) -> None:
    scene.create_claims("c0", "c1")
    scene.proxy.after(ALLOCATION, lambda: seen_by_the_operator(take_away, scene))

    scene.create_gang("g", p0="c0", p1="c1")

    scene.wait_bound("p0", "p1")
    devices = {scene.device("c0"), scene.device("c1")}
    published = {
        (one["spec"]["pool"]["name"], device["name"])
        for one in scene.api.list("ResourceSlice")
        for device in one["spec"]["devices"]
    }
    assert len(devices) == 2
    assert devices <= published
    # Nobody was bound to what went away: two allocations, both taken back, two others.
    assert len(scene.lines(ALLOCATION)) >= 6
    expect_answers(scene, [201, 201])


def test_a_pod_is_bound_once_the_driver_has_prepared_its_device(scene: Scene) -> None:  # noqa: F811
    republish(scene.cluster, wait_for_preparation)
    scene.create_claims("c0", "c1")
    scene.create_gang("g", p0="c0", p1="c1")
    scene.operator.wait_until(lambda: bool(scene.allocation("c0") and scene.allocation("c1")), "allocations")

    say(scene, "c0", READY)

    scene.api.create(a_pod("witness", scene.namespace))
    scene.wait_bound("witness")
    assert scene.nodes().keys() == {"witness"}
    say(scene, "c1", READY)
    scene.wait_bound("p0", "p1")
    expect_answers(scene, [201, 201, 201])


def test_a_device_that_cannot_be_prepared_is_given_back_and_decided_anew(scene: Scene) -> None:  # noqa: F811
    republish(scene.cluster, wait_for_preparation)
    scene.create_claims("c0", "c1")
    scene.create_gang("g", p0="c0", p1="c1")
    scene.operator.wait_until(lambda: bool(scene.allocation("c0") and scene.allocation("c1")), "allocations")
    say(scene, "c1", READY)
    given = len(scene.lines(ALLOCATION))

    say(scene, "c0", BROKEN)

    # Both are taken back, and given out again.
    scene.operator.wait_until(lambda: len(scene.lines(ALLOCATION)) >= given + 4, "another decision")
    scene.operator.wait_until(lambda: bool(scene.allocation("c0") and scene.allocation("c1")), "allocations")
    assert scene.nodes() == {}
    for claim in ("c0", "c1"):
        assert not scene.claim(claim)["status"].get("devices")
        say(scene, claim, READY)
    scene.wait_bound("p0", "p1")


def test_a_device_that_is_not_prepared_in_time_is_given_back_decided_anew_and_the_pod_told(
    cluster: LocalCluster, namespace: str, proxy: Proxy, start_operator: StartOperator
) -> None:
    with_nodes(cluster, dra=1, gpus=1)
    republish(cluster, wait_for_preparation)
    cluster.api.create(a_queue())
    environment = {**os.environ, "KAI_SCHED_BINDING_TIMEOUT_SECONDS": "3"}
    operator = start_operator("--no-lease", through=proxy.kubeconfig, environment=environment)
    here = Scene(cluster, namespace, operator, proxy)
    here.create_claims("c0")

    here.create_gang("g", p0="c0")

    # Allocated, taken back in vain, allocated anew.
    here.operator.wait_until(lambda: len(here.lines(ALLOCATION)) >= 3, "another decision")
    assert here.lines(BINDING) == []
    here.operator.wait_until(
        lambda: f"devices of {namespace}/c0 not ready after 3 s" in notes_about(here, "p0"), "the event"
    )

    def is_bound_when_it_is_ready() -> bool:
        # What is said about an allocation that is being taken back is a conflict.
        with contextlib.suppress(ApiFailure, KeyError):
            say(here, "c0", READY)
        return here.nodes().keys() == {"p0"}

    here.operator.wait_until(is_bound_when_it_is_ready, "the pod to be bound")
    assert here.holders("c0") == ["p0"]


def notes_about(where: Scene, pod: str) -> set[str]:
    """What events say about a pod."""
    return {
        str(event.get("note") or event.get("message"))
        for event in where.api.list("Event", where.namespace)
        if (event.get("regarding") or event.get("involvedObject") or {}).get("name") == pod
    }
