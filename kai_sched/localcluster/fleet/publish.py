"""Plays the kubelets and drivers of a fleet: creates its objects on an API server, many at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kai_sched.localcluster.admin import AdminApi

Document = dict[str, Any]


def publish(api: AdminApi, objects: Iterable[Document]) -> None:
    """Creates the objects of ``fleet_objects``. Slices come last: a node-local one is owned by its node."""
    documents = list(objects)
    slices = [document for document in documents if document["kind"] == "ResourceSlice"]
    created = api.create_all(document for document in documents if document["kind"] != "ResourceSlice")
    uid_of_node = {
        document["metadata"]["name"]: document["metadata"]["uid"]
        for document in created
        if document.get("kind") == "Node"
    }
    api.create_all(_owned(document, uid_of_node) for document in slices)


def _owned(document: Document, uid_of_node: dict[str, str]) -> Document:
    node = document["spec"].get("nodeName", "")
    if node not in uid_of_node:
        return document
    owner = {"apiVersion": "v1", "kind": "Node", "name": node, "uid": uid_of_node[node], "controller": True}
    return {**document, "metadata": {**document["metadata"], "ownerReferences": [owner]}}
