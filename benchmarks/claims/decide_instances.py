"""Clusters of 500 nodes with 10 devices each and pods that wait with claims: one instance a way of asking."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from kai_sched.api.dra import translate_claim, translate_class, translate_slice
from kai_sched.model.devices import Claim
from kai_sched.model.ids import NodeName, PodGroupKey, PodKey, QueueName, Uid
from kai_sched.model.nodes import Node
from kai_sched.model.pods import PodTable
from kai_sched.model.queues import Queue, QueueResource
from kai_sched.model.resources import amounts
from kai_sched.model.snapshot import ClusterSnapshot, Fleet
from kai_sched.model.workloads import Pod, PodClaimRef, PodGroup, PodSpec, PodState

Document = dict[str, Any]

NODES = 500
DEVICES = 10
PODS = 2500
GANG = 10
"""Pods of a gang that share one claim."""
NOW = 1_800_000_000.0
DRIVER = "gpu.example.com"
_FREE = QueueResource(-1, 1, -1)
_SPEC = PodSpec(namespace="bench", requests=amounts({"cpu": 100, "memory": 1 << 28, "pods": 1}))


def plain_selector() -> ClusterSnapshot:
    """One device by a selector."""
    return _snapshot(whole_devices, device_request(f'device.attributes["{DRIVER}"].model == "large"'))


def match_attribute() -> ClusterSnapshot:
    """Two devices of one island: the fleet is filled to the last one."""
    constraints = [{"matchAttribute": f"{DRIVER}/island"}]
    return _snapshot(whole_devices, device_request(count=2), constraints=constraints)


def partitionable() -> ClusterSnapshot:
    """Half a device, through the counters that it shares with the whole one and the other half."""
    return _snapshot(partitioned_devices, device_request(f'device.attributes["{DRIVER}"].profile == "half"'))


def consumable_capacity() -> ClusterSnapshot:
    """A quarter of a device's memory."""
    return _snapshot(shared_devices, device_request(capacity={"requests": {"memory": "20Gi"}}))


def shared_by_gang() -> ClusterSnapshot:
    """Gangs of ten pods, each around one claim for one device."""
    return _snapshot(whole_devices, device_request(), pods_a_claim=GANG)


INSTANCES: tuple[tuple[str, Callable[[], ClusterSnapshot]], ...] = (
    ("plain selector", plain_selector),
    ("matchAttribute over 2 devices", match_attribute),
    ("partitionable", partitionable),
    ("consumable capacity", consumable_capacity),
    (f"shared by a gang of {GANG}", shared_by_gang),
)


def device_request(*expressions: str, **fields: Any) -> Document:
    """One request of a claim: a device of the class, by selectors."""
    selectors = [{"cel": {"expression": expression}} for expression in expressions]
    exactly = {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1, "selectors": selectors}
    return {"name": "gpu", "exactly": {**exactly, **fields}}


