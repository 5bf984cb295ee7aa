"""Expands a pool into Node documents, ready from the start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from kai_sched.localcluster.fleet.partition import static_counts
from kai_sched.localcluster.fleet.read import profile_named
from kai_sched.localcluster.fleet.spec import Devices, NodePool, Partitions, Taint, Via

_READY = {
    "type": "Ready",
    "status": "True",
    "reason": "KubeletReady",
    "message": "a fake kubelet is posting ready status",
}


def node_documents(pool: NodePool) -> Iterator[dict[str, Any]]:
    """The nodes of a pool."""
    for number in range(pool.count):
        name = node_name(pool, number)
        resources = _resources(pool)
        spec: dict[str, Any] = {}
        if pool.taints:
            spec["taints"] = [taint_document(taint) for taint in pool.taints]
        if pool.unschedulable:
            spec["unschedulable"] = True
        yield {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "labels": _labels(pool, number, name),
                "annotations": {"kwok.x-k8s.io/node": "fake", **pool.annotations},
            },
            "spec": spec,
            "status": {
                "capacity": resources,
                "allocatable": resources,
                "conditions": [_READY],
                "addresses": [{"type": "Hostname", "address": name}],
                "nodeInfo": _node_info(),
            },
        }


def node_name(pool: NodePool, number: int) -> str:
    """The name of the pool's node of that number."""
    return pool.node_name.format(pool=pool.name, n=number)


def whole_devices(devices: Devices) -> int:
    """How many whole devices a node has."""
    return devices.count or profile_named(devices.profile).devices[0].count


def taint_document(taint: Taint) -> dict[str, Any]:
    """A taint of a node or device on the wire."""
    document = {"key": taint.key, "effect": taint.effect}
    return {**document, "value": taint.value} if taint.value else document


def _labels(pool: NodePool, number: int, name: str) -> dict[str, str]:
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "kai-sched.dev/pool": pool.name,
    }
    for devices in pool.devices:
        count = str(whole_devices(devices))
        for key, template in profile_named(devices.profile).node_labels.items():
            labels[key] = template.format(count=count)
    for domain in pool.domains:
        labels[domain.label] = domain.name.format(
            n=domain.first + number // domain.nodes,
            pool=pool.name,
            uuid=uuid5(NAMESPACE_DNS, f"{pool.name}/{domain.label}"),
        )
    return {**labels, **pool.labels}


def _resources(pool: NodePool) -> dict[str, str]:
    resources = {
        "cpu": pool.cpu,
        "memory": pool.memory,
        "pods": str(pool.pods),
        "ephemeral-storage": pool.ephemeral_storage,
    }
    for devices in pool.devices:
        if devices.via is Via.DEVICE_PLUGIN:
            resources |= {name: str(count) for name, count in _plugin_resources(devices).items()}
    return {**resources, **pool.extended_resources}


def _plugin_resources(devices: Devices) -> Mapping[str, int]:
    profile = profile_named(devices.profile)
    if devices.partitions is Partitions.STATIC:
        return static_counts(profile, devices, whole_devices(devices))
    replicas = devices.sharing if isinstance(devices.sharing, int) else 1
    return {profile.resource: whole_devices(devices) * replicas}


def _node_info() -> dict[str, str]:
    empty = ("bootID", "kernelVersion", "kubeProxyVersion", "machineID", "osImage", "systemUUID")
    return {
        **dict.fromkeys(empty, ""),
        "architecture": "amd64",
        "containerRuntimeVersion": "fake",
        "kubeletVersion": "v1.37.1",
        "operatingSystem": "linux",
    }
