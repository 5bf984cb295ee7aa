"""What fails before a gang's first bind takes all of it back; what fails after it is made good elsewhere.

Failures are made at a certain write, by the proxy between operator and API server.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from kai_sched.errors import ApiFailure
from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import a_pod, a_pod_group, a_queue, with_nodes
from tests.cluster.operators import StartOperator
from tests.cluster.proxy import ALLOCATION, BINDING, Proxy, Write
from tests.cluster.test_claim_writes import Scene

Document = dict[str, Any]
HEARD_SECONDS = 0.5
"""For the operator's watches to tell it what a test just did."""


@pytest.fixture
def scene(cluster: LocalCluster, namespace: str, proxy: Proxy, start_operator: StartOperator) -> Scene:
    """Three nodes with two GPUs each."""
    with_nodes(cluster, dra=3, gpus=2)
    cluster.api.create(a_queue())
    return Scene(cluster, namespace, start_operator("--no-lease", through=proxy.kubeconfig), proxy)


def create_pod(scene: Scene, name: str, *claims: str, group: str = "") -> None:
    """A pod with claims by name."""
    pod = a_pod(name, scene.namespace, group=group)
    pod["spec"]["resourceClaims"] = [{"name": claim, "resourceClaimName": claim} for claim in claims]
    pod["spec"]["containers"][0]["resources"]["claims"] = [{"name": claim} for claim in claims]
    scene.api.create(pod)


def delete_pod(scene: Scene, name: str) -> None:
    scene.api.delete("Pod", name, scene.namespace, gracePeriodSeconds=0)
    time.sleep(HEARD_SECONDS)


def delete_node(scene: Scene, name: str) -> None:
    """With what its driver published."""
    scene.api.delete("Node", name)
    for one in scene.api.list("ResourceSlice"):
        if one["spec"].get("nodeName") == name:
            scene.api.delete("ResourceSlice", one["metadata"]["name"])
    time.sleep(HEARD_SECONDS)


def updates(scene: Scene, claim: str) -> list[Document]:
    """The documents that the status of a claim was replaced by."""
    return [json.loads(write.body) for write in allocations(scene.proxy) if f"/{claim}/" in write.path]


def allocations(proxy: Proxy) -> list[Write]:
    return [
        write for write in proxy.decided() if re.fullmatch(ALLOCATION, write.line) and write.status == 200
    ]


def test_the_gang_is_taken_back_in_one_update_a_claim_and_other_consumers_keep_theirs(scene: Scene) -> None:
    scene.create_claims("own", "shared")
    create_pod(scene, "other", "shared")
    scene.wait_bound("other")
    before = scene.allocation("shared")
    scene.proxy.mend()
    # p1 goes while the gang's claims are written.
    scene.proxy.before(rf"{ALLOCATION[:-1]}(?<=shared/status)", lambda: delete_pod(scene, "p1"))
    scene.api.create(a_pod_group("g", scene.namespace, minMember=2))
    create_pod(scene, "p0", "own", "shared", group="g")
    create_pod(scene, "p1", "shared", group="g")

    scene.operator.wait_until(lambda: len(updates(scene, "own")) == 2, "the undo")
    scene.operator.wait_until(lambda: scene.holders("shared") == ["other"], "the undo of the shared claim")

    written, taken_back = updates(scene, "own")
    assert written["status"]["allocation"]
    assert [one["name"] for one in written["status"]["reservedFor"]] == ["p0"]
    assert not {"allocation", "reservedFor"} & taken_back["status"].keys()
    assert taken_back["metadata"]["resourceVersion"]
    assert scene.allocation("shared") == before
    assert scene.nodes().keys() == {"other"}
    assert scene.lines(BINDING) == []
    create_pod(scene, "p1", "shared", group="g")
    scene.wait_bound("p0", "p1")