def _snapshot(
    slices_of: Callable[[str], list[Document]],
    request: Document,
    *,
    constraints: Iterable[Document] = (),
    pods_a_claim: int = 1,
) -> ClusterSnapshot:
    claims = tuple(_claim(f"c{index:05d}", request, constraints) for index in range(PODS // pods_a_claim))
    pods = [_pod(index, claims[index // pods_a_claim], pods_a_claim) for index in range(PODS)]
    return _of(NODES, slices_of, claims, pods, pods_a_claim)


def mixed(nodes: int, pods: int) -> ClusterSnapshot:
    """Pods of one claim each, in turn: one device, two of one island, and more than any node has."""
    island = [{"matchAttribute": f"{DRIVER}/island"}]
    asked: tuple[tuple[Document, list[Document]], ...] = (
        (device_request(f'device.attributes["{DRIVER}"].model == "large"'), []),
        (device_request(count=2), island),
        (device_request(count=DEVICES + 1), island),
    )
    claims = tuple(_claim(f"c{index:05d}", *asked[index % len(asked)]) for index in range(pods))
    return _of(nodes, whole_devices, claims, [_pod(index, claims[index], 1) for index in range(pods)], 1)


def _of(
    count: int,
    slices_of: Callable[[str], list[Document]],
    claims: tuple[Claim, ...],
    pods: list[Pod],
    gang: int,
) -> ClusterSnapshot:
    nodes = tuple(_node(f"n{index:04d}") for index in range(count))
    slices = [translate_slice(document) for node in nodes for document in slices_of(node.name)]
    selector = {"cel": {"expression": f'device.driver == "{DRIVER}"'}}
    gpu = translate_class({"metadata": {"name": "gpu"}, "spec": {"selectors": [selector]}})
    return ClusterSnapshot(
        now=NOW,
        fleet=Fleet(version=1, nodes=nodes, slices=tuple(slices), device_classes=(gpu,)),
        pods=PodTable.sorted_by_key(pods),
        pod_groups=tuple(_group(key, gang) for key in sorted({pod.group for pod in pods if pod.group})),
        queues=(Queue(name=QueueName("team"), uid=Uid("uid-team"), gpu=_FREE, cpu=_FREE, memory=_FREE),),
        claims=claims,
    )


def _node(name: str) -> Node:
    capacity = {"cpu": 64_000, "memory": 512 << 30, "pods": 110}
    return Node(
        name=NodeName(name), labels=(("kubernetes.io/hostname", name),), allocatable=amounts(capacity)
    )


def _claim(name: str, request: Document, constraints: Iterable[Document]) -> Claim:
    devices = {"requests": [request], "constraints": list(constraints)}
    metadata = {"name": name, "namespace": "bench", "uid": f"uid-{name}"}
    return translate_claim({"metadata": metadata, "spec": {"devices": devices}})


def _pod(index: int, claim: Claim, gang: int) -> Pod:
    name = f"p{index:05d}"
    group = f"g{index // gang:05d}"
    return Pod(
        key=PodKey(f"bench/{name}"),
        uid=Uid(f"uid-{name}"),
        spec=_SPEC,
        state=PodState.PENDING,
        group=PodGroupKey(f"bench/{group}"),
        created_at=NOW - 600,
        claims=(PodClaimRef(name="gpu", claim=claim.key, is_own=gang == 1),),
    )


def _group(key: PodGroupKey, gang: int) -> PodGroup:
    return PodGroup(
        key=key, uid=Uid(f"uid-{key}"), queue=QueueName("team"), min_member=gang, created_at=NOW - 600
    )


def whole_devices(node: str) -> list[Document]:
    """The slices of a node whose devices are given whole."""
    return [
        _slice(node, [_device(f"gpu-{index}", index, uuid=f"GPU-{node}-{index}") for index in range(DEVICES)])
    ]


def shared_devices(node: str) -> list[Document]:
    """The slices of a node whose devices are given by their memory."""
    policy = {"default": "80Gi", "validRange": {"min": "1Gi", "max": "80Gi", "step": "1Gi"}}
    capacity = {"memory": {"value": "80Gi", "requestPolicy": policy}}
    devices = [
        _device(f"gpu-{index}", index, capacity=capacity, allowMultipleAllocations=True)
        for index in range(DEVICES)
    ]
    return [_slice(node, devices)]


def partitioned_devices(node: str) -> list[Document]:
    """The slices of a node whose devices may be given in halves."""
    devices: list[Document] = []
    counters: list[Document] = []
    for index in range(DEVICES):
        counters.append({"name": f"gpu-{index}", "counters": {"memory": {"value": "80Gi"}}})
        for suffix, profile, memory in (
            ("", "whole", "80Gi"),
            ("-a", "half", "40Gi"),
            ("-b", "half", "40Gi"),
        ):
            uses = {"counterSet": f"gpu-{index}", "counters": {"memory": {"value": memory}}}
            device = _device(f"gpu-{index}{suffix}", index, consumesCounters=[uses])
            device["attributes"]["profile"] = {"string": profile}
            devices.append(device)
    # At most eight counter sets a slice.
    parts = [{"sharedCounters": counters[:8]}, {"sharedCounters": counters[8:]}]
    return [
        _slice(node, devices, of=3),
        *(_slice(node, None, of=3, suffix=f"-counters-{n}", **part) for n, part in enumerate(parts)),
    ]


def _slice(
    node: str, devices: list[Document] | None, *, of: int = 1, suffix: str = "", **more: Any
) -> Document:
    pool = {"name": node, "generation": 1, "resourceSliceCount": of}
    spec = {"driver": DRIVER, "nodeName": node, "pool": pool, **more}
    return {
        "metadata": {"name": f"{node}{suffix}"},
        "spec": spec if devices is None else {**spec, "devices": devices},
    }


def _device(name: str, index: int, *, uuid: str = "", **more: Any) -> Document:
    attributes = {
        "model": {"string": "large"},
        "island": {"int": index // 2},
        "resource.kubernetes.io/numaNode": {"int": index * 2 // DEVICES},
        "resource.kubernetes.io/pcieRoot": {"string": f"pci0000:{index // 2:02x}"},
        "uuid": {"string": uuid or f"GPU-{name}"},
    }
    return {"name": name, "attributes": attributes, **more}
