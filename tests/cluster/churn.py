"""Seeded unrest on a control plane: what users, administrators and kubelets do to a scheduler, in random order."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

from kai_sched.errors import ApiFailure
from kai_sched.localcluster import LocalCluster
from kai_sched.localcluster.fleet import Fleet, fleet_objects
from kai_sched.localcluster.fleet.publish import publish
from tests.cluster.objects import a_claim_template, a_pod, a_pod_group, a_queue

Document = dict[str, Any]
LIMITS = {"wide": -1, "narrow": 8}
CLASS_RESOURCE = "deviceclass.resource.kubernetes.io/gpu.nvidia.com"
RACKS = {"label": "kai-sched.dev/rack", "nodes": 2, "name": "rack-{n}"}
FLEET = {
    "apiVersion": "kai-sched.dev/v1alpha1",
    "kind": "Fleet",
    "topologies": [
        {
            "name": "racks",
            "levels": [{"nodeLabel": RACKS["label"]}, {"nodeLabel": "kubernetes.io/hostname"}],
        }
    ],
    "pools": [
        {"name": "dra", "count": 4, "domains": [RACKS], "devices": [{"profile": "nvidia-h100"}]},
        {
            "name": "plugin",
            "count": 2,
            "domains": [{**RACKS, "first": 2}],
            "devices": [{"profile": "nvidia-h100", "via": "devicePlugin"}],
        },
        {"name": "mig", "count": 1, "devices": [{"profile": "nvidia-h100", "partitions": "dynamic"}]},
    ],
}


def _templates(namespace: str) -> list[Document]:
    partition = a_claim_template("partition", namespace)
    asked = partition["spec"]["spec"]["devices"]["requests"][0]["exactly"]
    asked["deviceClassName"] = "mig.nvidia.com"
    expression = "device.attributes['gpu.nvidia.com'].profile == '2g.20gb'"
    asked["selectors"] = [{"cel": {"expression": expression}}]
    return [
        a_claim_template("one", namespace),
        a_claim_template("three", namespace, gpus=3),
        a_claim_template("too-many", namespace, gpus=20),
        partition,
    ]


class Churn:
    """``step`` does one random thing; ``calm`` takes back what stands in the way of pods."""

    def __init__(self, cluster: LocalCluster, namespace: str, seed: int, *, most_pods: int = 60) -> None:
        self._api = cluster.api
        self._namespace = namespace
        self._random = random.Random(seed)
        self._numbers = itertools.count(1)
        self._most_pods = most_pods
        self._nodes: list[str] = []
        self._actions: list[tuple[Callable[[], None], int]] = [
            (self._lone_pod, 6),
            (self._gang, 5),
            (self._gang_with_a_claim, 2),
            (self._by_class_resource, 2),
            (self._odd_pod, 1),
            (self._delete_pod, 6),
            (self._finish_pod, 6),
            (self._delete_claim, 1),
            (self._delete_group, 2),
            (self._edit_pod, 2),
            (self._edit_group, 1),
            (self._edit_queue, 2),
            (self._flip_node, 2),
        ]

    def prepare(self) -> None:
        """Nodes, queues and templates."""
        objects = fleet_objects(Fleet.model_validate(FLEET))
        publish(self._api, objects)
        self._nodes = [one["metadata"]["name"] for one in objects if one["kind"] == "Node"]
        for queue, limit in LIMITS.items():
            self._api.create(a_queue(queue, gpu_limit=limit))
        self._api.create_all(_templates(self._namespace))

    def step(self) -> None:
        """One thing; what the API server refuses because another thing came first is no matter."""
        actions, weights = zip(*self._actions, strict=True)
        action = self._random.choices(actions, weights)[0]
        if len(self._pods()) > self._most_pods:
            action = self._delete_group
        try:
            action()
        except ApiFailure as failure:
            if failure.status not in {403, 404, 409, 422}:
                raise

    def calm(self) -> None:
        """Every node takes pods again, every queue has its limit back."""
        for node in self._nodes:
            self._api.patch("Node", node, body={"spec": {"unschedulable": None}})
        for queue, limit in LIMITS.items():
            self._set_limit(queue, limit)

    def _name(self, stem: str) -> str:
        return f"{stem}-{next(self._numbers)}"

    def _pods(self) -> list[Document]:
        return self._api.list("Pod", self._namespace)

    def _some(self, found: list[Document]) -> str:
        """The name of one of them; "" is nothing's."""
        return str(self._random.choice(found)["metadata"]["name"]) if found else ""

    def _queue(self) -> str:
        return self._random.choice(["wide", "wide", "narrow"])

    def _wish(self) -> Document:
        return self._random.choice(
            [
                {"gpus": 1},
                {"gpus": 3},
                {"template": "one"},
                {"template": "one"},
                {"template": "three"},
                {"template": "partition"},
                {"template": "too-many"},
            ]
        )

    def _lone_pod(self) -> None:
        self._api.create(a_pod(self._name("lone"), self._namespace, queue=self._queue(), **self._wish()))

    def _gang(self) -> None:
        name, queue, wish = self._name("gang"), self._queue(), self._wish()
        minimum = self._random.randint(2, 4)
        level = self._random.choice(["requiredTopologyLevel", "preferredTopologyLevel"])
        racks = {"topologyConstraint": {"topology": "racks", level: RACKS["label"]}}
        group = a_pod_group(name, self._namespace, queue=queue, minMember=minimum)
        group["spec"] |= self._random.choice([{}, racks])
        pods = [
            a_pod(f"{name}-{index}", self._namespace, queue=queue, group=name, **wish)
            for index in range(minimum + self._random.choice([-1, 0, 0, 2]))
        ]
        self._api.create_all(self._random.choice([[group, *pods], [*pods, group]]))

    def _gang_with_a_claim(self) -> None:
        name, queue = self._name("sharing"), self._queue()
        spec = a_claim_template(name, self._namespace)["spec"]["spec"]
        claim = {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceClaim",
            "metadata": {"name": name, "namespace": self._namespace},
            "spec": spec,
        }
        pods = [a_pod(f"{name}-{index}", self._namespace, queue=queue, group=name) for index in range(2)]
        for pod in pods:
            pod["spec"]["resourceClaims"] = [{"name": "gpus", "resourceClaimName": name}]
            pod["spec"]["containers"][0]["resources"]["claims"] = [{"name": "gpus"}]
        self._api.create_all([claim, a_pod_group(name, self._namespace, queue=queue, minMember=2), *pods])

    def _by_class_resource(self) -> None:
        pod = a_pod(self._name("extended"), self._namespace, queue=self._queue())
        counted = {CLASS_RESOURCE: str(self._random.randint(1, 2))}
        pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1", **counted}, "limits": counted}
        self._api.create(pod)

    def _odd_pod(self) -> None:
        name = self._name("odd")
        odd: list[Document] = [
            {"queue": "no-such-queue", "gpus": 1},
            {"template": "no-such-template", "queue": "wide"},
            {"gpus": 1, "queue": "wide", "schedulingGates": [{"name": "example.com/gate"}]},
            {"group": "no-such-group", "gpus": 1, "queue": "wide"},
        ]
        self._api.create(a_pod(name, self._namespace, **self._random.choice(odd)))

    def _delete_pod(self) -> None:
        grace = self._random.choice([{}, {}, {"gracePeriodSeconds": 0}])
        self._api.delete("Pod", self._some(self._pods()) or "none", self._namespace, **grace)

    def _finish_pod(self) -> None:
        """Pods that run; of a bound one that does not yet, the fake kubelet might say "Running" after its end.

        Pods of a shared claim are left out: a controller of Kubernetes never rests after that (issue 141274).
        """
        running = [
            pod
            for pod in self._pods()
            if pod["status"].get("phase") == "Running" and not pod["metadata"]["name"].startswith("sharing")
        ]
        body = {"status": {"phase": self._random.choice(["Succeeded", "Failed"])}}
        name = self._some(running)
        if name:
            self._api.patch("Pod", name, self._namespace, subresource="status", body=body)

    def _delete_claim(self) -> None:
        claim = self._some(self._api.list("ResourceClaim", self._namespace))
        self._api.delete("ResourceClaim", claim or "none", self._namespace)

    def _delete_group(self) -> None:
        group = self._some(self._api.list("PodGroup", self._namespace)) or "none"
        self._api.delete("PodGroup", group, self._namespace)
        for pod in self._pods():
            if (pod["metadata"].get("annotations") or {}).get("pod-group-name") == group:
                self._api.delete("Pod", pod["metadata"]["name"], self._namespace)

    def _edit_pod(self) -> None:
        labels = self._random.choice([{"note": self._name("note")}, {"kai.scheduler/queue": self._queue()}])
        body = self._random.choice([{"metadata": {"labels": labels}}, {"spec": {"schedulingGates": None}}])
        name = self._some(self._pods())
        if name:
            self._api.patch("Pod", name, self._namespace, body=body)

    def _edit_group(self) -> None:
        edit = self._random.choice([{"minMember": self._random.randint(1, 4)}, {"queue": self._queue()}])
        name = self._some(self._api.list("PodGroup", self._namespace))
        if name:
            self._api.patch("PodGroup", name, self._namespace, body={"spec": edit})

    def _edit_queue(self) -> None:
        self._set_limit(self._queue(), self._random.choice([-1, 0, 4, 16]))

    def _set_limit(self, queue: str, limit: float) -> None:
        self._api.patch("Queue", queue, body={"spec": {"resources": {"gpu": {"limit": limit}}}})

    def _flip_node(self) -> None:
        is_closed = self._random.choice([True, None])
        self._api.patch("Node", self._random.choice(self._nodes), body={"spec": {"unschedulable": is_closed}})