def a_policy(name: str, namespace: str, pods: str) -> Iterator[Document]:
    """Admission that refuses to bind some pods of a namespace."""
    api = "admissionregistration.k8s.io/v1"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/binding"], "operations": ["CREATE"]}
    here = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    denial = {"expression": f"!({pods})", "message": "not today", "reason": "Invalid"}
    yield {
        "apiVersion": api,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [rule], "namespaceSelector": here},
            "validations": [denial],
        },
    }
    yield {
        "apiVersion": api,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }


class Refusing:
    """Bindings of some pods are refused until ``end``."""

    def __init__(self, scene: Scene, pods: str) -> None:
        self._api = scene.api
        self._paths = []
        for document in a_policy(f"no-{scene.namespace}", scene.namespace, pods):
            plural = document["kind"].lower().removesuffix("y") + (
                "ies" if document["kind"][-1] == "y" else "s"
            )
            self._api.request("POST", f"/apis/{document['apiVersion']}/{plural}", document)
            self._paths.append(f"/apis/{document['apiVersion']}/{plural}/{document['metadata']['name']}")

    def end(self) -> None:
        for path in reversed(self._paths):
            self._api.request("DELETE", path)
        self._paths = []


def wait_refused(scene: Scene, pod: str) -> None:
    """Until the policy is in force; the pod must not exist."""
    path = f"/api/v1/namespaces/{scene.namespace}/pods/{pod}/binding"
    body = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": pod},
        "target": {"kind": "Node", "name": "dra-0"},
    }

    def is_in_force() -> bool:
        with pytest.raises(ApiFailure) as caught:
            scene.api.request("POST", path, body)
        return caught.value.status == 422

    scene.operator.wait_until(is_in_force, "the policy")


def test_a_gang_of_which_no_pod_may_be_bound_is_taken_back_and_tried_again(scene: Scene) -> None:
    scene.create_claims("c0", "c1")
    refusing = Refusing(scene, "true")
    try:
        wait_refused(scene, "p0")
        scene.create_gang("g", p0="c0", p1="c1")

        scene.operator.wait_until(lambda: scene.lines(BINDING)[:2] == [422, 422], "the refusals")
        scene.operator.wait_until(lambda: len(updates(scene, "c0")) > 1 and len(updates(scene, "c1")) > 1)

        for claim in ("c0", "c1"):
            assert not {"allocation", "reservedFor"} & updates(scene, claim)[1]["status"].keys()
    finally:
        refusing.end()
    scene.wait_bound("p0", "p1")


def test_a_gang_of_which_one_pod_is_bound_is_only_completed(scene: Scene) -> None:
    scene.create_claims("c0", "c1", count=2)
    refusing = Refusing(scene, "request.name == 'p1'")
    try:
        wait_refused(scene, "p1")
        scene.create_gang("g", p0="c0", p1="c1")
        scene.wait_bound("p0")
        scene.operator.wait_until(lambda: 422 in scene.lines(BINDING), "the refusal")
        node, held = scene.nodes()["p0"], scene.allocation("c0")
    finally:
        refusing.end()

    scene.wait_bound("p1")

    assert scene.nodes()["p0"] == node
    assert scene.allocation("c0") == held
    assert len(updates(scene, "c0")) == 1


def test_a_pod_whose_node_goes_away_while_the_server_does_not_answer_is_bound_elsewhere(scene: Scene) -> None:
    scene.create_claims("c0", "c1", count=2)
    gone: list[str] = []

    def lose_node() -> None:
        (bound,) = scene.nodes()
        other = scene.allocation("c1" if bound == "p0" else "c0") or {}
        gone.append(other["devices"]["results"][0]["pool"])
        delete_node(scene, gone[0])

    scene.proxy.instead(BINDING, lose_node, skip=1)

    scene.create_gang("g", p0="c0", p1="c1")

    scene.wait_bound("p0", "p1")
    assert len(set(scene.nodes().values())) == 2
    assert not set(gone) & set(scene.nodes().values())
    pools = {
        result["pool"] for claim in ("c0", "c1") for result in scene.allocation(claim)["devices"]["results"]
    }  # type: ignore[index]
    assert pools == set(scene.nodes().values())
