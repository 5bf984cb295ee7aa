"""Which kinds the API server serves; a kind that is missing turns its feature off, it stops nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from kai_sched.cluster.kube.client import KubeClient
from kai_sched.cluster.kube.resources import Resource
from kai_sched.errors import ApiFailure


async def served(client: KubeClient, resources: Iterable[Resource]) -> frozenset[Resource]:
    """Those of the resources that the server has, in exactly their version."""
    wanted = tuple(resources)
    paths = sorted({resource.api_path for resource in wanted})
    found = dict(zip(paths, await asyncio.gather(*(_plurals(client, path) for path in paths)), strict=True))
    return frozenset(resource for resource in wanted if resource.plural in found[resource.api_path])


async def first_served(client: KubeClient, candidates: Iterable[Resource]) -> Resource | None:
    """The first candidate that the server has: the newest version of a kind that still moves."""
    ordered = tuple(candidates)
    available = await served(client, ordered)
    return next((resource for resource in ordered if resource in available), None)


async def _plurals(client: KubeClient, path: str) -> frozenset[str]:
    try:
        document = await client.get(path)
    except ApiFailure as failure:
        if failure.status == 404:
            return frozenset()
        raise
    return frozenset(str(entry.get("name")) for entry in document.get("resources") or ())
