"""What is put into a control plane before it is used: CRDs and tokens, each waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import yaml

from kai_sched.errors import ApiFailure, ControlPlaneError
from kai_sched.localcluster.admin import AdminApi, Document

_POLL_SECONDS = 0.05
_TOKEN_SECONDS = 86_400


def wait_for(
    is_there: Callable[[], bool],
    what: str,
    check: Callable[[], None] = lambda: None,
    *,
    seconds: float = 60.0,
) -> None:
    """Polls until ``is_there``; ``check`` may raise to end the wait early."""
    deadline = time.monotonic() + seconds
    while not is_there():
        check()
        if time.monotonic() > deadline:
            raise ControlPlaneError(f"{what} is not ready after {seconds:.0f} s")
        time.sleep(_POLL_SECONDS)


def apply_crds(api: AdminApi, folder: Path) -> None:
    """Applies every CRD in the folder's YAML files and waits until the API server serves them."""
    documents = [
        document
        for file in sorted(folder.glob("*.yaml"))
        for document in yaml.safe_load_all(file.read_text())
        if document and document.get("kind") == "CustomResourceDefinition"
    ]
    for document in documents:
        api.apply(document)
    for document in documents:
        name = document["metadata"]["name"]
        wait_for(partial(_is_served, api, name), f"CRD {name}")


def service_account_token(api: AdminApi, name: str, namespace: str) -> str:
    """A token by the TokenRequest API."""
    request: Document = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": _TOKEN_SECONDS},
    }
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    token = api.request("POST", path, request)["status"]["token"]
    assert isinstance(token, str)
    return token


def _is_served(api: AdminApi, name: str) -> bool:
    """Whether every version can be listed: between established and ready its storage still starts."""
    crd = api.get("CustomResourceDefinition", name)
    conditions = crd.get("status", {}).get("conditions") or ()  # null until it is looked at
    if not any(entry["type"] == "Established" and entry["status"] == "True" for entry in conditions):
        return False
    spec = crd["spec"]
    served = [version["name"] for version in spec["versions"] if version["served"]]
    try:
        for version in served:
            api.request("GET", f"/apis/{spec['group']}/{version}/{spec['names']['plural']}?limit=1")
    except ApiFailure as failure:
        if failure.status in {404, 429, 503}:
            return False
        raise
    return True
