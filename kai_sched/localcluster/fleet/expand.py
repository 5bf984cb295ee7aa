"""Expands a whole fleet into Kubernetes objects: a pure function, so that a snapshot can be made without a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kai_sched.errors import InvalidInput
from kai_sched.localcluster.fleet.nodes import node_documents, node_name
from kai_sched.localcluster.fleet.read import profile_named
from kai_sched.localcluster.fleet.slices import attached_slices, node_slices
from kai_sched.localcluster.fleet.spec import Fleet, TopologySpec, Via

Document = dict[str, Any]


def fleet_objects(fleet: Fleet) -> list[Document]:
    """Device classes, topologies, nodes, slices, then the file's own objects. Raises ``InvalidInput``."""
    nodes = [document for pool in fleet.pools for document in node_documents(pool)]
    names = [node["metadata"]["name"] for node in nodes]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInput(f"two nodes are called {twice}", field="pools.nodeName")
    return [
        *_device_classes(fleet),
        *(_topology(topology) for topology in fleet.topologies),
        *nodes,
        *_slices(fleet),
        *fleet.objects,
    ]


def _slices(fleet: Fleet) -> Iterator[Document]:
    for pool in fleet.pools:
        for number in range(pool.count):
            for devices in pool.devices:
                if devices.via is Via.DRA:
                    yield from node_slices(node_name(pool, number), devices)
    for attached in fleet.attached:
        yield from attached_slices(attached)


def _device_classes(fleet: Fleet) -> list[Document]:
    """The classes that each driver's installation brings, once each."""
    profiles = [
        *(one.profile for pool in fleet.pools for one in pool.devices if one.via is Via.DRA),
        *(one.profile for one in fleet.attached),
    ]
    by_name: dict[str, Document] = {}
    for name in profiles:
        for document in profile_named(name).device_classes:
            by_name[document["name"]] = {
                "apiVersion": "resource.k8s.io/v1",
                "kind": "DeviceClass",
                "metadata": {"name": document["name"]},
                "spec": {key: value for key, value in document.items() if key != "name"},
            }
    return list(by_name.values())


def _topology(topology: TopologySpec) -> Document:
    levels = [
        {"nodeLabel": level.node_label, **({"alias": level.alias} if level.alias else {})}
        for level in topology.levels
    ]
    return {
        "apiVersion": "kai.scheduler/v1alpha1",
        "kind": "Topology",
        "metadata": {"name": topology.name},
        "spec": {"levels": levels},
    }
