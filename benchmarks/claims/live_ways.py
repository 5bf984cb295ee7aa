"""The ways of asking for devices of ``decide_instances``, as objects for an API server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.claims.decide_instances import (
    DEVICES,
    DRIVER,
    GANG,
    device_request,
    partitioned_devices,
    shared_devices,
    whole_devices,
)
from benchmarks.controlplane.arena import NAMESPACE
from benchmarks.controlplane.rivals import OurOperator, Rival

Document = dict[str, Any]
_QUEUE = "default-queue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How devices are published and asked for."""

    name: str
    slices: Callable[[str], list[Document]]
    request: Document
    constraints: list[Document] = field(default_factory=list)
    claims_a_node: int = DEVICES // 2
    pods_a_claim: int = 1

    def fleet(self, nodes: int) -> Iterator[Document]:
        """Nodes, slices and the device class."""
        room = {"cpu": "64", "memory": "512Gi", "pods": "110"}
        for name in _node_names(nodes):
            yield {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
                "status": {"capacity": room, "allocatable": room},
            }
        for name in _node_names(nodes):
            for document in self.slices(name):
                yield {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", **document}
        selector = {"cel": {"expression": f'device.driver == "{DRIVER}"'}}
        yield {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "DeviceClass",
            "metadata": {"name": "gpu"},
            "spec": {"selectors": [selector]},
        }

    def claims(self, nodes: int) -> Iterator[Document]:
        """Claims that are there before the clock starts."""
        for number in range(nodes * self.claims_a_node):
            yield {
                "apiVersion": "resource.k8s.io/v1",
                "kind": "ResourceClaim",
                "metadata": {"name": f"c{number:05}", "namespace": NAMESPACE},
                "spec": {"devices": {"requests": [self.request], "constraints": self.constraints}},
            }

    def groups(self, nodes: int, rival: Rival) -> Iterator[Document]:
        """A gang for each claim of several pods; kube-scheduler's pods stay single, which is easier."""
        if self.pods_a_claim == 1 or not isinstance(rival, OurOperator):
            return
        for number in range(nodes * self.claims_a_node):
            yield {
                "apiVersion": "scheduling.run.ai/v2alpha2",
                "kind": "PodGroup",
                "metadata": {"name": f"g{number:05}", "namespace": NAMESPACE},
                "spec": {"queue": _QUEUE, "minMember": self.pods_a_claim},
            }

    def pods(self, nodes: int, rival: Rival) -> Iterator[Document]:
        """Pods, each with its claim or several around one."""
        requests = {"cpu": "100m", "memory": "256Mi"}
        container = {
            "name": "main",
            "image": "none",
            "resources": {"requests": requests, "claims": [{"name": "gpu"}]},
        }
        for number in range(nodes * self.claims_a_node * self.pods_a_claim):
            claim = number // self.pods_a_claim
            annotations = {"pod-group-name": f"g{claim:05}"} if self.pods_a_claim > 1 else {}
            yield {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": f"p{number:05}", "namespace": NAMESPACE, "annotations": annotations},
                "spec": {
                    "schedulerName": rival.scheduler_name,
                    "containers": [container],
                    "resourceClaims": [{"name": "gpu", "resourceClaimName": f"c{claim:05}"}],
                },
            }


WAYS = (
    Way(
        name="plain selector",
        slices=whole_devices,
        request=device_request(f'device.attributes["{DRIVER}"].model == "large"'),
    ),
    Way(
        name="matchAttribute over 2 devices",
        slices=whole_devices,
        request=device_request(count=2),
        constraints=[{"matchAttribute": f"{DRIVER}/island"}],
    ),
    Way(
        name="partitionable",
        slices=partitioned_devices,
        request=device_request(f'device.attributes["{DRIVER}"].profile == "half"'),
    ),
    Way(
        name="consumable capacity",
        slices=shared_devices,
        request=device_request(capacity={"requests": {"memory": "20Gi"}}),
    ),
    Way(
        name=f"shared by a gang of {GANG}",
        slices=whole_devices,
        request=device_request(),
        claims_a_node=1,
        pods_a_claim=GANG,
    ),
)


def _node_names(nodes: int) -> list[str]:
    return [f"n{number:04}" for number in range(nodes)]
