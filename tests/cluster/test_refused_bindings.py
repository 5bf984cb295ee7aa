"""What is refused while it is written steps aside: others have its room, and everybody can read why."""

from __future__ import annotations

import time
from typing import Any

import pytest

from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import a_pod, a_pod_group, a_queue, with_nodes
from tests.cluster.operators import RunningOperator
from tests.cluster.test_gang_failures import a_policy

Document = dict[str, Any]
WORDS = "not today"
SOON_SECONDS = 5.0
API = "/apis/admissionregistration.k8s.io/v1"
PLURALS = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}


class Scene:
    """Two nodes of eight GPUs; bindings of pods named doomed are refused."""

    def __init__(self, cluster: LocalCluster, namespace: str, operator: RunningOperator) -> None:
        self.api, self.namespace, self.operator = cluster.api, namespace, operator
        self._paths: list[str] = []
        for document in a_policy(f"no-{namespace}", namespace, "request.name.startsWith('doomed')"):
            path = f"{API}/{PLURALS[document['kind']]}"
            self.api.request("POST", path, document)
            self._paths.append(f"{path}/{document['metadata']['name']}")

    def end_policy(self) -> None:
        while self._paths:
            self.api.request("DELETE", self._paths.pop())

    def create(self, name: str, *, group: str = "", gpus: int = 8, **more: Any) -> None:
        self.api.create(a_pod(name, self.namespace, group=group, gpus=gpus, **more))

    def node(self, name: str) -> str | None:
        return self.pod(name)["spec"].get("nodeName")

    def pod(self, name: str) -> Document:
        return self.api.get("Pod", name, self.namespace)

    def verdict(self, group: str) -> Document:
        status = self.api.get("PodGroup", group, self.namespace).get("status") or {}
        return status.get("kaiSched") or {}

    def condition(self, pod: str) -> str:
        conditions = (self.pod(pod).get("status") or {}).get("conditions") or ()
        return next((one.get("message") or "" for one in conditions if one["type"] == "PodScheduled"), "")

    def wait(self, is_so: Any, what: str, seconds: float = 30.0) -> None:
        self.operator.wait_until(is_so, what, seconds)


@pytest.fixture
def scene(cluster: LocalCluster, namespace: str, operator: RunningOperator) -> Any:
    with_nodes(cluster, plugin=2)
    cluster.api.create(a_queue())
    made = Scene(cluster, namespace, operator)
    # A policy is in force some time after it was made.
    time.sleep(3)
    yield made
    made.end_policy()


def test_a_pod_that_may_not_be_bound_leaves_its_room_to_others_and_says_why(scene: Scene) -> None:
    first = {"nodeSelector": {"kubernetes.io/hostname": "plugin-0"}}
    scene.api.create(a_pod_group("g", scene.namespace, minMember=1))
    scene.create("doomed-0", group="g", **first)
    scene.wait(lambda: scene.verdict("g").get("blocker") == "Delayed", "the verdict")
    assert WORDS in scene.verdict("g")["message"]

    scene.create("fine-0", **first)

    scene.wait(lambda: scene.node("fine-0") == "plugin-0", "the room", SOON_SECONDS)
    scene.wait(lambda: WORDS in scene.condition("doomed-0"), "the pod's condition")
    events = scene.api.list("Event", scene.namespace)
    assert any(WORDS in (event.get("note") or event.get("message") or "") for event in events)
    # Its room is taken: that is what it waits for now, whenever its rest ends.
    scene.wait(lambda: scene.verdict("g").get("blocker") not in {None, "Delayed"}, "its new reason")


def test_a_group_that_is_refused_is_never_called_placed_and_runs_once_it_may(scene: Scene) -> None:
    scene.api.create(a_pod_group("g", scene.namespace, minMember=2))
    said: list[str] = []

    def look() -> bool:
        verdict = scene.verdict("g").get("verdict")
        if verdict and (not said or said[-1] != verdict):
            said.append(verdict)
        return len(scene.operator.entries("command ended early")) >= 4

    scene.create("doomed-0", group="g")
    scene.create("doomed-1", group="g")
    scene.wait(look, "three tries")
    assert "Placed" not in said
    assert scene.verdict("g")["verdict"] == "Unplaced"

    scene.end_policy()

    scene.wait(lambda: scene.node("doomed-0") and scene.node("doomed-1"), "the gang", 60)
    scene.wait(lambda: scene.verdict("g").get("verdict") == "Placed", "the verdict")


def test_a_gang_bound_in_part_keeps_the_room_of_its_other_pods(scene: Scene) -> None:
    scene.api.create(a_pod_group("g", scene.namespace, minMember=2))
    scene.create("able-0", group="g")
    scene.create("doomed-1", group="g")
    scene.wait(lambda: scene.node("able-0"), "the first pod")
    scene.wait(lambda: scene.verdict("g").get("blocker") == "Delayed", "the verdict")
    assert scene.verdict("g")["runningPods"] == scene.verdict("g")["pendingPods"] == 1

    scene.create("other-0")
    time.sleep(SOON_SECONDS)
    assert scene.node("other-0") is None
    assert WORDS in scene.condition("doomed-1")

    scene.end_policy()

    scene.wait(lambda: scene.node("doomed-1"), "the rest of the gang", 60)
    assert scene.node("other-0") is None
