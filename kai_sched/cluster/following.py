"""Following: every list and watch that feeds a mirror, as one task."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from kai_sched.api import kinds
from kai_sched.api.kinds import Kind
from kai_sched.cluster.backoff import Backoff
from kai_sched.cluster.comparison import Comparison
from kai_sched.cluster.kube import resources
from kai_sched.cluster.kube.client import KubeClient
from kai_sched.cluster.kube.discovery import first_served
from kai_sched.cluster.kube.resources import Resource
from kai_sched.cluster.mirror import Mirror
from kai_sched.cluster.ports import JSON, METADATA, METADATA_LIST
from kai_sched.cluster.reflector import Pace, Reflector, ReflectorStats, Source
from kai_sched.errors import ApiFailure


@dataclass(frozen=True, slots=True)
class Followed:
    """A kind, the API versions to try (newest first), and whether its metadata is enough."""

    kind: Kind
    candidates: tuple[Resource, ...]
    is_metadata_enough: bool = False


FOLLOWED: Final = (
    Followed(kinds.NAMESPACE, (resources.NAMESPACES,), is_metadata_enough=True),
    Followed(kinds.PRIORITY_CLASS, (resources.PRIORITY_CLASSES,)),
    Followed(kinds.NODE, (resources.NODES,)),
    Followed(kinds.CSI_NODE, (resources.CSI_NODES,)),
    Followed(kinds.POD, (resources.PODS,)),
    Followed(kinds.RESOURCE_SLICE, (resources.RESOURCE_SLICES,)),
    Followed(kinds.RESOURCE_CLAIM, (resources.RESOURCE_CLAIMS,)),
    Followed(kinds.DEVICE_CLASS, (resources.DEVICE_CLASSES,)),
    Followed(kinds.DEVICE_TAINT_RULE, resources.TAINT_RULES),
    Followed(kinds.VOLUME_CLAIM, (resources.VOLUME_CLAIMS,)),
    Followed(kinds.VOLUME, (resources.VOLUMES,)),
    Followed(kinds.STORAGE_CLASS, (resources.STORAGE_CLASSES,)),
    Followed(kinds.CSI_DRIVER, (resources.CSI_DRIVERS,)),
    Followed(kinds.STORAGE_CAPACITY, (resources.STORAGE_CAPACITIES,)),
    Followed(kinds.CONFIG_MAP, (resources.CONFIG_MAPS,), is_metadata_enough=True),
)
"""What decisions read besides our own kinds."""

OWNERS: Final = (
    Followed(kinds.JOB, (resources.JOBS,), is_metadata_enough=True),
    Followed(kinds.REPLICA_SET, (resources.REPLICA_SETS,), is_metadata_enough=True),
    Followed(kinds.DEPLOYMENT, (resources.DEPLOYMENTS,), is_metadata_enough=True),
    Followed(kinds.STATEFUL_SET, (resources.STATEFUL_SETS,), is_metadata_enough=True),
)
"""Owners of pods, where a grouper asks for them."""

OURS: Final = (
    Followed(kinds.QUEUE, (resources.QUEUES,)),
    Followed(kinds.POD_GROUP, (resources.POD_GROUPS,)),
    Followed(kinds.TOPOLOGY, (resources.TOPOLOGIES,)),
    Followed(kinds.SHARD, (resources.SHARDS,)),
)
"""Low-volume kinds; in the operator another source of events feeds them and they are compared only."""


class Following:
    """Keeps a mirror up to date. ``compared``: kinds whose events come from elsewhere, through ``Mirror.event``."""

    def __init__(
        self,
        client: KubeClient,
        mirror: Mirror,
        *,
        owners: Collection[Kind] = (),
        compared: Collection[Kind] = (),
        chance: Callable[[], float] = random.random,
        pace: Pace | None = None,
    ) -> None:
        self._client = client
        self._mirror = mirror
        self._chance = chance
        self._pace = pace
        self._tasks: dict[Kind, Reflector | Comparison] = {}
        wanted = (*FOLLOWED, *(item for item in OWNERS if item.kind in owners), *OURS)
        # Asked for before the first list, so that the mirror waits for all of them from the start.
        self._sinks = [(item, mirror.sink(item.kind), item.kind in compared) for item in wanted]

    @property
    def stats(self) -> Mapping[Kind, ReflectorStats]:
        """Counts by kind."""
        return {kind: task.stats for kind, task in self._tasks.items()}

    @property
    def blind(self) -> tuple[Kind, ...]:
        """Kinds whose changes would not be told at the moment."""
        return tuple(kind for kind, task in self._tasks.items() if task.stats.is_blind)

    def is_served(self, kind: Kind) -> bool:
        """Whether the API server knows the kind, as far as seen."""
        task = self._tasks.get(kind)
        return task is not None and task.stats.is_served

    def watched(self, kind: Kind, is_watched: bool) -> None:  # noqa: FBT001 — the form of the source's notice
        """The other source of a compared kind began to tell of every change, or ceased to."""
        task = self._tasks.get(kind)
        if isinstance(task, Comparison):
            task.watched(is_watched=is_watched)

    async def run(self) -> None:
        """Follow until cancelled; an API server that does not answer is waited for."""
        for item, sink, is_compared in self._sinks:
            source = await self._source(item)
            if is_compared:
                sightings = self._mirror.sightings(item.kind)
                self._tasks[item.kind] = Comparison(
                    self._client, source, sightings, sink, chance=self._chance, pace=self._pace
                )
            else:
                self._tasks[item.kind] = Reflector(
                    self._client, source, sink, chance=self._chance, pace=self._pace
                )
        async with asyncio.TaskGroup() as group:
            for kind, task in self._tasks.items():
                group.create_task(task.run(), name=f"follow {kind}")

    async def _source(self, item: Followed) -> Source:
        resource = item.candidates[0]
        if len(item.candidates) > 1:
            resource = await self._newest(item.candidates)
        return Source(
            name=str(item.kind),
            path=resource.collection(),
            list_accept=METADATA_LIST if item.is_metadata_enough else JSON,
            watch_accept=METADATA if item.is_metadata_enough else JSON,
        )

    async def _newest(self, candidates: tuple[Resource, ...]) -> Resource:
        backoff = Backoff(self._chance)
        while True:
            try:
                return await first_served(self._client, candidates) or candidates[0]
            except ApiFailure as failure:
                if not failure.retryable:
                    raise
                await asyncio.sleep(backoff.next_delay())
