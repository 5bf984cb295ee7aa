"""A shelf of documents with resourceVersions: the least that the binder's port needs, scriptable to go wrong.

It judges like the API server where the binder depends on it: stale versions are conflicts, a finalizer in a status
update is ignored, a binding is refused for a pod that has a node. Cluster tests hold the same binder to a real one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kai_sched.errors import ApiFailure
from kai_sched.model.ids import ClaimKey, PodKey
from kai_sched.model.plan import Placement


class Crash(BaseException):
    """The process is gone: nothing after this runs."""


class Shelf:
    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.writes: list[str] = []
        self.before_write: Callable[[int, str], None] = lambda number, call: None
        self.after_write: Callable[[int, str], None] = lambda number, call: None
        self._version = 0

    def put_claim(self, key: str, *, owner_uid: str = "", **status: Any) -> dict[str, Any]:
        namespace, name = key.split("/")
        owners = [{"kind": "Pod", "uid": owner_uid, "controller": True}] if owner_uid else []
        document = {
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": f"uid-{key}",
                "ownerReferences": owners,
            },
            "spec": {"unknownField": "kept"},
            "status": status,
        }
        return self._store(claim_path(key), document)

    def put_pod(self, key: str, node: str | None = None) -> dict[str, Any]:
        namespace, name = key.split("/")
        document = {
            "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{key}"},
            "spec": {"nodeName": node} if node else {},
        }
        return self._store(pod_path(key), document)

    def claim(self, key: str) -> dict[str, Any]:
        return self.objects[claim_path(key)]

    def node_of(self, key: str) -> str | None:
        return self.objects[pod_path(key)]["spec"].get("nodeName")

    def allocate_for_somebody_else(self, key: str, device: str) -> None:
        document = self.claim(key)
        document["status"] = {
            "allocation": allocation(device),
            "reservedFor": [{"resource": "pods", "name": "foreign", "uid": "foreign"}],
        }
        self._store(claim_path(key), document)

    def touch(self, key: str) -> None:
        self._store(claim_path(key), self.claim(key))

    async def open_ahead(self, count: int) -> None:
        """There are no connections here."""

    async def get(self, path: str) -> dict[str, Any]:
        return copy.deepcopy(self._found(path))

    async def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self._begin(f"PUT {path}")
        item = path.removesuffix("/status")
        current = self._found(item)
        if body["metadata"].get("resourceVersion") != current["metadata"]["resourceVersion"]:
            raise ApiFailure("conflict", status=409, reason="Conflict", retryable=False)
        body = copy.deepcopy(body)
        if path.endswith("/status"):
            changed = {**current, "status": body["status"]}
        else:
            changed = {**body, "status": current["status"]}
        stored = self._store(item, changed)
        self._end(f"PUT {path}")
        return copy.deepcopy(stored)

    async def delete(self, path: str, *, body: dict[str, Any] | None = None) -> dict[str, Any]:
        self._begin(f"DELETE {path}")
        current = self._found(path)["metadata"]
        if body is not None and body["preconditions"]["uid"] != current["uid"]:
            raise ApiFailure("another uid", status=409, reason="Conflict", retryable=False)
        assert not current.get("finalizers"), "would stay until its finalizer is gone"
        del self.objects[path]
        self._end(f"DELETE {path}")
        return {}

    async def patch_strategic(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self._begin(f"PATCH {path}")
        item = path.removesuffix("/status")
        current = self._found(item)
        for name in ("uid", "resourceVersion"):
            if body["metadata"].get(name, current["metadata"][name]) != current["metadata"][name]:
                raise ApiFailure(f"another {name}", status=409, reason="Conflict", retryable=False)
        status = {**current.get("status", {}), **body.get("status", {})}
        annotations = {
            **current["metadata"].get("annotations", {}),
            **body["metadata"].get("annotations", {}),
        }
        changed = {
            **current,
            "metadata": {**current["metadata"], "annotations": annotations},
            "spec": {**current.get("spec", {}), **body.get("spec", {})},
            "status": {name: value for name, value in status.items() if value is not None},
        }
        stored = self._store(item, changed)
        self._end(f"PATCH {path}")
        return copy.deepcopy(stored)

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path.endswith("/resourceclaims"):
            return await self._create_claim(path, body)
        self._begin(f"POST {path}")
        item, _, call = path.rpartition("/")
        pod = self._found(item)
        if call == "binding":
            if pod["metadata"]["uid"] != body["metadata"]["uid"] or pod["spec"].get("nodeName"):
                raise ApiFailure("pod has a node", status=409, reason="Conflict", retryable=False)
            pod["spec"]["nodeName"] = body["target"]["name"]
            self._store(item, pod)
        self._end(f"POST {path}")
        return {}

    async def _create_claim(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self._begin(f"POST {path}")
        item = f"{path}/{body['metadata']['name']}"
        if item in self.objects:
            raise ApiFailure("already exists", status=409, reason="AlreadyExists", retryable=False)
        metadata = {**body["metadata"], "uid": f"uid-{len(self.writes)}"}
        stored = self._store(item, {**body, "metadata": metadata, "status": {}})
        self._end(f"POST {path}")
        return copy.deepcopy(stored)

    def _found(self, path: str) -> dict[str, Any]:
        if path not in self.objects:
            raise ApiFailure("not found", status=404, reason="NotFound", retryable=False)
        return self.objects[path]

    def _store(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        document = copy.deepcopy(document)
        document["metadata"]["resourceVersion"] = str(self._version)
        self.objects[path] = document
        return document

    def _begin(self, call: str) -> None:
        self.before_write(len(self.writes), call)

    def _end(self, call: str) -> None:
        self.writes.append(call)
        self.after_write(len(self.writes), call)


class NothingKnown:
    """A mirror that has seen nothing yet; ``broken`` names pods that must not be bound."""

    def __init__(self, broken: Mapping[PodKey, str] | None = None) -> None:
        self.broken = dict(broken or {})
        self.broken_device: dict[PodKey, str] = {}
        self.given_twice: dict[PodKey, str] = {}
        self.has_rivals = False
        self.unseen = 0
        """So many times the claims do not show as written yet."""

    def claim_document(self, claim: ClaimKey) -> dict[str, Any] | None:
        return None

    def broken_preconditions(self, placements: Iterable[Placement]) -> dict[PodKey, str]:
        return {p.pod: self.broken[p.pod] for p in placements if p.pod in self.broken}

    def broken_devices(self, placements: Iterable[Placement]) -> dict[PodKey, str]:
        return {p.pod: self.broken_device[p.pod] for p in placements if p.pod in self.broken_device}

    def others_take_devices(self) -> bool:
        return self.has_rivals

    def shows_claims(self, placements: Iterable[Placement]) -> bool:
        self.unseen -= 1
        return self.unseen < 0

    def doubly_given(self, placements: Iterable[Placement]) -> dict[PodKey, str]:
        return {p.pod: self.given_twice[p.pod] for p in placements if p.pod in self.given_twice}


class OpenFence:
    def __init__(self) -> None:
        self.is_open = True

    def may_write(self) -> bool:
        return self.is_open


def claim_path(key: str) -> str:
    namespace, name = key.split("/")
    return f"/apis/resource.k8s.io/v1/namespaces/{namespace}/resourceclaims/{name}"


def pod_path(key: str) -> str:
    namespace, name = key.split("/")
    return f"/api/v1/namespaces/{namespace}/pods/{name}"


def allocation(*devices: str) -> dict[str, Any]:
    results = []
    for device in devices:
        driver, pool, name = device.split("/")
        results.append({"request": "gpu", "driver": driver, "pool": pool, "device": name})
    return {"devices": {"results": results}}
