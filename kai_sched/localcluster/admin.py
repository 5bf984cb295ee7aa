"""A small synchronous client with the admin's rights, for what sets a cluster up and what tests look at.

Raw documents in and out, own CA, connections kept open; the scheduler has its own client in ``cluster.kube``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import urllib3
import yaml

from kai_sched.errors import ApiFailure, ControlPlaneError
from kai_sched.localcluster.kinds import collection_path, kind_of, object_path
from kai_sched.localcluster.stream import Stream

Document = dict[str, Any]
Documents = list[Document]
FIELD_MANAGER = "kai-sched-localcluster"
_CONNECTIONS = 24


class AdminApi:
    """Calls of one API server. Safe to use from several threads."""

    def __init__(
        self, url: str, ca: Path, token: str = "", *, certificate: tuple[Path, Path] | None = None
    ) -> None:
        """``certificate``: files of a client certificate and its key, where there is no token."""
        self.url = url
        certificate_file, key_file = (None, None) if certificate is None else map(str, certificate)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._pool = urllib3.PoolManager(
            ca_certs=str(ca),
            cert_file=certificate_file,
            key_file=key_file,
            maxsize=_CONNECTIONS,
            block=True,
            retries=False,
        )

    @classmethod
    def from_kubeconfig(cls, path: Path) -> Self:
        """For kubeconfigs with one context, by token or by client certificate, in files or in place."""
        document = yaml.safe_load(path.read_text())
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        ca = _file_of(cluster, "certificate-authority", path)
        if "token" in user:
            return cls(cluster["server"], ca, user["token"])
        pair = (_file_of(user, "client-certificate", path), _file_of(user, "client-key", path))
        return cls(cluster["server"], ca, certificate=pair)

    def request(
        self,
        method: str,
        path: str,
        body: Document | None = None,
        *,
        content_type: str = "application/json",
        timeout: float = 30.0,
    ) -> Document:
        """One call; the answer parsed. Raises ``ApiFailure``."""
        answer = self.raw(method, path, body, content_type=content_type, timeout=timeout)
        parsed = json.loads(answer)
        return parsed if isinstance(parsed, dict) else {}

    def raw(
        self,
        method: str,
        path: str,
        body: Document | None = None,
        *,
        content_type: str = "application/json",
        timeout: float = 30.0,
    ) -> bytes:
        """One call; the answer as it came (metrics, readyz)."""
        try:
            answer = self._pool.request(
                method,
                self.url + path,
                body=None if body is None else json.dumps(body).encode(),
                headers={**self._headers, "Content-Type": content_type},
                timeout=timeout,
            )
        except urllib3.exceptions.HTTPError as error:
            raise ApiFailure(f"{method} {path}: no answer: {error}", status=0, retryable=True) from error
        if answer.status >= 400:
            raise _failure(f"{method} {path}", answer.status, answer.data)
        return answer.data

    def get(self, kind: str, name: str, namespace: str = "") -> Document:
        """One object."""
        return self.request("GET", object_path(kind, name, namespace))

    def list(self, kind: str, namespace: str = "", **query: str) -> list[Document]:
        """All objects of a kind; ``namespace`` empty: everywhere. ``labelSelector=...`` and the like as query."""
        suffix = "?" + "&".join(f"{key}={value}" for key, value in query.items()) if query else ""
        items = self.request("GET", collection_path(kind, namespace) + suffix)["items"]
        assert isinstance(items, list)
        return items

    def list_at(self, kind: str, revision: int | None = None) -> tuple[int, Documents]:
        """All objects of a kind as they were at a revision, by default now; and which revision that is."""
        query = "" if revision is None else f"?resourceVersion={revision}&resourceVersionMatch=Exact"
        answer = self.request("GET", collection_path(kind, "") + query)
        return int(answer["metadata"]["resourceVersion"]), answer["items"]

    def create(self, document: Document) -> Document:
        """Creates an object in the namespace it names (``default`` if none)."""
        return self.request("POST", collection_path(*_place(document)), document)

    def create_all(self, documents: Iterable[Document]) -> tuple[Document, ...]:
        """Creates many objects in parallel; the order among them is free."""
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            return tuple(pool.map(self.create, documents))

    def apply(self, document: Document) -> Document:
        """Server-side apply."""
        kind, namespace = _place(document)
        path = object_path(kind, document["metadata"]["name"], namespace)
        return self.request(
            "PATCH",
            f"{path}?fieldManager={FIELD_MANAGER}&force=true",
            document,
            content_type="application/apply-patch+yaml",
        )

    def patch(
        self, kind: str, name: str, namespace: str = "", *, body: Document, subresource: str = ""
    ) -> Document:
        """A merge patch."""
        path = object_path(kind, name, namespace) + (f"/{subresource}" if subresource else "")
        return self.request("PATCH", path, body, content_type="application/merge-patch+json")

    def replace(self, document: Document, *, subresource: str = "") -> Document:
        """PUT of a whole object or of its subresource."""
        kind, namespace = _place(document)
        path = object_path(kind, document["metadata"]["name"], namespace)
        return self.request("PUT", path + (f"/{subresource}" if subresource else ""), document)

    def delete(self, kind: str, name: str, namespace: str = "", **options: object) -> None:
        """Deletes an object; one that is gone already is fine."""
        try:
            self.request("DELETE", object_path(kind, name, namespace), dict(options) or None)
        except ApiFailure as failure:
            if failure.status != 404:
                raise

    def bind(self, pod: str, node: str, namespace: str = "default") -> None:
        """Binds a pod by hand."""
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        self.request(
            "POST",
            f"{object_path('Pod', pod, namespace)}/binding",
            {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target},
        )

    def watch(self, kind: str, resource_version: str, *, timeout_seconds: int = 300) -> Stream:
        """Events of one kind everywhere, until the server ends the watch. Raises ``ApiFailure``."""
        query = f"?watch=true&resourceVersion={resource_version}&timeoutSeconds={timeout_seconds}"
        path = collection_path(kind, "")
        try:
            answer = self._pool.request(
                "GET",
                self.url + path + query,
                headers=self._headers,
                preload_content=False,
                timeout=urllib3.Timeout(connect=5.0, read=timeout_seconds + 30.0),
            )
        except urllib3.exceptions.HTTPError as error:
            raise ApiFailure(f"watch {path}: {error}", status=0, retryable=True) from error
        stream = Stream(answer, path)
        if answer.status >= 400:
            failure = _failure(f"watch {path}", answer.status, answer.read())
            stream.close()
            raise failure
        return stream


def _file_of(entry: Document, key: str, kubeconfig: Path) -> Path:
    """The file that a kubeconfig names; what it holds in place is laid beside it."""
    if key in entry:
        return Path(entry[key])
    beside = kubeconfig.with_name(f"{kubeconfig.name}.{key}")
    beside.touch(mode=0o600)
    beside.write_bytes(base64.b64decode(entry[f"{key}-data"]))
    return beside


def _place(document: Document) -> tuple[str, str]:
    kind = document.get("kind")
    if not isinstance(kind, str):
        raise ControlPlaneError("a document without kind cannot be sent")
    full_name = f"{document['apiVersion']}/{kind}"
    namespace = document["metadata"].get("namespace") or "default"
    return full_name, namespace if kind_of(full_name).is_namespaced else ""


def _failure(call: str, status: int, body: bytes) -> ApiFailure:
    try:
        document = json.loads(body)
        message, reason = str(document.get("message", "")), str(document.get("reason", ""))
    except (ValueError, AttributeError):
        message, reason = body[:300].decode(errors="replace"), ""
    return ApiFailure(
        f"{call}: {status} {message}",
        status=status,
        reason=reason,
        retryable=status in {409, 429} or status >= 500,
    )
