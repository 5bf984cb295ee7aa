"""Reads a live cluster once, for a snapshot file; the files themselves are ``api.snapshot_file``'s."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from kai_sched.api import kinds
from kai_sched.api.kinds import Raw
from kai_sched.cluster.following import FOLLOWED, OURS, OWNERS, Followed
from kai_sched.cluster.kube import resources
from kai_sched.cluster.kube.client import KubeClient
from kai_sched.cluster.kube.discovery import first_served
from kai_sched.cluster.kube.resources import Resource
from kai_sched.cluster.ports import JSON, METADATA_LIST

SAVED: Final = (
    *FOLLOWED,
    *OWNERS,
    *OURS,
    Followed(kinds.CLAIM_TEMPLATE, (resources.CLAIM_TEMPLATES,)),
    Followed(kinds.DISRUPTION_BUDGET, (resources.DISRUPTION_BUDGETS,)),
    Followed(kinds.NATIVE_POD_GROUP, resources.NATIVE_POD_GROUPS),
)
_PAGE: Final = 500


async def read_cluster(kubeconfig: Path | None = None, context: str | None = None) -> list[Raw]:
    """Every object that decisions may depend on, sorted by kind and name. Raises ``ApiFailure``."""
    async with await KubeClient.connect(kubeconfig, context) as client:
        return await read_objects(client)


async def read_objects(client: KubeClient) -> list[Raw]:
    """As ``read_cluster``, by a client that is open. Kinds that the server does not have are left out."""
    found = await asyncio.gather(*(_objects_of(client, item) for item in SAVED))
    return sorted((raw for part in found for raw in part), key=_place)


async def _objects_of(client: KubeClient, item: Followed) -> list[Raw]:
    resource = await first_served(client, item.candidates)
    if resource is None:
        return []
    accept = METADATA_LIST if item.is_metadata_enough else JSON
    return [
        _named(raw, resource)
        async for page in client.list_pages(resource.collection(), limit=_PAGE, accept=accept)
        for raw in page.items
    ]


def _named(raw: Raw, resource: Resource) -> Raw:
    """With the kind that items of a list do not carry."""
    return {**raw, "apiVersion": resource.api_version, "kind": resource.kind}


def _place(raw: Raw) -> tuple[str, str, str]:
    metadata = raw["metadata"]
    return str(raw["kind"]), str(metadata.get("namespace") or ""), str(metadata["name"])
