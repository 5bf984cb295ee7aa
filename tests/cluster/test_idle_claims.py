"""A named claim that keeps devices which nobody uses is no anchor: it is given back, and allocated where its pod fits."""

from __future__ import annotations

from tests.cluster.objects import a_pod
from tests.cluster.test_claim_writes import Scene, scene, using  # noqa: F401 — fixture


def test_a_claim_left_on_a_node_without_room_is_given_back_and_the_pod_runs_elsewhere(
    scene: Scene,  # noqa: F811
) -> None:
    scene.create_claims("c")
    scene.allocate_elsewhere("c", "dra-0", "gpu-0")
    scene.api.patch("Node", "dra-0", body={"spec": {"unschedulable": True}})

    scene.api.create(using(a_pod("p", scene.namespace), "c"))

    scene.wait_bound("p")
    assert scene.nodes() == {"p": "dra-1"}
    assert scene.device("c")[0] == "dra-1"
    assert scene.holders("c") == ["p"]


def test_so_is_one_left_on_a_node_that_is_gone(scene: Scene) -> None:  # noqa: F811
    scene.create_claims("c")
    scene.allocate_elsewhere("c", "dra-0", "gpu-0")
    scene.api.delete("Node", "dra-0")
    for one in scene.api.list("ResourceSlice"):
        if one["spec"]["nodeName"] == "dra-0":
            scene.api.delete("ResourceSlice", one["metadata"]["name"])

    scene.api.create(using(a_pod("p", scene.namespace), "c"))

    scene.wait_bound("p")
    assert scene.nodes() == {"p": "dra-1"}


def test_what_another_pod_uses_stays_where_it_is(scene: Scene) -> None:  # noqa: F811
    scene.create_claims("c", "mine")
    scene.api.create(using(a_pod("user", scene.namespace), "c"))
    scene.wait_bound("user")
    (home,) = scene.nodes().values()
    scene.api.patch("Node", home, body={"spec": {"unschedulable": True}})

    scene.api.create(using(a_pod("p", scene.namespace), "c"))
    scene.api.create(using(a_pod("witness", scene.namespace), "mine"))

    scene.wait_bound("witness")
    assert scene.device("c")[0] == home
    assert scene.holders("c") == ["user"]


def test_a_claim_under_two_names_in_a_pod_is_reserved_once(scene: Scene) -> None:  # noqa: F811
    scene.create_claims("c")
    pod = using(a_pod("p", scene.namespace), "c")
    pod["spec"]["resourceClaims"].append({"name": "again", "resourceClaimName": "c"})
    second = {**pod["spec"]["containers"][0], "name": "second", "resources": {"claims": [{"name": "again"}]}}
    pod["spec"]["containers"].append(second)

    scene.api.create(pod)

    scene.wait_bound("p")
    assert scene.holders("c") == ["p"]
